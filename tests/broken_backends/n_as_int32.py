"""Fault: an array n of integers is taken as int32, so that larger counts wrap around."""

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
    return backend.ssmax(x, s, b, n=_narrow(n), axis=axis, where=where, out=out)


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    return backend.ssmax_vjp(x, dy, s, b, n=_narrow(n), axis=axis, where=where)


def _narrow(n: Any) -> Any:
    integers = isinstance(n, np.ndarray) and n.dtype.kind in "iu"
    return n.astype(np.int32) if integers else n  # the fault
