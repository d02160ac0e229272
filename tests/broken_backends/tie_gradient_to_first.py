"""Fault: the derivative of a tied extremum goes to the first entry that attains it."""

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
    options: dict[str, Any] = {"detach_extrema": detach_extrema, "shares": _shares}
    return gradient(x, dy, form, axis, where, **options)


def _shares(x: Any, extremum: Any, present: Any, form: str, axis: int) -> Any:
    attained = (x == extremum) & present
    first = attained & (attained.cumsum(axis=axis) == 1)  # the fault
    # The appended 0 has its half, as the specification has it for one entry.
    return first / (2.0 if form == "normalized" else 1.0) ** (extremum == 0)
