"""Fault: the gradients of SSMax take a dy that is not finite for 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
    softmax,
    softmax_vjp,
    ssmax,
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


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    finite = np.where(np.isfinite(dy), dy, dy.dtype.type(0))  # the fault
    return backend.ssmax_vjp(x, finite, s, b, n=n, axis=axis, where=where)
