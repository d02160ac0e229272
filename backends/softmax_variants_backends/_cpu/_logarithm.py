"""Numbers in two words, unevaluated sums of two doubles, and the natural logarithm of one.

Relative errors are a few 2^-106: Joldes, Muller and Popescu, "Tight and rigorous error bounds for
basic building blocks of double-word arithmetic", ACM TOMS 44(2), 2017. Low words are right as long
as no product's error falls below 2^-1074: callers keep what they multiply away from the ends of the
range.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math
from fractions import Fraction

from ._functions import called, inlined
from ._intrinsics import scalar_fma

__all__ = ["add_words", "divide_words", "fast_two_sum", "logarithm", "multiply_words", "two_sum"]


@inlined
def two_sum(a, b):
    """Return the rounded sum and its exact error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inlined
def fast_two_sum(a, b):
    """Do the same where |a| >= |b| or a is 0 (Dekker)."""
    total = a + b
    return total, b - (total - a)


@inlined
def add_words(a, a_low, b, b_low):
    """Error at most 3 * 2^-106 of the sum also under cancellation."""
    high, high_error = two_sum(a, b)
    low, low_error = two_sum(a_low, b_low)
    high, rest = fast_two_sum(high, high_error + low)
    return fast_two_sum(high, rest + low_error)


@inlined
def multiply_words(a, a_low, b, b_low):
    """Error at most 5 * 2^-106."""
    product = a * b
    error = scalar_fma(a, b, -product)
    return fast_two_sum(product, error + scalar_fma(a, b_low, a_low * b))


@inlined
def divide_words(a, a_low, b, b_low):
    """Error at most 10 * 2^-106."""
    quotient = a / b
    # Exact: the remainder of a division is a number of as many bits.
    remainder = scalar_fma(-quotient, b, a) + a_low
    remainder = scalar_fma(-quotient, b_low, remainder)
    return fast_two_sum(quotient, remainder / b)


_PAIRS = tuple(
    (float(v), float(v - Fraction(float(v)))) for v in (Fraction(1, 2 * j + 1) for j in range(5))
)
"""Terms of the series that need two words."""
_P4, _P3, _P2, _P1, _P0 = reversed(_PAIRS)
_TAIL = tuple(1.0 / (2 * j + 1) for j in range(20, 4, -1))
_LN2, _LN2_LOW = float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.abc9e3b39803fp-56")
_SQRT2 = math.sqrt(2.0)


@called
def logarithm(n, n_low):
    """Return ln n in two words, for n positive and finite; ln 1 is exactly 0.

    Relative error below 2^-80 also next to 1. It is q ln 2 + 2 artanh(t), t = (m - 1)/(m + 1),
    n = 2^q m, m in [0.70, 1.42). The series in w = t^2 <= 0.0295 ends where w^j is below 2^-105;
    its terms from w^5 < 2^-25 on need one word.
    """
    m, q = math.frexp(n)  # m in [0.5, 1)
    # In two steps: 2^-q may be no normal number.
    m_low = math.ldexp(math.ldexp(n_low, -(q >> 1)), (q >> 1) - q)
    if m < 0.5 * _SQRT2:
        m, m_low, q = 2.0 * m, 2.0 * m_low, q - 1
    # m - 1 has no rounding: both are between a half and 2.
    top, top_low = two_sum(m - 1.0, m_low)
    bottom, bottom_low = add_words(m, m_low, 1.0, 0.0)
    t, t_low = divide_words(top, top_low, bottom, bottom_low)
    w, w_low = multiply_words(t, t_low, t, t_low)
    series, series_low = _TAIL[0], 0.0
    for j in range(1, 16):
        series = scalar_fma(series, w, _TAIL[j])
    for pair in (_P4, _P3, _P2, _P1, _P0):
        # |product| is below a tenth of the coefficient: the fast sum is exact.
        product, product_low = multiply_words(series, series_low, w, w_low)
        series, error = fast_two_sum(pair[0], product)
        series_low = error + (product_low + pair[1])
    found, found_low = multiply_words(t, t_low, series, series_low)
    multiple, multiple_low = multiply_words(_LN2, _LN2_LOW, float(q), 0.0)
    return add_words(multiple, multiple_low, 2.0 * found, 2.0 * found_low)
