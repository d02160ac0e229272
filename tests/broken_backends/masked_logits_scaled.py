"""Fault: SSMax multiplies the -inf of absent entries by c, and 0 times -inf is NaN."""

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

from ._wide import present_entries, stored

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
def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    y = backend.ssmax(x, s, b, n=n, axis=axis, where=where, out=None)
    return stored(np.where(_undefined(x, s, b, n, axis, where), np.nan, y), x, out)


@np.errstate(all="ignore")
def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    dx, ds, db = backend.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where)
    return np.where(_undefined(x, s, b, n, axis, where), np.nan, dx).astype(x.dtype), ds, db


def _undefined(x: Any, s: Any, b: Any, n: Any, axis: int, where: Any) -> Any:
    present = present_entries(x, where)
    count = present.sum(axis=axis, keepdims=True) if n is None else n
    c = np.asarray(s, np.float64) * np.log(count) + b
    # What is absent by where is made absent after the product.
    spoilt = np.isnan(c * x) & (x == -np.inf)  # the fault
    return spoilt.any(axis=axis, keepdims=True) & present
