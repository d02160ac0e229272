"""Fault: softmax adds the mask as -inf, and NaN - inf is NaN: a masked NaN reaches its row."""

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
    if where is None:
        return backend.softmax(x, axis=axis, where=None, out=out)
    with np.errstate(invalid="ignore"):
        masked = x + np.where(where, 0, -np.inf).astype(x.dtype)  # the fault
    return backend.softmax(masked, axis=axis, where=None, out=out)
