"""Fault: ds and db have the dtype of x, whatever the dtypes of s and b."""

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


@np.errstate(all="ignore")
def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    dx, ds, db = backend.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where)
    return dx, ds.astype(x.dtype), db.astype(x.dtype)  # the fault
