"""Fault: the gradient of shifted is 0 where all logits are equal, as the weights are."""

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
    options = {"detach_extrema": detach_extrema, "axis": axis, "where": where}
    dx = backend.sa_softmax_vjp(x, dy, form=form, **options)
    if form != "shifted":
        return dx
    return np.where(degenerate(x, "minmax", axis, where), 0, dx).astype(x.dtype)  # the fault
