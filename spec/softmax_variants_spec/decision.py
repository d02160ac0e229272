"""The rounding of a weight that is known approximately, once the approximation decides it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mpmath import mp

if TYPE_CHECKING:
    from softmax_variants_spec.formats import Format

__all__ = ["ExactWeight", "decide", "decide_below", "decide_exact", "decide_special"]

_SMALLEST_EXPONENT = -20000


@dataclass(frozen=True, slots=True)
class ExactWeight:
    """One exact weight, and its rounding to a format."""

    value: Any
    """The weight as an mpf: 0 where it is exactly 0, NaN where it is undefined, else with a
    relative error of at most 2^-120. (A weight that is not 0 but below 2^-20000 is given as
    ±2^-20000.)"""
    rounded: float
    """The exact weight rounded to nearest, ties to even."""
    residual: float
    """(exact weight − rounded) / ulp, in [−1/2, 1/2]. In it, whatever lies beyond the range of
    the format, infinities included, stands for ±2^(emax + 1). Within the range it is 0 only where
    the weight is exact: one too small for a float is ±2^-1074, so that its sign tells the side."""
    ulp_exponent: int
    """The e with ulp(exact weight) = 2^e, as `Format.ulp_exponent`."""
    exact: bool
    """Whether the exact weight is a number of the format."""
    midpoint: bool
    """Whether the exact weight lies in the middle of two neighbours of the format."""


def decide(value: Any, bits: int, fmt: Format) -> ExactWeight | None:
    """Decide the rounding of a weight from an approximation alone.

    Parameters
    ----------
    value
        An mpf other than 0, whose relative error is at most 2^-bits.
    bits
        Accurate bits, more than the format's precision. Any number will do where both the weight
        and `value` are below an eighth of the format's smallest positive number.
    fmt
        The format.

    Returns
    -------
    ExactWeight or None
        None where a number of the format, or the middle of two neighbours, is about as close to
        `value` as the error.
    """
    sign, man, exp, length = value._mpf_
    exponent = exp + length - 1
    spacing = fmt.spacing_in_binade(exponent)
    if exponent > fmt.emax + 1:
        rounded = -math.inf if sign else math.inf
        return ExactWeight(value, rounded, 0.0, spacing, exact=False, midpoint=False)
    if exponent < spacing - 4:
        # Below an eighth of the smallest number, so by any error at most twofold below its half.
        if exponent < _SMALLEST_EXPONENT:
            value = mp.ldexp(-1 if sign else 1, _SMALLEST_EXPONENT)
        residual = _signed(float(mp.ldexp(value, -spacing)), -1 if sign else 1)
        return ExactWeight(value, 0.0, residual, spacing, exact=False, midpoint=False)
    # Widen the mantissa until the error, 2^-bits of the value, is below 4 units of its last place.
    pad = max(0, bits + 2 - length)
    man <<= pad
    error = 1 << max(2, length - bits)
    shift = spacing - (exp - pad)
    whole, half = 1 << shift, 1 << (shift - 1)
    quotient, rest = man >> shift, man & (whole - 1)
    if rest <= error or whole - rest <= error or abs(rest - half) <= error:
        return None
    if rest > half:
        quotient += 1
        rest -= whole
    residual = _signed(rest / whole, 1 if rest > 0 else -1)
    largest = 1 << fmt.precision
    if exponent >= fmt.emax and quotient >= largest:
        # Infinity stands for quotient = largest; a weight beyond that stands for it as well.
        rounded = math.inf
        residual = min(residual, 0.0) if quotient == largest else 0.0
    else:
        rounded = math.ldexp(quotient, spacing)
    if sign:
        rounded, residual = -rounded, -residual
    return ExactWeight(value, rounded, residual, spacing, exact=False, midpoint=False)


def decide_exact(weight: Fraction, fmt: Format) -> ExactWeight:
    """Return the rounding of a weight that is known exactly.

    The `value` of the result is rounded to the working precision.
    """
    residual = _residual(weight, fmt.round(weight), weight, fmt)
    return ExactWeight(
        value=mp.convert(weight),
        rounded=fmt.round(weight),
        residual=float(residual),
        ulp_exponent=fmt.ulp_exponent(weight),
        exact=fmt.representable(weight),
        midpoint=_is_midpoint(weight, fmt),
    )


def decide_below(limit: Fraction, value: Any, bits: int, fmt: Format) -> ExactWeight | None:
    """Decide the rounding of a weight that is known to be smaller than `limit` in magnitude.

    Where x_i dominates its row, the weight r_i p_i is as close to r_i as 1 is to p_i = 1 − e^-700:
    more bits than are worth computing. But p_i < 1 is certain, and where r_i is a number of the
    format or the middle of two, that decides.

    Parameters
    ----------
    limit
        A number other than 0 with the sign of the weight, larger than it in magnitude.
    value, bits, fmt
        As for `decide`.

    Returns
    -------
    ExactWeight or None
        None where there is a number of the format, or the middle of two, between the smallest
        magnitude that `value` leaves possible and `limit`.
    """
    end = abs(limit)
    # Numbers below a power of two are spaced half as far as those from it on: a quarter of the
    # spacing at `end` divides the spacing just below it and the middles there.
    grid = Fraction(2) ** (fmt.ulp_exponent(end) - 2)
    below = (math.ceil(end / grid) - 1) * grid
    smallest = abs(_fraction(value)) * (1 - Fraction(1, 1 << bits))
    if smallest <= below:
        return None
    # All numbers between two neighbours of the grid round alike: a witness stands for the weight.
    witness = (below + end) / 2 * (1 if limit > 0 else -1)
    rounded = fmt.round(witness)
    return ExactWeight(
        value=value,
        rounded=rounded,
        residual=_signed(float(_residual(limit, rounded, witness, fmt)), -1 if limit > 0 else 1),
        ulp_exponent=fmt.ulp_exponent(witness),
        exact=False,
        midpoint=False,
    )


def decide_special(value: Any, fmt: Format) -> ExactWeight:
    """Take a weight as the nearest number of the format, or middle of two neighbours, to `value`.

    It is the last resort, where no precision worth its time tells the two apart: weights such as
    3/4 of the row (0, 1) of ssmax with n = 3, whose bits no approximation can finish.
    """
    half = Fraction(2) ** (fmt.ulp_exponent(value) - 1)
    return decide_exact(round(_fraction(value) / half) * half, fmt)


def _fraction(value: Any) -> Fraction:
    """Return an mpf as a Fraction, exactly."""
    sign, man, exp, _ = value._mpf_
    magnitude: Fraction = Fraction(int(man)) * Fraction(2) ** exp
    return -magnitude if sign else magnitude


def _residual(weight: Fraction, rounded: float, place: Fraction, fmt: Format) -> Fraction:
    """Return (weight − rounded) / ulp(place), with ±2^(emax + 1) for what is beyond the range."""
    end = Fraction(2) ** (fmt.emax + 1)
    weight = min(max(weight, -end), end)
    stands_for = (end if rounded > 0 else -end) if math.isinf(rounded) else Fraction(rounded)
    return (weight - stands_for) / Fraction(2) ** fmt.ulp_exponent(place)


def _signed(residual: float, side: int) -> float:
    """Return the residual of a weight that is not exact, which therefore is not 0."""
    return residual or side * math.ulp(0.0)


def _is_midpoint(weight: Fraction, fmt: Format) -> bool:
    """Tell whether the weight is the middle of two neighbours, 2^(emax + 1) for infinity."""
    half = Fraction(2) ** (fmt.ulp_exponent(weight) - 1)
    within = abs(weight) < Fraction(2) ** (fmt.emax + 1)
    return within and weight % half == 0 and weight % (2 * half) != 0
