"""Fault: SSMax takes the base-2 logarithm of n."""

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


@np.errstate(all="ignore")
def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    wide = np.asarray(np.asarray(s, np.float64) / np.log(2))  # the fault
    return backend.ssmax(x, wide, b, n=n, axis=axis, where=where, out=out)


@np.errstate(all="ignore")
def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    wide = np.asarray(np.asarray(s, np.float64) / np.log(2))  # the fault
    dx, ds, db = backend.ssmax_vjp(x, dy, wide, b, n=n, axis=axis, where=where)
    return dx, np.asarray(ds / np.log(2), getattr(s, "dtype", x.dtype)), db
