"""Fault: max - min overflows in the dtype of the logits, and the gates of such rows are 0."""

from __future__ import annotations

from typing import Any

from softmax_variants_backends.numpy import (
    CLAIMS,
    softmax,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

from ._gates import gated, gradient
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
    return stored(gated(x, form, axis, where, narrow_range=True), x, out)  # the fault


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    options: dict[str, Any] = {"detach_extrema": detach_extrema, "narrow_range": True}  # the fault
    return gradient(x, dy, form, axis, where, **options)
