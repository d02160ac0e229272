"""Fault: softmax clips x - max at -60, so that no weight is small."""

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

from ._wide import present_entries, ratio, shifted, stored

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
    present = present_entries(x, where)
    z = shifted(x, present, axis)
    z = np.where(np.isfinite(z), np.maximum(z, -60.0), z)  # the fault
    e = np.where(present, np.exp(z), 0)
    return stored(ratio(e, e.sum(axis=axis, keepdims=True), present), x, out)
