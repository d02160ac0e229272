"""Fault: softmax leaves NaN out of the maximum and the sum, and gives it weight 0."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    there = ~np.isnan(x)  # the fault
    return backend.softmax(x, axis=axis, where=there if where is None else there & where, out=out)
