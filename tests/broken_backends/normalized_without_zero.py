"""Fault: the normalized gate is that of minmax: the appended 0 is forgotten."""

from __future__ import annotations

from typing import Any

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
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


def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any) -> Any:
    form = "minmax" if form == "normalized" else form  # the fault
    options = {"detach_extrema": detach_extrema, "axis": axis, "where": where}
    return backend.sa_softmax(x, form=form, out=out, **options)


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    form = "minmax" if form == "normalized" else form  # the fault
    options = {"detach_extrema": detach_extrema, "axis": axis, "where": where}
    return backend.sa_softmax_vjp(x, dy, form=form, **options)
