"""Fault: SA-Softmax takes the minimum over all finite logits of a row, masked ones too."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    everywhere = x != -np.inf  # the fault
    return stored(gated(x, form, axis, where, everywhere), x, out)


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    everywhere = x != -np.inf  # the fault
    options: dict[str, Any] = {"detach_extrema": detach_extrema, "in_minimum": everywhere}
    return gradient(x, dy, form, axis, where, **options)
