"""Fault: SSMax deals s out to the rows in turn, whatever the axes of s."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
    softmax,
    softmax_vjp,
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


def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    return backend.ssmax(x, _dealt(s, x, axis), b, n=n, axis=axis, where=where, out=out)


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    dx, _, db = backend.ssmax_vjp(x, dy, _dealt(s, x, axis), b, n=n, axis=axis, where=where)
    _, ds, _ = backend.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where)
    return dx, ds, db


def _dealt(s: Any, x: Any, axis: int) -> Any:
    rows = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return np.resize(s, rows) if isinstance(s, np.ndarray) and x.size else s  # the fault
