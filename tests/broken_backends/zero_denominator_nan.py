"""Fault: SA-Softmax divides by the denominator of its gates also where it is 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    softmax,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

from ._gates import degenerate
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


def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any) -> Any:
    y = backend.sa_softmax(
        x, form=form, detach_extrema=detach_extrema, axis=axis, where=where, out=None
    )
    return stored(np.where(degenerate(x, form, axis, where), np.nan, y), x, out)  # the fault


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    dx = backend.sa_softmax_vjp(
        x, dy, form=form, detach_extrema=detach_extrema, axis=axis, where=where
    )
    return np.where(degenerate(x, form, axis, where), np.nan, dx).astype(x.dtype)  # the fault
