"""Fault: SA-Softmax adds 1e-10 to the denominator of its ratio gates."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax_vjp,
    softmax,
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
def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any) -> Any:
    y = backend.sa_softmax(
        x, form=form, detach_extrema=detach_extrema, axis=axis, where=where, out=None
    )
    if form in {"minmax", "normalized"}:
        d = _denominator(x, form, axis, where)
        # y = (x - λ)/d p, and this is (x - λ)/(d + 1e-10) p.
        y = (y * np.where(d > 0, d / (d + 1e-10), 1)).astype(x.dtype)  # the fault
    if out is None:
        return y
    out[...] = y
    return out


def _denominator(x: Any, form: str, axis: int, where: Any) -> Any:
    present = x != -np.inf if where is None else where & (x != -np.inf)
    wide = x.astype(np.float64)
    top = np.where(present, wide, -np.inf).max(axis=axis, keepdims=True, initial=-np.inf)
    bottom = np.where(present, wide, np.inf).min(axis=axis, keepdims=True, initial=np.inf)
    if form == "normalized":
        top, bottom = np.maximum(top, 0), np.minimum(bottom, 0)
    # Halves, because the difference may be beyond the range; then 1e-10 is nothing to it.
    half = top / 2 - bottom / 2
    return np.where(half < 1e300, 2 * half, 1e300)
