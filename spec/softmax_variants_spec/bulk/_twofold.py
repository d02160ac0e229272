"""Double-word arithmetic on NumPy arrays: a number as the unevaluated sum of two binary64.

A pair (h, l) stands for h + l with |l| ≤ ulp(h)/2. The bounds in u = 2^-53 are those that Joldes,
Muller and Popescu (ACM TOMS 44(2), 2017) prove for the same sequences of operations. They hold
where nothing over- or underflows: callers keep the magnitudes of products between 2^-960 and
2^990, or need only an absolute error, which an underflow enlarges by less than 2^-1070.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Pair: TypeAlias = tuple[Array, Array]

# Veltkamp's constant for 53 bits: the halves of a split have 26 bits, so their products are exact.
_SPLITTER = 2.0**27 + 1.0


def two_sum(a: Array, b: Array) -> Pair:
    """Return (fl(a + b), its error), exactly, for any a and b without overflow (Knuth)."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def fast_two_sum(a: Array, b: Array) -> Pair:
    """Return (fl(a + b), its error), exactly where a = 0 or |a| ≥ |b| (Dekker)."""
    total = a + b
    return total, b - (total - a)


def _split(a: Array) -> Pair:
    """Return two halves of at most 26 bits whose sum is a, |a| < 2^996 (Veltkamp)."""
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def two_prod(a: Array, b: Array) -> Pair:
    """Return (fl(a · b), its error), exactly up to underflow (Dekker; NumPy has no fma)."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def add(x: Pair, y: Pair) -> Pair:
    """Return x + y with a relative error of at most 3u² + 13u³ (AccurateDWPlusDW)."""
    high, high_error = two_sum(x[0], y[0])
    low, low_error = two_sum(x[1], y[1])
    high, middle = fast_two_sum(high, high_error + low)
    return fast_two_sum(high, low_error + middle)


def add_word(x: Pair, y: Array) -> Pair:
    """Return x + y for one word y with a relative error of at most 2u² (DWPlusFP)."""
    high, low = two_sum(x[0], y)
    return fast_two_sum(high, x[1] + low)


def mul(x: Pair, y: Pair) -> Pair:
    """Return x · y with a relative error of at most 7u² (DWTimesDW1)."""
    high, low = two_prod(x[0], y[0])
    return fast_two_sum(high, low + (x[0] * y[1] + x[1] * y[0]))


def reciprocal(x: Pair) -> Pair:
    """Return 1 / x with a relative error of at most 10u².

    One Newton step from q = fl(1/x_h), |1 − q x| ≤ 2.01u =: |ρ|: 1/x = q(1 + ρ + ρ²/(1 − ρ)).
    ρ = (1 − q x_h) − q x_l, whose first term is a binary64 number that one TwoProd yields
    exactly; the second is off by u², the sum by 2.01u². With ρ² ≤ 4.1u² and the rounding of q·ρ,
    2.01u², all is below 10u².
    """
    quotient = 1.0 / x[0]
    product, error = two_prod(quotient, x[0])
    rest = ((1.0 - product) - error) - quotient * x[1]
    return fast_two_sum(quotient, quotient * rest)


def total(x: Pair) -> Pair:
    """Return the sum of x ≥ 0 along its last axis, kept, by halving.

    Terms of one sign: every addition on the way of a term errs by at most 3u² + 13u³ of a sum that
    is part of the result, so n terms give at most 3.1u²·(⌈log2 n⌉ + 1).
    """
    high, low = x
    while (size := high.shape[-1]) > 1:
        half = size // 2
        folded = add(
            (high[..., :half], low[..., :half]),
            (high[..., half : 2 * half], low[..., half : 2 * half]),
        )
        if size % 2:
            last = add((folded[0][..., :1], folded[1][..., :1]), (high[..., -1:], low[..., -1:]))
            folded[0][..., :1], folded[1][..., :1] = last
        high, low = folded
    return high, low
