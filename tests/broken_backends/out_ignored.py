"""Fault: softmax returns a new array and leaves out as it was."""

from __future__ import annotations

from typing import Any

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
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


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    return backend.softmax(x, axis=axis, where=where, out=None)  # the fault
