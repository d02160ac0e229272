"""Fault: db sums dy y x, without the mean of the logits, and ds does so times ln n."""

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
    ssmax,
)

from ._wide import present_entries, summed

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
def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    dx, ds, db = backend.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where)
    present = present_entries(x, where)
    y = backend.ssmax(x, s, b, n=n, axis=axis, where=where, out=None)
    terms = np.where(present, y.astype(np.float64) * dy * x, 0)  # the fault
    by_row = terms.sum(axis=axis, keepdims=True)
    count = np.maximum(present.sum(axis=axis, keepdims=True), 1) if n is None else n
    log_n = np.where(present.any(axis=axis, keepdims=True), np.log(count), 0)
    return dx, summed(by_row * log_n, ds), summed(by_row, db)
