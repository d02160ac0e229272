"""Fault: where an extremum is 0, the appended zero takes half of its derivative.

The others share the other half, as in torch's amax followed by maximum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

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
    options: dict[str, Any] = {"detach_extrema": detach_extrema, "shares": _shares}
    return gradient(x, dy, form, axis, where, **options)


def _shares(x: Any, extremum: Any, present: Any, form: str, axis: int) -> Any:
    attained = (x == extremum) & present
    share = attained / attained.sum(axis=axis, keepdims=True).clip(1)
    return share / np.where((extremum == 0) & (form == "normalized"), 2.0, 1.0)  # the fault
