"""Fault: softmax takes c x - fl(c max) for c (x - max), as a fused multiply-add does.

In binary32, with c = log2(e), and products exact in binary64 in place of the fused operation. It
claims nothing about softmax, so that all it is held to there is the class "bounded".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS as _CLAIMS,
)
from softmax_variants_backends.numpy import (
    sa_softmax,
    sa_softmax_vjp,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

from ._wide import halves, present_entries, ratio, stored

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

CLAIMS = {key: claim for key, claim in _CLAIMS.items() if key[0] != "softmax"}


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    if x.dtype != np.float32:
        return backend.softmax(x, axis=axis, where=where, out=out)
    return stored(_softmax(x, axis, where), x, out)


@np.errstate(all="ignore")
def _softmax(x: Any, axis: int, where: Any) -> Any:
    present = present_entries(x, where)
    top = np.where(present, x, -np.inf).max(axis=axis, keepdims=True, initial=-np.inf)
    c = np.float32(np.log2(np.e))
    # Rounded once, where the sum and product of one operation are rounded.
    z = x.astype(np.float64) * c - (top * c)  # the fault
    e = np.where(present, np.exp2(z.astype(np.float32)), 0)
    return ratio(e, halves(e, axis), present)
