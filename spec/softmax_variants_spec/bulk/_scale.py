"""The scale c = s ln n + b of SSMax as a double word."""

import math
from functools import lru_cache

import mpmath

from softmax_variants_spec.bulk._arguments import Number

UNDEFINED = (math.nan, 0.0)


@lru_cache(maxsize=2**16)
def scale_words(s: Number, b: Number, n: Number) -> tuple[float, float]:
    """Return s ln n + b with a relative error of at most 2^-106; ±∞ beyond binary64.

    UNDEFINED where a parameter is not finite, or n not positive. Also where an integer is beyond
    binary64 or the result is not 0 and rounds to it: no row of the domain has such parameters.
    """
    try:
        defined = all(map(math.isfinite, (s, b, n))) and n > 0
    except OverflowError:
        defined = False
    if not defined:
        return UNDEFINED
    precision = 256
    while True:
        with mpmath.workprec(precision):
            term = s * mpmath.ln(n)  # 0 for n = 1
            value = term + b
            # s and b enter, and ln n, product and sum leave, with errors below 2^(1 − precision) of
            # |s ln n| + |b| each. As long as the sum keeps 2^(120 − precision) of that, c is right
            # to 2^-116. The loop ends: the logarithm of a rational number other than 1 is
            # irrational, so the sum is not 0 unless its terms are, or s = 0 or n = 1.
            terms = abs(term) + abs(b)
            if abs(value) >= terms * mpmath.mpf(2) ** (120 - precision):
                high = float(value)
                if high == 0 and value != 0:
                    return UNDEFINED
                return high, float(value - high) if math.isfinite(high) else 0.0
        precision *= 2
