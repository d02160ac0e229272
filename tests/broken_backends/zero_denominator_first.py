"""Fault: where the denominator of a gate is 0 the gradient is 0, even if dy is NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    softmax,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

from ._gates import degenerate

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    dx = backend.sa_softmax_vjp(
        x, dy, form=form, detach_extrema=detach_extrema, axis=axis, where=where
    )
    return np.where(degenerate(x, form, axis, where), 0, dx).astype(x.dtype)  # the fault
