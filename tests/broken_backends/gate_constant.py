"""Fault: the gate of SA-Softmax is a constant to the gradient."""

from __future__ import annotations

from typing import Any

from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    softmax,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

from ._gates import gradient

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
    del detach_extrema
    return gradient(x, dy, form, axis, where, detach_extrema=True, gate_moves=False)  # the fault
