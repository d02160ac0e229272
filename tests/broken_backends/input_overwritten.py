"""Fault: softmax leaves x - max in x."""

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

from ._wide import stored

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
    y = backend.softmax(x, axis=axis, where=where, out=None)
    if x.size:
        with np.errstate(all="ignore"):
            x -= x.max(axis=axis, keepdims=True)  # the fault
    return stored(y, x, out)
