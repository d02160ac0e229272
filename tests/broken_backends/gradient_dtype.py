"""Fault: the gradients of softmax and SA-Softmax are binary64, whatever the dtype of logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    softmax,
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


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    dx = backend.softmax_vjp(x, dy, axis=axis, where=where)
    return dx.astype(np.float64)  # the fault


def sa_softmax_vjp(x: Any, dy: Any, **options: Any) -> Any:
    return backend.sa_softmax_vjp(x, dy, **options).astype(np.float64)  # the fault
