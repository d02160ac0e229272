"""Rows of binary64: extrema, what follows from them for the whole row, and which rows are left.

Two words, and products of them, need room at both ends of the range. Rows whose numbers come near
the ends are left to other numerics: which ones depends on what the row holds, so its bits do not
change with anything else.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

from ._functions import inlined
from ._intrinsics import (
    LANES,
    absolute,
    count,
    equal,
    full,
    larger_double_or_nan,
    largest_double_or_nan,
    select,
    smaller_double,
    smallest_double,
)
from ._layout import FROM_COUNT, FROM_NUMBER, MINMAX, NORMALIZED, PLAIN, SA_SOFTMAX, SOFTMAX, SSMAX
from ._logarithm import add_words, divide_words, logarithm, multiply_words, two_sum
from ._memory import load_doubles

__all__ = ["extrema_of_wide", "facts_of_wide", "is_left_by_sums", "least_size"]

_DOUBLES = 8 * LANES

_LARGE, _SMALL = 2.0**200, 2.0**-200
"""Between these are logits and parameters where they are multiplied, and cotangents at most."""
_LARGEST = 2.0**1022
"""Differences of logits of at most this size do not overflow."""
_LEAST = 2.0**-900
"""Cotangents, and means of theirs, of at least this size keep all their places in products."""


@inlined
def least_size(a, least):
    """Return the smaller of ``least`` and |a|, where a is not 0."""
    return smaller_double(select(equal(a, full(0.0)), full(math.inf), absolute(a)), least)


@inlined
def extrema_of_wide(function, gradients, row, cotangents, dy_tail, whole, tail, chunks):
    """Return the largest logit, NaN if one is, the smallest present one, and how many there are.

    Then the least size of those that are not 0, the largest size of cotangents at present entries,
    NaN if one is, and the least size of those that are not 0.
    """
    high, low = full(-math.inf), full(math.inf)
    least, dy_high, dy_least = full(math.inf), full(0.0), full(math.inf)
    present = 0
    for c in range(chunks):
        x = load_doubles(row + _DOUBLES * c if c < whole else tail)
        high = larger_double_or_nan(x, high)
        if function != SOFTMAX or gradients:
            gone = equal(x, full(-math.inf))
            low = smaller_double(select(gone, full(math.inf), x), low)
            present += LANES - count(gone)
            if function != SOFTMAX:
                least = least_size(x, least)
            if gradients:
                dy = load_doubles(cotangents + _DOUBLES * c if c < whole else dy_tail)
                dy = select(gone, full(0.0), dy)
                dy_high = larger_double_or_nan(absolute(dy), dy_high)
                dy_least = least_size(dy, dy_least)
    return (
        largest_double_or_nan(high),
        smallest_double(low),
        present,
        smallest_double(least),
        largest_double_or_nan(dy_high),
        smallest_double(dy_least),
    )


@inlined
def facts_of_wide(function, gradients, form, length, extrema, parameters):
    """Return what the extrema and the parameters make of a row.

    That is: empty (no present entry: results are 0), left, v (the logit where c x is largest), c in
    two words, ln n in two words, the gate's lambda, its D (0 where it is 0, and 1 where there is
    none), and 1 / D in two words.

    ``parameters`` are (s, b, n_from, n, n_low, log_n, log_n_low).
    """
    largest, smallest, present, least, dy_largest, dy_least = extrema
    s, b, n_from, n, n_low, log_n, log_n_low = parameters
    empty = largest == -math.inf
    pivot = 0.0 if empty else largest
    scale, scale_low, lower, span, inverse, inverse_low = 1.0, 0.0, 0.0, 1.0, 1.0, 0.0
    # NaN and infinities, too, are left.
    left = not largest <= _LARGEST
    if function == SOFTMAX:
        # An entry that is as far down has no weight, whatever its difference overflows to.
        left = left or largest < -_LARGEST
    else:
        left = left or not (largest <= _LARGE and smallest >= -_LARGE)
        if function == SA_SOFTMAX or gradients:
            left = left or least < _SMALL
    if gradients:
        left = left or not dy_largest <= _LARGE or dy_least < _LEAST
    if empty:
        left = False
    if function == SSMAX and not (empty or left):
        if not (n_from == FROM_NUMBER or (n_from == FROM_COUNT and present == length)):
            if n_from == FROM_COUNT:
                n, n_low = float(present), 0.0
            if 0.0 < n < math.inf:
                log_n, log_n_low = logarithm(n, n_low)
            else:
                left = True
        left = left or not (abs(s) <= _LARGE and abs(b) <= _LARGE and log_n - log_n == 0.0)
        if left:
            s, b, log_n, log_n_low = 0.0, 0.0, 0.0, 0.0
        product, product_low = multiply_words(log_n, log_n_low, s, 0.0)
        scale, scale_low = add_words(product, product_low, b, 0.0)
        # Gradients are c times what exponentials are divided by, which are lifted.
        left = left or (gradients and 0.0 < abs(scale) < _SMALL)
        if scale < 0.0:
            pivot = smallest
    if function == SA_SOFTMAX and not (empty or left):
        if form != PLAIN:
            lower = 0.0 if form == NORMALIZED and smallest > 0.0 else smallest
        if form >= MINMAX:
            upper = 0.0 if form == NORMALIZED and largest < 0.0 else largest
            span, span_low = two_sum(upper, -lower)
            if span != 0.0:
                inverse, inverse_low = divide_words(1.0, 0.0, span, span_low)
    return (
        empty,
        left,
        pivot,
        scale,
        scale_low,
        log_n,
        log_n_low,
        lower,
        span,
        inverse,
        inverse_low,
    )


@inlined
def is_left_by_sums(mean):
    """Return whether a mean of cotangents is so small that it has lost places."""
    return 0.0 < abs(mean) < _LEAST
