"""Checks of the modules' options."""

from __future__ import annotations

import math

from softmax_variants._libraries import describe

__all__ = ["check_finite", "check_integer"]


def check_integer(argument: str, value: object, *, least: int | None = None) -> int:
    """Return an option that is an integer, and not below the least."""
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{argument} must be an int, got {describe(value)}"
        raise TypeError(msg)
    if least is not None and value < least:
        msg = f"{argument} must be at least {least}, got {value}"
        raise ValueError(msg)
    return value


def check_finite(argument: str, value: object, alternatives: str) -> float:
    """Return an option that is a finite number, as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{argument} must be a number {alternatives}, got {describe(value)}"
        raise TypeError(msg)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        msg = f"{argument} must be finite, got {describe(value)}"
        raise ValueError(msg)
    return number
