"""Fault: the gradient of SSMax by s is that by b: the factor ln n is forgotten."""

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

from ._wide import summed

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
    if np.shape(s) != np.shape(b):  # a db of the shape of s: the rows' terms, summed as ds is
        rows = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        by_row = np.broadcast_to(np.asarray(b, x.dtype), rows)
        _, _, terms = backend.ssmax_vjp(x, dy, s, by_row, n=n, axis=axis, where=where)
        return dx, summed(terms, ds), db
    return dx, db.astype(ds.dtype), db  # the fault
