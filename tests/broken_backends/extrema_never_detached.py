"""Fault: detach_extrema is ignored: nothing is ever detached."""

from __future__ import annotations

from typing import Any

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
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


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    del detach_extrema  # the fault
    options: dict[str, Any] = {"detach_extrema": False, "axis": axis, "where": where}
    return backend.sa_softmax_vjp(x, dy, form=form, **options)
