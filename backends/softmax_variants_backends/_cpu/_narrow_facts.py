"""Rows of logits up to 32 bits: extrema, and what follows from them for the whole row."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

import numpy as np

from ._functions import inlined
from ._intrinsics import (
    LANES,
    add_where_equal,
    full_float,
    larger_or_nan,
    largest_lane_or_nan,
    no_counts,
    present_or,
    smaller,
    smallest_lane,
    sum_of_counts,
)
from ._lanes import below, chosen, like
from ._layout import FROM_COUNT, FROM_NUMBER, MINMAX, NORMALIZED, PLAIN, SA_SOFTMAX, SOFTMAX, SSMAX
from ._logarithm import add_words, logarithm, multiply_words
from ._memory import load_floats

__all__ = ["extrema", "facts", "gate_facts"]

_INFINITY = np.float32(np.inf)
_BYTES = 4 * LANES


@inlined
def extrema(function, row, whole, tail, chunks):
    """Return the largest logit, NaN if one is, the smallest present one, and how many there are.

    Three more numbers are wanted of rows of binary64 only. Chunk c of the row is at ``row`` if
    c < whole, else at ``tail``. Softmax wants the first only.
    """
    high, low = full_float(-_INFINITY), full_float(_INFINITY)
    for c in range(whole):
        x = load_floats(row + _BYTES * c)
        high = larger_or_nan(x, high)
        if function != SOFTMAX:
            low = smaller(x, low)
    absent = no_counts()
    if function != SOFTMAX and np.float64(smallest_lane(low)) == -math.inf:
        low = full_float(_INFINITY)
        for c in range(whole):
            x = load_floats(row + _BYTES * c)
            absent = add_where_equal(absent, x, full_float(-_INFINITY))
            low = smaller(present_or(x, full_float(_INFINITY)), low)
    if whole < chunks:
        # Lanes behind the last entry count as absent.
        x = load_floats(tail)
        high = larger_or_nan(x, high)
        absent = add_where_equal(absent, x, full_float(-_INFINITY))
        low = smaller(present_or(x, full_float(_INFINITY)), low)
    return (
        np.float64(largest_lane_or_nan(high)),
        np.float64(smallest_lane(low)),
        chunks * LANES - sum_of_counts(absent),
        0.0,
        0.0,
        0.0,
    )


@inlined
def gate_facts(form, empty, smallest, largest):
    """Return the gate's lambda and D: of a row, or of rows in the lanes of vectors."""
    lower, span = like(smallest, 0.0), like(smallest, 1.0)
    if form != PLAIN:
        lower = smallest
        if form == NORMALIZED:
            lower = chosen(below(0.0, smallest), 0.0, smallest)
        lower = chosen(empty, 0.0, lower)
    if form >= MINMAX:
        span = largest
        if form == NORMALIZED:
            span = chosen(below(largest, 0.0), 0.0, largest)
        span = chosen(empty, 1.0, span - lower)
    return lower, span


@inlined
def facts(function, form, length, extrema, parameters):
    """Return what the extrema and the parameters make of a row.

    That is: empty (no present entry: results are 0), invalid (results at present entries are NaN),
    v (the logit where c x is largest), c, ln n, the gate's lambda and D; D is 0 where it is 0, and
    1 where there is none.

    ``parameters`` are (s, b, n_from, n, n_low, log_n, log_n_low).
    """
    largest, smallest, present, _, _, _ = extrema
    s, b, n_from, n, n_low, log_n, log_n_low = parameters
    empty = largest == -math.inf
    invalid = not (largest < math.inf)
    pivot = 0.0 if empty else largest
    scale, lower, span = 1.0, 0.0, 1.0
    if function == SSMAX and not (empty or invalid):
        if not (n_from == FROM_NUMBER or (n_from == FROM_COUNT and present == length)):
            if n_from == FROM_COUNT:
                n, n_low = np.float64(present), 0.0
            if 0.0 < n < math.inf:
                log_n, log_n_low = logarithm(n, n_low)
            else:
                log_n = math.nan
        # It may cancel: in two words it has a relative error below 2^-80 (|s| ln n + |b|)/|c|.
        # Terms that overflow make the row invalid, as a c that does.
        product, product_low = multiply_words(log_n, log_n_low, s, 0.0)
        scale, _ = add_words(product, product_low, b, 0.0)
        invalid = not (
            abs(s) < math.inf
            and abs(b) < math.inf
            and log_n - log_n == 0.0
            and abs(scale) < math.inf
        )
        if invalid:
            scale, log_n = 0.0, 0.0
        if scale < 0.0:
            pivot = smallest
    if function == SA_SOFTMAX:
        lower, span = gate_facts(form, empty, smallest, largest)
    return empty, invalid, pivot, scale, log_n, lower, span
