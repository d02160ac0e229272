"""What broken backends share: softmax in binary64, in small steps that a fault can be put into."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["exponentials", "halves", "present_entries", "ratio", "shifted", "stored", "summed"]


def present_entries(x: Any, where: Any) -> Any:
    """Return where entries are present, of the shape of x."""
    return (x != -np.inf) & (True if where is None else where)


def shifted(x: Any, present: Any, axis: int) -> Any:
    """Return x - max in binary64, -inf at absent entries."""
    wide = np.where(present, x, -np.inf).astype(np.float64)
    top = wide.max(axis=axis, keepdims=True, initial=-np.inf)
    return np.where(present, wide - top, -np.inf)


def exponentials(x: Any, present: Any, axis: int) -> Any:
    """Return exp(x - max) in binary64, 0 at absent entries."""
    return np.where(present, np.exp(shifted(x, present, axis)), 0.0)


def halves(e: Any, axis: int) -> Any:
    """Return a sum along an axis, always in the same tree: halves added to halves."""
    while (length := e.shape[axis]) > 1:
        first, second, odd = (
            np.take(e, range(*ends), axis=axis)
            for ends in (
                (0, length // 2),
                (length // 2, length // 2 * 2),
                (length // 2 * 2, length),
            )
        )
        e = np.concatenate([first + second, odd], axis=axis)
    return e.sum(axis=axis, keepdims=True)


def ratio(e: Any, total: Any, present: Any) -> Any:
    """Return e / total, 0 at absent entries."""
    return np.where(present, e / np.where(total == 0, 1, total), 0)


def stored(y: Any, x: Any, out: Any) -> Any:
    """Return weights in the dtype of x, in out if there is one."""
    if out is None:
        return y.astype(x.dtype)
    out[...] = y
    return out


def summed(by_row: Any, like: Any) -> Any:
    """Return terms of rows summed as the gradient of a parameter, of the shape of ``like``."""
    full = (1,) * (by_row.ndim - like.ndim) + like.shape
    axes = tuple(i for i, length in enumerate(full) if length != by_row.shape[i])
    total = by_row.sum(axis=axes, keepdims=True, dtype=np.float64)
    return total.reshape(like.shape).astype(like.dtype)
