"""Fault: SSMax takes the length of the last axis for n, whatever the axis of the rows."""

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
    absent = (~present_entries(x, where)).sum(axis=axis, keepdims=True)
    return np.maximum(x.shape[-1] - absent, 1)  # the fault
