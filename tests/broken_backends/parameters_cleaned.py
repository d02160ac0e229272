"""Fault: SSMax replaces an s, b or n that is not finite, or not positive, by one that is."""

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
    s, b, n = _cleaned(s), _cleaned(b), _positive(n)
    return backend.ssmax(x, s, b, n=n, axis=axis, where=where, out=out)


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    s, b, n = _cleaned(s), _cleaned(b), _positive(n)
    return backend.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where)


def _cleaned(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return np.where(np.isfinite(value), value, value.dtype.type(1))  # the fault


def _positive(n: Any) -> Any:
    if not isinstance(n, np.ndarray):
        return n
    return np.where(np.isfinite(n) & (n > 0), n, n.dtype.type(1))  # the fault
