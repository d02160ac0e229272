"""Fault: the n of SSMax is the length of the row, so absent entries count."""

from __future__ import annotations

from typing import Any

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
    count = _count(x, n, axis)
    return backend.ssmax(x, s, b, n=count, axis=axis, where=where, out=out)


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    count = _count(x, n, axis)
    return backend.ssmax_vjp(x, dy, s, b, n=count, axis=axis, where=where)


def _count(x: Any, n: Any, axis: int) -> Any:
    return (x.shape[axis] or None) if n is None else n  # the fault
