"""Fault: subnormal numbers are flushed to 0, and FLUSHES_SUBNORMALS does not say so."""

from __future__ import annotations

from .flushing import (  # all but FLUSHES_SUBNORMALS: the fault
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
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]
