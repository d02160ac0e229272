"""e^z for a double word z ≤ 0, by a table of 2^(j/256) and a short Taylor series."""

from functools import cache
from typing import NamedTuple

import mpmath
import numpy as np
import numpy.typing as npt

from softmax_variants_spec.bulk._twofold import (
    Array,
    Pair,
    add,
    add_word,
    fast_two_sum,
    mul,
    two_sum,
)

LOWEST = -1600.0
"""Arguments lie in [LOWEST, 0]: e^-1600 < 2^-2308, so that even times a gate of 2^1023 it is below
2^-200 of the smallest subnormal of every format."""

_STEPS = 256


class _Constants(NamedTuple):
    """Numbers that mpmath computes once, at 200 bits."""

    powers_high: Array  # 2^(j/256) as double words
    powers_low: Array
    inverse_step: float  # 256 / ln 2
    step: tuple[float, float, float]  # ln 2 / 256 in words of 33, 33 and 53 bits
    inverse_6: Pair  # 1/3! and 1/4! as double words
    inverse_24: Pair


@cache
def _constants() -> _Constants:
    with mpmath.workprec(200):
        powers = [mpmath.mpf(2) ** (mpmath.mpf(j) / _STEPS) for j in range(_STEPS)]
        high = [float(power) for power in powers]
        low = [float(power - word) for power, word in zip(powers, high, strict=True)]
        step = mpmath.ln(2) / _STEPS  # in (2^-9, 2^-8)
        first = int(step * 2**41) / 2**41
        second = int((step - first) * 2**74) / 2**74
        third = float(step - first - second)
        return _Constants(
            np.array(high),
            np.array(low),
            float(1 / step),
            (first, second, third),
            _words(mpmath.mpf(1) / 6),
            _words(mpmath.mpf(1) / 24),
        )


def _words(number: mpmath.mpf) -> Pair:
    high = float(number)
    return np.array(high), np.array(float(number - high))


def exponential(z: Pair) -> tuple[Pair, npt.NDArray[np.int32]]:
    """Return e^z as (double word in [0.99, 2), power of two), LOWEST ≤ z ≤ 0.

    The relative error is at most 10u² = 2^-102.6, u = 2^-53.
    """
    constants = _constants()
    # Reduction: z = k·ln2/256 + r, |r| ≤ ln2/512 + 2^-20 < 2^-9.5. |k| ≤ 590931 < 2^20, so k·first
    # and k·second are exact in 53 bits and the three sums keep their errors: r is exact but for the
    # low words, at most 2^-54 in all, which are added with three roundings (3·2^-107), the rounding
    # of k·third (2^-107) and what third leaves out (2^-108): an absolute error of r, a relative one
    # of e^r, below 2.5u².
    first, second, third = constants.step
    k = np.rint(z[0] * constants.inverse_step)
    high, low_1 = two_sum(z[0], -k * first)
    high, low_2 = two_sum(high, -k * second)
    high, low_3 = two_sum(high, z[1])
    r = fast_two_sum(high, low_1 + (low_2 + (low_3 - k * third)))
    # e^r = 1 + r(1 + r(1/2 + r(1/6 + r(1/24 + r·tail)))). r^5·tail is 2^-54.4 at most and its
    # relative error, of one-word arithmetic, below 4u: 1.5u². The series ends before r^10/10!
    # < 2^-116.
    word = r[0]
    tail = word * (
        1 / 120 + word * (1 / 720 + word * (1 / 5040 + word * (1 / 40320 + word / 362880)))
    )
    series = add_word(constants.inverse_24, tail)
    series = add(constants.inverse_6, mul(r, series))
    series = add_word(mul(r, series), np.array(0.5))
    series = add_word(mul(r, series), np.array(1.0))
    series = mul(r, series)
    # Errors of the Horner steps are relative to series, which is below 2^-9.4: 20u²·2^-9.4 < 0.1u².
    # Then the table (u²), the product (7u²·2^-9.4) and the last sum (3.1u²): with reduction and
    # tail 8.3u² in all.
    index = k.astype(np.int32)
    power = (
        constants.powers_high[index & (_STEPS - 1)],
        constants.powers_low[index & (_STEPS - 1)],
    )
    return add(power, mul(power, series)), index >> 8
