"""What blocks of long rows leave for the next stage, and what all blocks of a row make together."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

import numpy as np

from ._functions import called, inlined
from ._layout import RECORD
from ._logarithm import add_words, two_sum
from ._memory import load_double, store_double

__all__ = [
    "SUMS_IN_RECORD",
    "add_sums",
    "all_extrema",
    "all_sums",
    "record_of",
    "store_extrema",
    "store_sums",
]

_EXTREMA = 6
SUMS_IN_RECORD = 8 * _EXTREMA
"""Bytes before the sums: four pairs of words, and two counts."""
_COUNTS = 8


@inlined
def record_of(records, blocks, row, block):
    """Return where a block's record is."""
    return records + 8 * RECORD * (row * blocks + block)


@inlined
def store_extrema(record, extrema):
    """Store the largest and the smallest logit, the number of present ones, and more."""
    largest, smallest, present, least, dy_largest, dy_least = extrema
    store_double(record, largest)
    store_double(record + 8, smallest)
    store_double(record + 16, np.float64(present))
    store_double(record + 24, least)
    store_double(record + 32, dy_largest)
    store_double(record + 40, dy_least)


@inlined
def _larger_or_nan(a, b):
    return a if a >= b or a != a else b


@called
def all_extrema(records, blocks, row):
    """Return those of a row from those of its blocks."""
    largest, smallest, present = -math.inf, math.inf, 0
    least, dy_largest, dy_least = math.inf, 0.0, math.inf
    for block in range(blocks):
        record = record_of(records, blocks, row, block)
        largest = _larger_or_nan(largest, load_double(record))
        smallest = min(smallest, load_double(record + 8))
        present += int(load_double(record + 16))
        least = min(least, load_double(record + 24))
        dy_largest = _larger_or_nan(dy_largest, load_double(record + 32))
        dy_least = min(dy_least, load_double(record + 40))
    return largest, smallest, present, least, dy_largest, dy_least


@inlined
def store_sums(at, sums, pairs):
    """Store as many sums as there are pairs of words, and the counts behind the fourth."""
    for i in range(2 * pairs):
        store_double(at + 8 * i, sums[i])
    if pairs == 4:
        store_double(at + 8 * _COUNTS, sums[_COUNTS])
        store_double(at + 8 * _COUNTS + 8, sums[_COUNTS + 1])


@inlined
def _add_pair(wide, high, low, term, term_low):
    """Add what is a sum in two words, or has one, so that the number of blocks does not count."""
    if wide:
        return add_words(high, low, term, term_low)
    total, error = two_sum(high, term)
    return total, low + error


@inlined
def add_sums(wide, at, sums, pairs):
    """Add the sums of another block."""
    for i in range(pairs):
        high, low = load_double(at + 16 * i), load_double(at + 16 * i + 8)
        high, low = _add_pair(wide, high, low, sums[2 * i], sums[2 * i + 1])
        store_double(at + 16 * i, high)
        store_double(at + 16 * i + 8, low)
    if pairs == 4:
        for i in range(_COUNTS, _COUNTS + 2):
            store_double(at + 8 * i, load_double(at + 8 * i) + sums[i])


@called
def all_sums(wide, records, blocks, row, at, pairs):
    """Store the sums of a row, from those of its blocks."""
    for block in range(blocks):
        own = record_of(records, blocks, row, block) + SUMS_IN_RECORD
        for i in range(pairs):
            term, term_low = load_double(own + 16 * i), load_double(own + 16 * i + 8)
            if block > 0:
                high, low = load_double(at + 16 * i), load_double(at + 16 * i + 8)
                term, term_low = _add_pair(wide, high, low, term, term_low)
            store_double(at + 16 * i, term)
            store_double(at + 16 * i + 8, term_low)
        if pairs == 4:
            for i in range(_COUNTS, _COUNTS + 2):
                term = load_double(own + 8 * i)
                store_double(at + 8 * i, term if block == 0 else load_double(at + 8 * i) + term)
