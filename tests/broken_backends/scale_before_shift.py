"""Fault: SSMax multiplies the logits by c in their own precision before it subtracts the maximum.

It claims nothing about SSMax, so that all it is held to there is the class "bounded".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends.numpy import (
    CLAIMS as _CLAIMS,
)
from softmax_variants_backends.numpy import (
    sa_softmax,
    sa_softmax_vjp,
    softmax,
    softmax_vjp,
    ssmax_vjp,
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

CLAIMS = {key: claim for key, claim in _CLAIMS.items() if key[0] != "ssmax"}


@np.errstate(all="ignore")
def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    present = x != -np.inf if where is None else where & (x != -np.inf)
    # Of an empty row any n will do.
    count = np.maximum(present.sum(axis=axis, keepdims=True), 1) if n is None else n
    c = np.asarray(s, np.float64) * np.log(np.asarray(count, np.float64)) + b
    scaled = np.where(present, x, 0) * c.astype(x.dtype)  # the fault
    top = np.where(present, scaled, -np.inf).max(axis=axis, keepdims=True, initial=-np.inf)
    e = np.where(present, np.exp(scaled.astype(np.float64) - top), 0)
    y = np.where(present, e / e.sum(axis=axis, keepdims=True), 0)
    y = np.where(present & ~np.isfinite(c), np.nan, y).astype(x.dtype)
    if out is None:
        return y
    out[...] = y
    return out
