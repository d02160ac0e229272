"""The results of a row of any kind, from what is noted of it and its exponentials."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

from ._functions import inlined
from ._layout import FLOAT64, SA_SOFTMAX, SSMAX
from ._logarithm import divide_words
from ._memory import load_double, load_long, store_double
from ._narrow_gradients import gradient_of_row, write_gradients
from ._narrow_weights import fill_invalid, write_weights
from ._notes import (
    AT,
    DY_AT,
    DY_TAIL,
    EMPTY,
    INVALID,
    LARGEST,
    LEFT,
    LOG_N,
    LOWER,
    SCALE,
    SMALLEST,
    SPAN,
    SUMS,
    TAIL,
)
from ._wide_exponential import LIFT
from ._wide_facts import is_left_by_sums
from ._wide_rows import write_wide_weights

__all__ = ["results_of_kind"]

UNLIFT = 2.0**-LIFT


def results_of_kind(storage: int, function: int, gradients: bool, pairs: int) -> Any:  # noqa: FBT001
    """Return what writes rows of one format and function, for numba to compile into others.

    ``pairs`` is how many sums of a row there are.
    """
    wide = storage == FLOAT64

    @inlined
    def sum_at(note, i):
        """Return a sum of the row; one that overflowed, or a NaN, has no second word."""
        if i >= pairs:
            return 0.0
        high = load_double(note + SUMS + 16 * i)
        return high + load_double(note + SUMS + 16 * i + 8) if high - high == 0.0 else high

    @inlined
    def write_row(
        note, own_kept, whole, chunks, form, detach_extrema, stream, target, rest, term, rows
    ):
        """Write the results of a row, and its terms if there is a place for them.

        Return whether the row is left instead.
        """
        if load_long(note + LEFT):
            return True
        at, tail = load_long(note + AT), load_long(note + TAIL)
        empty, invalid = load_long(note + EMPTY) != 0, load_long(note + INVALID) != 0
        span, scale = load_double(note + SPAN), load_double(note + SCALE)
        if wide and not gradients:
            factor, factor_low = 0.0, 0.0
            if not (empty or span == 0.0):
                total, total_low = load_double(note + SUMS), load_double(note + SUMS + 8)
                factor, factor_low = divide_words(1.0, 0.0, total * UNLIFT, total_low * UNLIFT)
            write_wide_weights(stream, own_kept, factor, factor_low, target, whole, rest, chunks)
            return False
        if gradients:
            sums = (
                sum_at(note, 0),
                sum_at(note, 1),
                sum_at(note, 2),
                sum_at(note, 3),
                load_double(note + SUMS + 64) if pairs == 4 else 0.0,
                load_double(note + SUMS + 72) if pairs == 4 else 0.0,
            )
            log_n, smallest = load_double(note + LOG_N), load_double(note + SMALLEST)
            own = empty, invalid, scale, log_n, span, smallest, load_double(note + LARGEST)
            found = gradient_of_row(function, form, detach_extrema, own, sums)
            if wide and not empty:
                mean = sums[1] / sums[0]
                if is_left_by_sums(mean) or is_left_by_sums(found[2]):
                    return True
                if function == SA_SOFTMAX and is_left_by_sums(sums[2] / sums[0]):
                    return True
            invalid = found[0]
            if function == SSMAX and term != 0:
                store_double(term, found[6])
                store_double(term + 8 * rows, 0.0)
                store_double(term + 16 * rows, found[7])
                store_double(term + 24 * rows, 0.0)
            if not invalid:
                write_gradients(
                    storage,
                    function,
                    stream,
                    own_kept,
                    at,
                    tail,
                    load_long(note + DY_AT),
                    load_long(note + DY_TAIL),
                    whole,
                    chunks,
                    load_double(note + LOWER),
                    smallest,
                    load_double(note + LARGEST),
                    found,
                    target,
                    rest,
                )
        if invalid or not gradients:
            factor = 1.0
            if invalid:
                fill_invalid(storage, own_kept, at, whole, tail, chunks)
            else:
                factor = 0.0 if empty or span == 0.0 else 1.0 / sum_at(note, 0) / span
            write_weights(storage, stream, own_kept, factor, target, whole, rest, chunks)
        return False

    return write_row
