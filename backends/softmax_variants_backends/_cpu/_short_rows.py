"""Softmax of short rows: the largest logits, and the sums, of ``LANES`` rows at once.

Where a row has a chunk or two, finding its extremum and its sum among the lanes of a vector, and
dividing, would take as long as the exponentials do. The bits are those of rows one by one.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

from ._exponential import exponential
from ._functions import inlined
from ._intrinsics import (
    LANES,
    count,
    equal,
    full,
    full_float,
    larger_or_nan,
    largest_of_rows_or_nan,
    less,
    select,
    sums_of_rows,
    widen,
)
from ._memory import load_double, load_doubles, load_floats, store_doubles, store_floats
from ._storage import size_of, store

__all__ = ["SHORT_CHUNKS", "short_rows"]

SHORT_CHUNKS = 8
_FLOATS, _DOUBLES = 4 * LANES, 8 * LANES


@inlined
def short_rows(
    storage,
    at,
    pitch,
    tail,
    tail_pitch,
    whole,
    chunks,
    kept,
    lanes,
    stream,
    target,
    target_pitch,
    rest,
    rest_pitch,
):
    """Write the weights of LANES rows; return whether it was done: no row is invalid.

    ``lanes`` is scratch space for as many vectors, and one more.
    """
    numbers = lanes + LANES * _DOUBLES
    for r in range(LANES):
        high = full_float(-math.inf)
        for c in range(chunks):
            x = load_floats(at + r * pitch + _FLOATS * c if c < whole else tail + r * tail_pitch)
            high = larger_or_nan(x, high)
        store_floats(lanes + _FLOATS * r, high)
    largest = widen(largest_of_rows_or_nan(lanes))
    if count(less(largest, full(math.inf))) < LANES:
        return False
    empty = equal(largest, full(-math.inf))
    store_doubles(numbers, select(empty, full(0.0), largest))
    for r in range(LANES):
        pivot = load_double(numbers + 8 * r)
        total = full(0.0)
        for c in range(chunks):
            x = load_floats(at + r * pitch + _FLOATS * c if c < whole else tail + r * tail_pitch)
            power = exponential(storage, widen(x) - pivot)
            store_doubles(kept + _DOUBLES * (r * chunks + c), power)
            total = total + power
        store_doubles(lanes + _DOUBLES * r, total)
    factor = select(empty, full(0.0), full(1.0) / sums_of_rows(lanes))
    store_doubles(numbers, factor)
    size = LANES * size_of(storage)
    for r in range(LANES):
        factor_of_row = load_double(numbers + 8 * r)
        for c in range(chunks):
            to = target + r * target_pitch + size * c if c < whole else rest + r * rest_pitch
            value = load_doubles(kept + _DOUBLES * (r * chunks + c)) * factor_of_row
            store(storage, stream and c < whole, to, value)
    return True
