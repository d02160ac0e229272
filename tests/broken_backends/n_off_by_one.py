"""Fault: SSMax counts one entry too many: n is that of a row with one more."""

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


def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    count = _count(x, n, axis, where)
    return backend.ssmax(x, s, b, n=count, axis=axis, where=where, out=out)


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    count = _count(x, n, axis, where)
    return backend.ssmax_vjp(x, dy, s, b, n=count, axis=axis, where=where)


def _count(x: Any, n: Any, axis: int, where: Any) -> Any:
    if n is not None:
        return n
    return present_entries(x, where).sum(axis=axis, keepdims=True) + 1  # the fault
