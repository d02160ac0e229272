"""Own exponential and natural logarithm in one or two words.

Library functions carry no accuracy guarantee, and their bits may change with the memory layout;
these use rounded arithmetic only (see ``_words``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _words as w

if TYPE_CHECKING:
    from ._constants import Constants
    from ._words import Array, Number

__all__ = ["binary_exponent", "exponential", "logarithm", "power_of_half", "times_power"]


def power_of_half(xp: Any, exponent: Array, dtype: Any) -> Array:
    """Return 2**-exponent, exact, for integers from 0 to 991, or 2015 if they have 64 bits.

    The standard has no ldexp, and ``pow`` need not be exact; shifts, reciprocals and squares of
    powers of two are. Far beyond the range it is 0. In 32 bits, 1 << 31 would be negative.
    """
    fine = 1.0 / xp.astype(1 << (exponent & 15), dtype)
    fine = xp.where((exponent & 16) == 16, fine * 2.0**-16, fine)
    coarse = 1.0 / xp.astype(1 << (exponent >> 5), dtype)
    for _ in range(5):
        coarse = coarse * coarse
    return fine * coarse


def times_power(xp: Any, a: Number, exponent: Array, dtype: Any) -> Number:
    """Return a * 2**exponent for integers, in steps of one direction.

    So nothing overflows or underflows on the way that does not in the end. Exponents are at most
    4 * 1023; far below, the result is 0.
    """
    size = xp.abs(exponent)
    step = power_of_half(xp, size >> 2, dtype)
    rest = power_of_half(xp, size & 3, dtype)
    up = exponent > 0
    step, rest = xp.where(up, 1.0 / step, step), xp.where(up, 1.0 / rest, rest)
    return tuple(word * rest * step * step * step * step for word in a)


def binary_exponent(xp: Any, a: Array, k: Constants, int_dtype: Any) -> Array:
    """Return the integer e with 2**e <= a < 2**(e + 1), for finite a >= 0; 0 where a is 0."""
    exponent = xp.astype(xp.zeros_like(a), int_dtype)
    m = xp.where(a > 0.0, a, 1.0)
    for _ in range(2):
        small = m < 1.0
        m = xp.where(small, m * 2.0**k.log_lift, m)
        exponent = xp.where(small, exponent - k.log_lift, exponent)
    for step in k.log_steps:
        large = m >= 2.0**step
        m = xp.where(large, m * 2.0**-step, m)
        exponent = xp.where(large, exponent + step, exponent)
    return exponent


def exponential(xp: Any, z: Number, k: Constants, int_dtype: Any) -> tuple[Number, Array]:
    """Return (e, h) with exp(z) = e * 2**-h, 0.7 < e < 1.42, for -max_halvings*ln2 <= z <= 0.

    Error: exact up to a relative 2**-80 (two words of binary64), 2**-41 (two words of binary32;
    2**-39 where z < -128) or 2**-51 (one word of binary64). In binary32 it is 2**-46 near 0; two
    roundings of the reduced argument's low word, which is as coarse as that of z, make the rest.
    """
    nearest = xp.round(z[0] * k.inverse_ln2)
    first, second, third = k.ln2_parts
    # Exact: nearest*first is, and the difference by Sterbenz (the two agree within a factor 2, or
    # nearest is 0). nearest*second is exact too, third only sees a rounding of 2**-61 - p.
    reduced = z[0] - nearest * first
    halvings = xp.astype(-nearest, int_dtype)
    if len(z) == 1:
        r = reduced - nearest * (second + third)
        value = r * k.exp_tail[6] + k.exp_tail[5]
        for coefficient in reversed(k.exp_tail[:5]):
            value = value * r + coefficient
        for high, _ in reversed(k.exp_pairs):
            value = value * r + high
        return (value,), halvings
    high, low = w.two_difference(reduced, nearest * second)
    r = w.two_sum(high, low + (z[1] - nearest * third))
    tail = r[0] * k.exp_tail[-1] + k.exp_tail[-2]
    for coefficient in reversed(k.exp_tail[:-2]):
        tail = tail * r[0] + coefficient
    r_halves = w.split(r[0], k.splitter)
    value_high, value_low = tail, None
    for high_coefficient, low_coefficient in reversed(k.exp_pairs):
        # Horner's step; |value * r| is below half of the coefficient, so the fast sum is exact.
        # The first value has one word.
        p, error = w.product_of_halves(value_high, w.split(value_high, k.splitter), r[0], r_halves)
        error = error + value_high * r[1]
        if value_low is not None:
            error = error + value_low * r[0]
        total = p + high_coefficient
        value_low = (p - (total - high_coefficient)) + (error + low_coefficient)
        value_high = total
    return w.two_sum(value_high, value_low), halvings


def logarithm(xp: Any, n: Number, k: Constants, exponent: int = 0) -> Number:
    """Return ln(n * 2**exponent) in two words, for n positive and finite in two words.

    It is q ln 2 + 2 artanh((m - 1)/(m + 1)), with n * 2**exponent = 2**q * m and m in
    [0.70, 1.42). Relative error 2**-80 (binary64) or 2**-44 (binary32), also where the argument is
    next to 1: m - 1 is exact. ln 1 is exactly 0.
    """
    m = n
    zero = xp.zeros_like(n[0])
    q = zero + float(exponent)
    for _ in range(2):
        small = m[0] < 1.0
        m = w.scale(m, xp.where(small, zero + 2.0**k.log_lift, 1.0))
        q = xp.where(small, q - k.log_lift, q)
    for step in k.log_steps:
        large = m[0] >= 2.0**step
        m = w.scale(m, xp.where(large, zero + 2.0**-step, 1.0))
        q = xp.where(large, q + step, q)
    upper = m[0] > k.sqrt2
    m = w.scale(m, xp.where(upper, zero + 0.5, 1.0))
    q = xp.where(upper, q + 1.0, q)

    one = (zero + 1.0, zero)
    t = w.divide(w.subtract(m, one), w.add(m, one), k.splitter)
    square = w.multiply(t, t, k.splitter)
    tail = square[0] * k.log_tail[-1] + k.log_tail[-2]
    for coefficient in reversed(k.log_tail[:-2]):
        tail = tail * square[0] + coefficient
    series: Number = (tail, zero)
    for high, low in reversed(k.log_pairs):
        series = w.add(w.multiply(series, square, k.splitter), (zero + high, zero + low))
    log_m = w.scale(w.multiply(t, series, k.splitter), 2.0)
    q_ln2 = w.multiply((q, zero), (zero + k.ln2[0], zero + k.ln2[1]), k.splitter)
    return w.add(q_ln2, log_m)
