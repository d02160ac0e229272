"""Short rows of logits up to 32 bits: LANES rows at once, one in each lane.

One by one, a row of a chunk or two would spend as long on its extrema, its sum and what follows
from them as on its exponentials. Here entry j of all rows is a vector, and so is each number of a
row. The bits are those of rows one by one: sums have the same tree, results the same operations.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._exponential import exponential, precision_of
from ._functions import called_of_kind, inlined
from ._intrinsics import (
    LANES,
    add_where_equal,
    count,
    equal,
    fma,
    full,
    full_float,
    larger_or_nan,
    less,
    no_counts,
    numbers_of,
    present_or,
    select,
    smaller,
    sum_of_counts,
    sum_of_vectors,
    widen,
)
from ._lanes import either, same
from ._layout import (
    DETACH,
    DY,
    FLOAT64,
    FORM,
    FROM_ARRAY,
    LENGTH,
    N_FROM,
    OUT,
    PARAMETER_B,
    PARAMETER_N,
    PARAMETER_S,
    ROWS,
    SA_SOFTMAX,
    SOFTMAX,
    SSMAX,
    X,
)
from ._memory import load_double, load_doubles, load_floats, store_double, store_doubles
from ._narrow_facts import facts, gate_facts
from ._narrow_gradients import (
    at_extrema,
    gradient_of_entries,
    gradient_of_row,
    powers_of_entries,
)
from ._narrow_weights import argument, gate_numerator
from ._offsets import field, row_distance
from ._row_parameters import parameters_of_row
from ._short_tiles import (
    SHORT_LENGTH,
    TILE_BYTES,
    address_of_row,
    columns_of,
    is_in_columns,
    rows_from_columns,
)
from ._storage import size_of, store

__all__ = ["SHORT_BYTES", "SHORT_LENGTH", "short_rows_of_kind"]

_DOUBLES = 8 * LANES

# Scratch space: entries of x, dy and results; exponentials; lanes of four sums; numbers of rows.
_X_TILE, _DY_TILE, _OUT_TILE = 0, TILE_BYTES, 2 * TILE_BYTES
_KEPT = 3 * TILE_BYTES
_SUMS = _KEPT + _DOUBLES * SHORT_LENGTH
_SUM = _DOUBLES * LANES
_LARGEST, _SMALLEST, _ABSENT, _PIVOT, _SCALE, _LOG_N = (
    _SUMS + 4 * _SUM + _DOUBLES * k for k in range(6)
)
SHORT_BYTES = _LOG_N + _DOUBLES

_INFINITY = np.float32(np.inf)


def short_rows_of_kind(storage: int, function: int, gradients: bool) -> Any:  # noqa: FBT001
    """Return what evaluates short rows of one format and function, for numba to compile.

    Those of float64 are evaluated one by one.
    """
    if storage == FLOAT64:

        @inlined
        def no_rows(*_):
            return False

        return no_rows

    @inlined
    def sums_of_weights(space, x_at, x_step, entries, pivot, scale, lower):
        precision = precision_of(storage, gradients)
        for lane in range(min(LANES, entries)):
            total = full(0.0)
            for j in range(lane, entries, LANES):
                x = widen(load_floats(x_at + x_step * j))
                power = exponential(precision, argument(function, x - pivot, scale))
                total = total + power
                if function == SA_SOFTMAX:
                    power = power * gate_numerator(x, lower)
                store_doubles(space + _KEPT + _DOUBLES * j, power)
            store_doubles(space + _SUMS + _DOUBLES * lane, total)

    @inlined
    def sums_of_gradients(space, x_at, x_step, dy_at, dy_step, entries, pivot, scale, lower):
        precision = precision_of(storage, gradients)
        for lane in range(min(LANES, entries)):
            total, weighted, third, fourth = full(0.0), full(0.0), full(0.0), full(0.0)
            for j in range(lane, entries, LANES):
                x = widen(load_floats(x_at + x_step * j))
                dy = widen(load_floats(dy_at + dy_step * j))
                power, terms = powers_of_entries(function, precision, x, dy, pivot, scale, lower)
                store_doubles(space + _KEPT + _DOUBLES * j, power)
                total = total + power
                if function == SOFTMAX:
                    weighted = fma(power, terms[0], weighted)
                if function == SSMAX:
                    weighted = weighted + terms[0]
                    third = fma(power, terms[1], third)
                    fourth = fma(terms[0], terms[1], fourth)
                if function == SA_SOFTMAX:
                    third = third + terms[0]
                    weighted = fma(terms[0], terms[1], weighted)
            at = space + _SUMS + _DOUBLES * lane
            store_doubles(at, total)
            store_doubles(at + _SUM, weighted)
            if function != SOFTMAX:
                store_doubles(at + 2 * _SUM, third)
            if function == SSMAX:
                store_doubles(at + 3 * _SUM, fourth)

    def short_rows(layout, row, x, dy, out, mask, s, b, n, n_low, terms, numbers, space, stream):
        """Write the results of LANES rows; return whether it was done: no row is invalid."""
        entries, form = field(layout, LENGTH), field(layout, FORM)
        x_at, x_step = columns_of(
            storage, layout, X, row, x, mask, entries, space + _X_TILE, -math.inf
        )
        dy_at, dy_step = np.int64(0), np.int64(0)
        if gradients:
            dy_at, dy_step = columns_of(
                storage, layout, DY, row, dy, 0, entries, space + _DY_TILE, 0.0
            )

        high, low, absent = full_float(-_INFINITY), full_float(_INFINITY), no_counts()
        for j in range(entries):
            value = load_floats(x_at + x_step * j)
            high = larger_or_nan(value, high)
            if function != SOFTMAX:
                low = smaller(value, low)
        largest, smallest = widen(high), widen(low)
        if count(less(largest, full(math.inf))) < LANES:
            return False
        if function != SOFTMAX and count(equal(smallest, full(-math.inf))) > 0:
            low = full_float(_INFINITY)
            for j in range(entries):
                value = load_floats(x_at + x_step * j)
                absent = add_where_equal(absent, value, full_float(-_INFINITY))
                low = smaller(present_or(value, full_float(_INFINITY)), low)
            smallest = widen(low)
        empty = equal(largest, full(-math.inf))
        pivot, scale, log_n = select(empty, full(0.0), largest), full(1.0), full(0.0)
        lower, span = full(0.0), full(1.0)
        if function == SSMAX:
            store_doubles(space + _LARGEST, largest)
            store_doubles(space + _SMALLEST, smallest)
            store_doubles(space + _ABSENT, numbers_of(absent))
            alike = (
                sum_of_counts(absent) == 0
                and (s == 0 or row_distance(layout, PARAMETER_S) == 0)
                and (b == 0 or row_distance(layout, PARAMETER_B) == 0)
                and (field(layout, N_FROM) != FROM_ARRAY or row_distance(layout, PARAMETER_N) == 0)
            )
            for r in range(1 if alike else LANES):
                present = entries - np.int64(load_double(space + _ABSENT + 8 * r))
                found = (
                    load_double(space + _LARGEST + 8 * r),
                    load_double(space + _SMALLEST + 8 * r),
                    present,
                    0.0,
                    0.0,
                    0.0,
                )
                parameters = parameters_of_row(layout, row + r, s, b, n, n_low, *numbers)
                own = facts(function, form, entries, found, parameters)
                if own[1]:
                    return False
                store_double(space + _PIVOT + 8 * r, own[2])
                store_double(space + _SCALE + 8 * r, own[3])
                store_double(space + _LOG_N + 8 * r, own[4])
            if alike:
                scale = full(load_double(space + _SCALE))
                log_n = full(load_double(space + _LOG_N))
                pivot = select(less(scale, full(0.0)), smallest, largest)
            else:
                scale, log_n = load_doubles(space + _SCALE), load_doubles(space + _LOG_N)
                pivot = load_doubles(space + _PIVOT)
        if function == SA_SOFTMAX:
            lower, span = gate_facts(form, empty, smallest, largest)

        for k in range(4):
            for lane in range(entries, LANES):
                store_doubles(space + _SUMS + _SUM * k + _DOUBLES * lane, full(0.0))
        if gradients:
            sums_of_gradients(space, x_at, x_step, dy_at, dy_step, entries, pivot, scale, lower)
        else:
            sums_of_weights(space, x_at, x_step, entries, pivot, scale, lower)

        # Columns of results are written where they belong, or turned to rows from scratch space,
        # which is near.
        target, target_step = space + _OUT_TILE, size_of(storage) * LANES
        direct, past_caches = is_in_columns(layout, OUT), False
        if direct:
            target, target_step = address_of_row(storage, layout, OUT, row, out)
        total = sum_of_vectors(space + _SUMS)
        if gradients:
            third = fourth = ties_low = ties_high = full(0.0)
            if function != SOFTMAX:
                third = sum_of_vectors(space + _SUMS + 2 * _SUM)
            if function == SSMAX:
                fourth = sum_of_vectors(space + _SUMS + 3 * _SUM)
            if function == SA_SOFTMAX:
                at_low, at_high = no_counts(), no_counts()
                for j in range(entries):
                    value = load_floats(x_at + x_step * j)
                    at_low = add_where_equal(at_low, value, low)
                    at_high = add_where_equal(at_high, value, high)
                ties_low, ties_high = numbers_of(at_low), numbers_of(at_high)
            found = gradient_of_row(
                function,
                form,
                field(layout, DETACH) != 0,
                (empty, less(full(0.0), full(0.0)), scale, log_n, span, smallest, largest),
                (total, sum_of_vectors(space + _SUMS + _SUM), third, fourth, ties_low, ties_high),
            )
            if count(found[0]) > 0:
                return False
            if function == SSMAX:
                rows = field(layout, ROWS)
                store_doubles(terms + 8 * row, found[6])
                store_doubles(terms + 8 * (row + rows), full(0.0))
                store_doubles(terms + 8 * (row + 2 * rows), found[7])
                store_doubles(terms + 8 * (row + 3 * rows), full(0.0))
            for j in range(entries):
                value = widen(load_floats(x_at + x_step * j))
                dy_value = widen(load_floats(dy_at + dy_step * j))
                power = load_doubles(space + _KEPT + _DOUBLES * j)
                result = gradient_of_entries(
                    storage, function, value, dy_value, power, lower, found
                )
                if function == SA_SOFTMAX:
                    result = at_extrema(value, result, smallest, largest, found)
                store(storage, past_caches, target + target_step * j, result)
        else:
            factor = select(either(empty, same(span, 0.0)), full(0.0), full(1.0) / total / span)
            for j in range(entries):
                power = load_doubles(space + _KEPT + _DOUBLES * j)
                store(storage, past_caches, target + target_step * j, power * factor)
        if not direct:
            rows_from_columns(storage, layout, row, out, entries, target, stream)
        return True

    return called_of_kind(short_rows, storage, function, gradients=gradients)
