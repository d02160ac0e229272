"""The sums of a block of a row of any kind; exponentials are stored on the way."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

from ._functions import inlined
from ._layout import FLOAT64
from ._memory import load_double, load_long
from ._narrow_gradients import sums_of_powers
from ._narrow_weights import sum_of_powers
from ._notes import (
    DY_TAIL,
    INVERSE,
    INVERSE_LOW,
    LARGEST,
    LOWER,
    PIVOT,
    SCALE,
    SCALE_LOW,
    SMALLEST,
    TAIL,
)
from ._wide_rows import sum_of_wide_powers, sums_of_wide_powers

__all__ = ["sums_of_kind"]


def sums_of_kind(storage: int, function: int, gradients: bool) -> Any:  # noqa: FBT001
    """Return what sums blocks of one format and function, for numba to compile into others."""
    wide = storage == FLOAT64

    @inlined
    def sums_of_block(note, own_kept, at, dy_at, whole, chunks, ahead):
        """Return the sums of a block in two words, and counts."""
        tail, pivot = load_long(note + TAIL), load_double(note + PIVOT)
        scale, lower = load_double(note + SCALE), load_double(note + LOWER)
        if wide and gradients:
            return sums_of_wide_powers(
                function,
                own_kept,
                at,
                tail,
                dy_at,
                load_long(note + DY_TAIL),
                whole,
                chunks,
                pivot,
                scale,
                load_double(note + SCALE_LOW),
                lower,
                load_double(note + SMALLEST),
                load_double(note + LARGEST),
            )
        if wide:
            inverse = load_double(note + INVERSE), load_double(note + INVERSE_LOW)
            total, total_low = sum_of_wide_powers(
                function,
                own_kept,
                at,
                whole,
                tail,
                chunks,
                pivot,
                scale,
                load_double(note + SCALE_LOW),
                lower,
                inverse,
                ahead,
            )
            return total, total_low, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        if gradients:
            total, weighted, third, fourth, low, high = sums_of_powers(
                storage,
                function,
                own_kept,
                at,
                tail,
                dy_at,
                load_long(note + DY_TAIL),
                whole,
                chunks,
                pivot,
                scale,
                lower,
                load_double(note + SMALLEST),
                load_double(note + LARGEST),
                ahead,
            )
            return total, 0.0, weighted, 0.0, third, 0.0, fourth, 0.0, low, high
        total = sum_of_powers(
            storage, function, own_kept, at, whole, tail, chunks, pivot, scale, lower, ahead
        )
        return total, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0

    return sums_of_block
