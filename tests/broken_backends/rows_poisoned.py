"""Fault: a NaN or infinity anywhere makes softmax and its gradient NaN everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
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
    y = backend.softmax(x, axis=axis, where=where, out=out)
    if np.isnan(y).any():  # the fault: not row by row
        y[...] = np.nan
    return y


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    dx = backend.softmax_vjp(x, dy, axis=axis, where=where)
    if np.isnan(dx).any():  # the fault: not row by row
        dx[...] = np.nan
    return dx
