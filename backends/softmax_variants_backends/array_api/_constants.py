"""Constants of the own exponential and logarithm, split into words of the working type.

Everything here is a Python float made from an exact rational number, so that neither the
precision of an array library's scalars nor its mathematical functions enter a result.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

__all__ = ["Constants", "constants"]

LN2 = Fraction(
    0xB17217F7D1CF79ABC9E3B39803F2F6AF40F343267298B62D8A0D175B8BAAFA2BE7B876206DEBAC98, 1 << 320
)
"""The natural logarithm of 2, below its value by less than 2**-320."""


def _round_to_float32(value: Fraction) -> float:
    """Return a float32 nearest to ``value`` up to a double rounding, which no caller minds."""
    return float(struct.unpack("f", struct.pack("f", float(value)))[0])


def _truncate(value: Fraction, bits: int) -> Fraction:
    """Return the leading ``bits`` binary digits of a positive number below 1."""
    exponent = math.floor(math.log2(float(value))) + 1
    unit = Fraction(2) ** (exponent - bits)
    return (value // unit) * unit


@dataclass(frozen=True)
class Constants:
    """Constants for a working type of ``precision`` bits; pairs are (high, low) words."""

    precision: int
    splitter: float
    """Dekker's 2**ceil(precision / 2) + 1."""
    inverse_ln2: float
    ln2_parts: tuple[float, float, float]
    """ln 2 as a sum; the products of the first two with any exponent of ours are exact."""
    ln2: tuple[float, float]
    exp_pairs: tuple[tuple[float, float], ...]
    """1/j! for j = 0 ... as pairs: the terms of exp that need two words."""
    exp_tail: tuple[float, ...]
    """The following 1/j! as single words, lowest order first."""
    log_pairs: tuple[tuple[float, float], ...]
    """1/(2j + 1) for j = 0 ... as pairs."""
    log_tail: tuple[float, ...]
    max_halvings: int
    """Below exp(-max_halvings * ln 2) no weight and no gradient rounds to nonzero, however large
    the gate and dy, or c and dy, or x, dy and ln n are that the exponential is multiplied by."""
    sqrt2: float
    far: int
    """|c| outside 2**-far ... 2**far is moved by ``shift`` bits before products are split."""
    shift: int
    clamp: int
    """Differences of logits are clamped to 2**clamp after that move; their weight is 0."""
    log_lift: int
    """Two lifts by 2**log_lift carry the smallest subnormal number above 1."""
    log_steps: tuple[int, ...]
    """Halving steps that bring any number above 1 into [1, 2)."""


def _build(precision: int) -> Constants:
    wide = precision == 53
    round_word = float if wide else _round_to_float32

    def pair(value: Fraction) -> tuple[float, float]:
        high = round_word(value)
        return high, round_word(value - Fraction(high))

    # An exponent of ours has at most 12 bits in binary64 and 9 in binary32, so that products
    # with parts of 40 and 15 bits are exact.
    bits = 40 if wide else 15
    first = _truncate(LN2, bits)
    second = _truncate(LN2 - first, bits)
    # Terms are cut where |r|**j / j! (|r| <= 0.3466 < 2**-1.52) is below 2**-105 (binary64) or
    # 2**-47 (binary32), and go to one word where that times 2**-precision is below 2**-80, 2**-44.
    exp_pairs, exp_terms = (8, 23) if wide else (7, 13)
    # The same for w**j / (2j + 1) with w = ((m - 1)/(m + 1))**2 <= 0.02944 < 2**-5.08.
    log_pairs, log_terms = (5, 21) if wide else (4, 10)
    factorials = [Fraction(1, math.factorial(j)) for j in range(exp_terms)]
    odds = [Fraction(1, 2 * j + 1) for j in range(log_terms)]
    return Constants(
        precision=precision,
        splitter=float(2 ** ((precision + 1) // 2) + 1),
        inverse_ln2=round_word(1 / LN2),
        ln2_parts=(float(first), float(second), round_word(LN2 - first - second)),
        ln2=pair(LN2),
        exp_pairs=tuple(pair(value) for value in factorials[:exp_pairs]),
        exp_tail=tuple(round_word(value) for value in factorials[exp_pairs:]),
        log_pairs=tuple(pair(value) for value in odds[:log_pairs]),
        log_tail=tuple(round_word(value) for value in odds[log_pairs:]),
        # Two factors of at most 2**(emax + 1), one of 2**10; half of the smallest subnormal.
        max_halvings=2 * 1025 + 10 + 1075 if wide else 2 * 129 + 10 + 150,
        sqrt2=round_word(Fraction(math.isqrt(2 << 120), 1 << 60)),
        far=400 if wide else 40,
        shift=600 if wide else 80,
        clamp=450 if wide else 56,
        log_lift=540 if wide else 80,
        log_steps=tuple(1 << j for j in reversed(range(10 if wide else 7))),
    )


@cache
def constants(precision: int) -> Constants:
    """Return the constants for a working type of 53 (binary64) or 24 bits (binary32)."""
    return _build(precision)
