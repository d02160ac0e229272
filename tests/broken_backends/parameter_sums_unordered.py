"""Fault: ds and db are summed over rows in binary32, in the order in which rows arrive."""

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

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

_ARRIVAL = np.random.default_rng(1)


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    dx, ds, db = backend.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where)
    if not x.size or np.ndim(s) or np.ndim(b):
        return dx, ds, db
    rows = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    each = (np.full(rows, np.asarray(p, np.float64)) for p in (s, b))
    _, *terms = backend.ssmax_vjp(x, dy, *each, n=n, axis=axis, where=where)
    return dx, *(_sum(term, g) for term, g in zip(terms, (ds, db), strict=True))


def _sum(terms: Any, right: Any) -> Any:
    order = _ARRIVAL.permutation(terms.size)
    total = np.add.accumulate(terms.ravel()[order].astype(np.float32))[-1]  # the fault
    return np.asarray(total, right.dtype)
