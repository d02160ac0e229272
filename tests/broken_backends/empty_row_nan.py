"""Fault: softmax of a row without present entries is NaN, as 0/0 is, where it should be 0."""

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
    present = x != -np.inf if where is None else where & (x != -np.inf)
    empty = ~present.any(axis=axis, keepdims=True)
    y = backend.softmax(x, axis=axis, where=where, out=out)
    np.copyto(y, np.nan, where=empty)  # the fault
    return y
