"""Softmax as it is usually written, in the precision of the logits, with the library's sums.

It claims nothing, and the class "bounded" is made for it: all of that holds. To claim more is the
fault, which tests commit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["ORDERED_SUMS", "softmax", "softmax_vjp"]

ORDERED_SUMS = False
"""NumPy's sums have other bits along another axis or in another layout."""


@np.errstate(all="ignore")
def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    z = x if where is None else np.where(where, x, x.dtype.type(-np.inf))
    top = z.max(axis=axis, keepdims=True, initial=-np.inf)
    e = np.exp(np.where(z == -np.inf, z, z - top))
    total = e.sum(axis=axis, keepdims=True)
    y = np.divide(e, np.where(total == 0, 1, total), dtype=x.dtype)
    y = np.where(z == -np.inf, x.dtype.type(0), y)
    if out is None:
        return y
    out[...] = y
    return out


@np.errstate(all="ignore")
def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    y = softmax(x, axis=axis, where=where, out=None)
    present = x != -np.inf if where is None else where & (x != -np.inf)
    cotangent = np.where(present, dy, x.dtype.type(0))
    mean = (y * cotangent).sum(axis=axis, keepdims=True)
    dx = np.where(np.isfinite(mean), y * (cotangent - mean), x.dtype.type(np.nan))
    return np.where(present, dx, x.dtype.type(0))
