"""The exponential in two words, for rows of binary64."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

from ._functions import inlined
from ._intrinsics import fma, full, less, select, shift_exponent

__all__ = ["FLOOR", "LIFT", "difference_words", "exponential_in_words", "product_words"]


LIFT = 512
"""Exponentials are larger by 2^LIFT: their low words, and products with what rows may hold (see
_wide_facts), are normal numbers as long as a result is not 0."""
FLOOR = -1024.0
"""Below this, e^z is 0 whatever it is multiplied with: 2^200 for each of two factors leaves it far
under half of the smallest subnormal number."""

_INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")
_LN2 = -float.fromhex("0x1.62e42fefa2000p-1")
_LN2_LOW = -float.fromhex("0x1.9ef35793c7673p-41")
_INTEGER = 1.5 * 2.0**52
_C14, _C13, _C12, _C11, _C10, _C9, _C8, _C7, _C6, _C5, _C4, _C3 = (
    1.0 / math.factorial(j) for j in range(14, 2, -1)
)


@inlined
def _vector_two_sum(a, b):
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inlined
def difference_words(x, v):
    """Return x - v, exactly."""
    total = x - v
    part = total - x
    return total, (x - (total - part)) - (part + v)


@inlined
def product_words(a, a_low, b, b_low):
    """Return a product; error at most 5 * 2^-106."""
    product = a * b
    low = fma(a, b, full(0.0) - product)
    low = low + fma(a, b_low, a_low * b)
    high = product + low
    return high, low - (high - product)


@inlined
def exponential_in_words(z, z_low):
    """Return 2^LIFT exp(z) for z <= 0, in two words; -inf counts as the floor.

    Relative error below 2^-57.5. z = k ln 2 + r, |r| <= 0.3466, and e^r = 1 + r + r^2/2 with all
    words kept, plus the rest of the series, at most 0.0075, with four roundings of it. The series
    ends where r^j/j! is below 2^-62. exp(0) is exactly 1.
    """
    small = less(z, full(FLOOR))
    z = select(small, full(FLOOR), z)
    z_low = select(small, full(0.0), z_low)
    shifted = fma(z, full(_INVERSE_LN2), full(_INTEGER + LIFT))
    steps = shifted - (_INTEGER + LIFT)
    # Exact: the first part of ln 2 has 40 bits, steps have 11, and the two agree within a factor of
    # 2, or steps are 0. The second part is off by 2^-95.
    reduced = fma(steps, full(_LN2), z)
    r = fma(steps, full(_LN2_LOW), reduced)
    # What that rounding lost; r and reduced differ by 2^-29 at most.
    rest = fma(steps, full(_LN2_LOW), reduced - r) + z_low

    square = r * r
    cubic = fma(full(_C14), r, full(_C13))
    cubic = fma(cubic, r, full(_C12))
    cubic = fma(cubic, r, full(_C11))
    cubic = fma(cubic, r, full(_C10))
    cubic = fma(cubic, r, full(_C9))
    cubic = fma(cubic, r, full(_C8))
    cubic = fma(cubic, r, full(_C7))
    cubic = fma(cubic, r, full(_C6))
    cubic = fma(cubic, r, full(_C5))
    cubic = fma(cubic, r, full(_C4))
    cubic = fma(cubic, r, full(_C3))
    cubic = cubic * (r * square)

    square_low = fma(r, r, full(0.0) - square)
    linear = r + 1.0
    linear_low = r - (linear - 1.0)
    high = fma(full(0.5), square, linear)
    low = linear_low + fma(full(0.5), square, linear - high)
    low = cubic + fma(full(0.5), square_low, low)
    low = fma(rest, high + cubic, low)
    total = high + low
    low = low - (total - high)
    # By a multiplication: the low word may be 0.
    power = shift_exponent(full(1.0), shifted)
    return total * power, low * power
