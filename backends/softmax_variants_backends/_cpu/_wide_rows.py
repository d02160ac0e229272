"""Rows of binary64: what is summed over them, and their weights.

Weights are faithful, but for what the cancelling scale of SSMax leaves: the exponentials have a
relative error of 2^-57.5, all else is done in two words and rounded once. Gradients are tight: the
exponentials are rounded, all sums are in two words, and what follows has few roundings, each of a
term of the tolerance.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

import numpy as np

from ._functions import inlined
from ._intrinsics import LANES, count, equal, fma, full, select, sum_of_word_lanes
from ._layout import SA_SOFTMAX, SOFTMAX, SSMAX
from ._logarithm import fast_two_sum
from ._memory import load_doubles, prefetch, store_doubles, stream_doubles
from ._wide_exponential import LIFT, difference_words, exponential_in_words, product_words

__all__ = ["sum_of_wide_powers", "sums_of_wide_powers", "write_wide_weights"]

_DOUBLES = 8 * LANES
_UNLIFT = 2.0**-LIFT


@inlined
def _add_to(total, total_low, term):
    """Add a term to sums in two words; the low one sums the roundings of the high one."""
    new = total + term
    part = new - total
    return new, total_low + ((total - (new - part)) + (term - part))


@inlined
def _sum_over_lanes(high, low):
    """Return a sum in two words; n additions have an error below n^2 2^-106 of the magnitudes."""
    total, total_low = sum_of_word_lanes(high, low)
    return fast_two_sum(total, total_low)


@inlined
def _power(function, x, pivot, scale, scale_low):
    """Return exp(c (x - v)) in two words, lifted; shifted first and scaled then."""
    z, z_low = difference_words(x, full(pivot))
    if function == SSMAX:
        z, z_low = product_words(full(scale), full(scale_low), z, z_low)
        # A c of 0 or less makes something else of an absent entry's -inf.
        z = select(equal(x, full(-math.inf)), full(-math.inf), z)
    return exponential_in_words(z, z_low)


@inlined
def sum_of_wide_powers(
    function, kept, row, whole, tail, chunks, pivot, scale, scale_low, lower, inverse, ahead
):
    """Return the sum S of a block, in two words.

    What the factor will multiply, exp times the gate, is stored at ``kept``, in two words.
    """
    total, total_low = full(0.0), full(0.0)
    for c in range(chunks):
        at = row + _DOUBLES * c
        x = load_doubles(at if c < whole else tail)
        power, power_low = _power(function, x, pivot, scale, scale_low)
        total, total_low = _add_to(total, total_low + power_low, power)
        if function == SA_SOFTMAX:
            gone = equal(x, full(-math.inf))
            gate, gate_low = difference_words(select(gone, full(lower), x), full(lower))
            gate, gate_low = product_words(gate, gate_low, full(inverse[0]), full(inverse[1]))
            power, power_low = product_words(power, power_low, gate, gate_low)
        store_doubles(kept + 2 * _DOUBLES * c, power)
        store_doubles(kept + 2 * _DOUBLES * c + _DOUBLES, power_low)
        prefetch(at + ahead)
        prefetch(at + ahead + 64)
    return _sum_over_lanes(total, total_low)


@inlined
def write_wide_weights(stream, kept, factor, factor_low, target, whole, rest, chunks):
    """Round what is kept, times the factor, to chunks at ``target``, an incomplete one at ``rest``.

    The product is rounded while it is lifted, and once more only where it is a subnormal number.
    """
    for c in range(chunks):
        at = target + _DOUBLES * c if c < whole else rest
        power = load_doubles(kept + 2 * _DOUBLES * c)
        power_low = load_doubles(kept + 2 * _DOUBLES * c + _DOUBLES)
        low = fma(power, full(factor_low), power_low * factor)
        result = fma(power, full(factor), low) * _UNLIFT
        if stream and c < whole:
            stream_doubles(at, result)
        else:
            store_doubles(at, result)


@inlined
def sums_of_wide_powers(
    function,
    kept,
    row,
    tail,
    cotangents,
    dy_tail,
    whole,
    chunks,
    pivot,
    scale,
    scale_low,
    lower,
    smallest,
    largest,
):
    """Return the sums over a block that its gradients need.

    They are those of e = exp; of e dy (gates: times the numerator); then of e (x - v) and
    e dy (x - v) for SSMax; of e dy, and the numbers of entries that are smallest and largest, for
    gates. All in two words, and e is stored at ``kept``, rounded.
    """
    total, total_low, weighted, weighted_low = full(0.0), full(0.0), full(0.0), full(0.0)
    third, third_low, fourth, fourth_low = full(0.0), full(0.0), full(0.0), full(0.0)
    at_smallest, at_largest = 0, 0
    for c in range(chunks):
        x = load_doubles(row + _DOUBLES * c if c < whole else tail)
        dy = load_doubles(cotangents + _DOUBLES * c if c < whole else dy_tail)
        gone = equal(x, full(-math.inf))
        dy = select(gone, full(0.0), dy)
        power, power_low = _power(function, x, pivot, scale, scale_low)
        store_doubles(kept + _DOUBLES * c, power)
        total, total_low = _add_to(total, total_low + power_low, power)
        weight = power * dy
        if function == SSMAX:
            difference = select(gone, full(0.0), x - pivot)
            third, third_low = _add_to(third, third_low, power * difference)
            fourth, fourth_low = _add_to(fourth, fourth_low, weight * difference)
        if function == SA_SOFTMAX:
            third, third_low = _add_to(third, third_low, weight)
            weight = weight * (select(gone, full(lower), x) - lower)
            at_smallest += count(equal(x, full(smallest)))
            at_largest += count(equal(x, full(largest)))
        weighted, weighted_low = _add_to(weighted, weighted_low, weight)
    first, first_low = _sum_over_lanes(total, total_low)
    second, second_low = _sum_over_lanes(weighted, weighted_low)
    plain, plain_low, product, product_low = 0.0, 0.0, 0.0, 0.0
    if function != SOFTMAX:
        plain, plain_low = _sum_over_lanes(third, third_low)
        product, product_low = _sum_over_lanes(fourth, fourth_low)
    return (
        first,
        first_low,
        second,
        second_low,
        plain,
        plain_low,
        product,
        product_low,
        np.float64(at_smallest),
        np.float64(at_largest),
    )
