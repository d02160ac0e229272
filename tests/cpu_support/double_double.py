"""Double-double arithmetic, compiled: what judges the CPU's kernels shares no code with them.

A number is a pair (high, low) of binary64 with |low| <= ulp(high) / 2, and stands for their sum.
u is 2^-53. The bounds of sums and products are those of Joldes, Muller and Popescu (ACM TOMS 44(2),
2017), for the same sequences of operations. They hold where nothing over- or underflows: magnitudes
of factors stay below 2^900, and those of results above 2^-900 unless an absolute error will do.

Numba fuses no product with a sum unless told to; nothing here asks for it.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import mpmath
import numpy as np
from numba import njit

__all__ = [
    "LOWEST",
    "Pair",
    "accumulate",
    "add",
    "divide_one",
    "exponential",
    "logarithm",
    "multiply",
    "multiply_word",
    "scaled",
    "two_sum",
]

Pair: TypeAlias = tuple[float, float]
Triple: TypeAlias = tuple[float, float, float]

_SPLITTER = 2.0**27 + 1.0
"""Veltkamp's, for 53 bits: halves have 26 bits each, so that their products are exact."""

LOWEST = -1600.0
"""exp of this is below 2^-2308: times a logit of 2^200 and a cotangent of 2^200, less than 2^-800
of the smallest subnormal number of binary64."""

_STEPS = 1024


def _constants() -> tuple[Any, Any, float, Triple, Pair]:
    """Return 2^(j/1024) in two words, 1024 / ln 2, ln 2 / 1024 in three, and 1/6 in two."""
    with mpmath.workprec(300):
        powers = [mpmath.mpf(2) ** (mpmath.mpf(j) / _STEPS) for j in range(_STEPS)]
        high = [float(power) for power in powers]
        low = [float(power - word) for power, word in zip(powers, high, strict=True)]
        step = mpmath.ln(2) / _STEPS  # below 2^-10
        first = int(step * 2**41) / 2**41
        second = int((step - first) * 2**72) / 2**72
        sixth = mpmath.mpf(1) / 6
        return (
            np.array(high),
            np.array(low),
            float(1 / step),
            (first, second, float(step - first - second)),
            (float(sixth), float(sixth - float(sixth))),
        )


_POWERS, _LOW_POWERS, _INVERSE_STEP, (_STEP_1, _STEP_2, _STEP_3), _SIXTH = _constants()


@njit
def two_sum(a: float, b: float) -> Pair:
    """Return fl(a + b) and its error, exactly (Knuth)."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


@njit
def _ordered_sum(a: float, b: float) -> Pair:
    """Return fl(a + b) and its error, exactly where |a| >= |b| (Dekker)."""
    total = a + b
    return total, b - (total - a)


@njit
def _two_product(a: float, b: float) -> Pair:
    """Return fl(a b) and its error, exactly (Dekker)."""
    product = a * b
    t = _SPLITTER * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLITTER * b
    b_high = t - (t - b)
    b_low = b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@njit
def add(a: Pair, b: Pair) -> Pair:
    """Return a + b with a relative error of 3 u^2."""
    high, error = two_sum(a[0], b[0])
    low, low_error = two_sum(a[1], b[1])
    high, middle = _ordered_sum(high, error + low)
    return _ordered_sum(high, low_error + middle)


@njit
def multiply(a: Pair, b: Pair) -> Pair:
    """Return a b with a relative error of 7 u^2."""
    high, low = _two_product(a[0], b[0])
    return _ordered_sum(high, low + (a[0] * b[1] + a[1] * b[0]))


@njit
def multiply_word(a: Pair, b: float) -> Pair:
    """Return a b for a single b with a relative error of 3 u^2."""
    high, low = _two_product(a[0], b)
    return _ordered_sum(high, low + a[1] * b)


@njit
def divide_one(a: Pair) -> Pair:
    """Return 1 / a with a relative error of 10 u^2.

    From q = fl(1 / high) a step of Newton's: q + q (1 - q a). 1 - q a is below 2.1 u; its words are
    exact but for the last product and sum. What the step leaves out is its square, 4.4 u^2.
    """
    q = 1.0 / a[0]
    product, error = _two_product(q, a[0])
    rest = ((1.0 - product) - error) - q * a[1]
    return _ordered_sum(q, q * rest)


@njit
def scaled(a: Pair, power: int) -> Pair:
    """Return a 2^power."""
    return math.ldexp(a[0], power), math.ldexp(a[1], power)


@njit
def accumulate(total: Triple, a: Pair) -> Triple:
    """Return a sum in three words, with one more term.

    Each word takes up the rounding errors of that above it, exactly; only the last has errors of
    its own, u^3 of the sum of magnitudes each, so that long rows lose nothing.
    """
    first, error = two_sum(total[0], a[0])
    second, rest = two_sum(total[1], error)
    second, more = two_sum(second, a[1])
    return first, second, total[2] + (rest + more)


@njit
def exponential(z: Pair) -> tuple[Pair, int]:
    """Return exp(z) for z <= 0 as a pair in (0.99, 2) and a power of two: 2^-101 of relative error.

    Below `LOWEST` it is exp of that.
    """
    if z[0] < LOWEST:
        z = (LOWEST, 0.0)
    # z = k ln 2 / 1024 + r, |r| < 2^-11.4. |k| < 2^22: its products with the first two words, of 31
    # bits, are exact, and so are the sums with their errors. What is rounded is k times the third
    # word, 2^-51, and the last sums: 2^-103 in all, of r and so of exp(r).
    k = np.rint(z[0] * _INVERSE_STEP)
    high, error_1 = two_sum(z[0], -k * _STEP_1)
    high, error_2 = two_sum(high, -k * _STEP_2)
    high, error_3 = two_sum(high, z[1])
    r = _ordered_sum(high, error_1 + (error_2 + (error_3 - k * _STEP_3)))
    # exp(r) - 1 = r (1 + r (1/2 + r (1/6 + r w))). r w is 2^-16: its error, 3 u, is 2^-102 of
    # exp(r) after three more factors r. The series ends before r^8 / 8!, 2^-106.
    word = r[0]
    word *= 1 / 24 + word * (1 / 120 + word * (1 / 720 + word / 5040))
    series = add((_SIXTH[0], _SIXTH[1]), (word, 0.0))
    series = add((0.5, 0.0), multiply(r, series))
    series = add((1.0, 0.0), multiply(r, series))
    series = multiply(r, series)
    index = int(k)
    at = index & (_STEPS - 1)
    power = (_POWERS[at], _LOW_POWERS[at])
    return add(power, multiply(power, series)), index >> 10


@njit
def logarithm(n: int) -> Pair:
    """Return ln n for n from 1 to 2^50, with an absolute error of 2^-100.

    With y near it, n exp(-y) = 1 + t and ln n = y + t - t^2 / 2; t is below 2^-49, t^3 / 3 below
    2^-148, and the absolute error of t that of exp, relative.
    """
    y = math.log(n)
    power, exponent = exponential((-y, 0.0))
    high, low = scaled(multiply_word(power, float(n)), exponent)
    t = (high - 1.0) + low
    return two_sum(y, t - t * t / 2)
