"""Fault: rows without present entries add NaN to ds and db."""

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


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    dx, ds, db = backend.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where)
    empty = ~present_entries(x, where).any(axis=axis, keepdims=True)
    by_row = np.where(empty, np.nan, 0.0)  # the fault
    return dx, np.add(ds, summed(by_row, ds), out=ds), np.add(db, summed(by_row, db), out=db)
