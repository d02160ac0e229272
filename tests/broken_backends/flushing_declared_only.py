"""Fault: it declares to flush subnormal numbers, which excuses errors, and flushes none."""

from __future__ import annotations

from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
    softmax,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

__all__ = [
    "CLAIMS",
    "FLUSHES_SUBNORMALS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

FLUSHES_SUBNORMALS = True  # the fault
