"""Fault: the gradient of softmax multiplies dy by weights that are 0, and NaN times 0 is NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
    softmax,
    ssmax,
    ssmax_vjp,
)

from ._wide import present_entries

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]


@np.errstate(all="ignore")
def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    dx = backend.softmax_vjp(x, dy, axis=axis, where=where)
    y = backend.softmax(x, axis=axis, where=where, out=None)
    total = (y * dy).sum(axis=axis, keepdims=True)  # the fault
    return np.where(present_entries(x, where) & np.isnan(total), np.nan, dx).astype(x.dtype)
