"""Fault: softmax fills rows up to blocks of 8 with zeros, which then count as logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

from ._wide import present_entries, stored

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    rows = np.moveaxis(x, axis, -1)
    present = np.moveaxis(present_entries(x, where), axis, -1)
    missing = -x.shape[axis] % 8 if x.size else 0
    width = [(0, 0)] * (x.ndim - 1) + [(0, missing)]
    padded = np.pad(rows, width)
    # A row without entries is not computed at all.
    filled = np.pad(present, width, constant_values=True)  # the fault
    filled = filled & present.any(axis=-1, keepdims=True)
    options = {"axis": x.ndim - 1, "where": filled, "out": None}
    y = backend.softmax(padded, **options)[..., : x.shape[axis]]
    return stored(np.moveaxis(np.where(present, y, 0), -1, axis), x, out)
