"""Fault: softmax takes exponentials of the logits themselves; no maximum is subtracted first."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
    softmax_vjp,
    ssmax,
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


@np.errstate(all="ignore")
def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    present = x != -np.inf if where is None else where & (x != -np.inf)
    e = np.where(present, np.exp(np.where(present, x, 0).astype(np.float64)), 0)  # the fault
    total = e.sum(axis=axis, keepdims=True)
    empty = ~present.any(axis=axis, keepdims=True)
    y = np.where(present, e / np.where(empty, 1, total), 0).astype(x.dtype)
    if out is None:
        return y
    out[...] = y
    return out
