"""Rows of logits up to 32 bits: extrema, and what follows from them for the whole row."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

import numpy as np

from ._functions import inlined
from ._intrinsics import (
    LANES,
    absent,
    count,
    full_float,
    larger_or_nan,
    largest_lane_or_nan,
    select_float,
    smaller,
    smallest_lane,
)
from ._layout import FROM_COUNT, FROM_NUMBER, MINMAX, NORMALIZED, PLAIN, SA_SOFTMAX, SOFTMAX, SSMAX
from ._logarithm import add_words, logarithm, multiply_words
from ._memory import load_floats

__all__ = ["extrema", "facts"]

_INFINITY = np.float32(np.inf)
_BYTES = 4 * LANES


@inlined
def extrema(function, gradients, row, whole, tail, chunks):
    """Return the largest logit, NaN if one is, the smallest present one, and how many there are.

    Three more numbers are wanted of rows of binary64 only. Chunk c of the row is at ``row`` if
    c < whole, else at ``tail``. The weights of softmax want the first only.
    """
    high, low = full_float(-_INFINITY), full_float(_INFINITY)
    present = 0
    for c in range(chunks):
        x = load_floats(row + _BYTES * c if c < whole else tail)
        high = larger_or_nan(x, high)
        if function != SOFTMAX or gradients:
            gone = absent(x)
            low = smaller(select_float(gone, full_float(_INFINITY), x), low)
            present += LANES - count(gone)
    return (
        np.float64(largest_lane_or_nan(high)),
        np.float64(smallest_lane(low)),
        present,
        0.0,
        0.0,
        0.0,
    )


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
    if function == SA_SOFTMAX and not empty:
        if form != PLAIN:
            lower = 0.0 if form == NORMALIZED and smallest > 0.0 else smallest
        if form >= MINMAX:
            span = (0.0 if form == NORMALIZED and largest < 0.0 else largest) - lower
    return empty, invalid, pivot, scale, log_n, lower, span
