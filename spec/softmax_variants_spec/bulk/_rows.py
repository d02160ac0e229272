"""The weights of a block of rows as double words with a power of two each.

The family of the specification: with present entries Ω, scale c and gate r, the weight is
y_i = r_i · e^(c(x_i − v)) / Σ_Ω e^(c(x_j − v)), v the present entry where c·x is largest.
"""

from typing import NamedTuple

import numpy as np

from softmax_variants_spec.bulk._exponential import LOWEST, exponential
from softmax_variants_spec.bulk._rounding import Exponents, Flags
from softmax_variants_spec.bulk._twofold import (
    Array,
    Pair,
    mul,
    reciprocal,
    total,
    two_sum,
)

ERROR = 2.0**-90
"""Bound of the relative error of every weight, u = 2^-53, u² = 2^-106.

e^z: 10u², and for SSMax the absolute error of z = c(x_i − v): x_i − v is exact, c right to 2^-106
(u²), the product to 7u²: at most 1600·8u² = 2^13.7 u². The sum of terms of one sign has the error
of its terms and 3.1u²(⌈log2 n⌉ + 1), below 100u²; terms below 2^-300 times the largest, left out,
change it by less than n·2^-300. Quotients and gates: two reciprocals (10u² each), three products
(7u² each). In all 2·2^13.7 u² + 200u² < 2^14.8 u² = 2^-91.2.
"""


class Rows(NamedTuple):
    """Weights value · 2^exponent of a block, relative error at most ERROR, and what decides ties.

    Arrays of the block's shape (rows, n), or (rows, 1) where said so.
    """

    value: Pair  # 1 in place of the weights that are exactly zero
    exponent: Exponents
    zero: Flags  # absent entries, zero gates, zero denominators
    uniform: Flags  # (rows, 1): c·x is the same number at all present entries
    present: Array  # (rows, 1): number of present entries
    top: Flags  # present entries where c·x is largest
    tops: Array  # (rows, 1): their number
    gate: Pair  # r = gate · 2^gate_exponent
    gate_exponent: Exponents
    gate_exact: Flags  # the gate is this double word, with no error
    denominator: Pair  # (rows, 1): the sum, 1 at its largest terms
    scale: Array  # (rows, 1): c, rounded
    difference: Array  # x − v, rounded; 0 at absent entries


def _scaled(x: Pair) -> tuple[Pair, Exponents]:
    """Return x as a double word whose high word lies in [1/2, 1), or is 0, and its power of two.

    Exact, but for low words below 2^-1022 of their high words.
    """
    high, exponent = np.frexp(x[0])
    return (high, np.ldexp(x[1], -exponent)), exponent


def _gates(
    function: str, form: str, x: Array, low: Array, high: Array
) -> tuple[Pair, Exponents, Flags, Flags]:
    """Return the gates, scaled, with their powers of two, where they are exact, and zero ones."""
    if function != "sa_softmax":
        shape = x.shape
        one = (np.ones(shape), np.zeros(shape))
        flags = np.ones(shape, dtype=np.bool_)
        return one, np.zeros(shape, dtype=np.int32), flags, ~flags
    if form == "plain":
        gate, exponent = _scaled((x, np.zeros(x.shape)))
        zero = x == 0
        return gate, exponent, np.ones(x.shape, dtype=np.bool_), zero
    if form == "normalized":
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    # Differences of two binary64 are double words with no error.
    gate, exponent = _scaled(two_sum(x, -low))
    zero = gate[0] == 0
    if form == "shifted":
        return gate, exponent, np.ones(x.shape, dtype=np.bool_), zero
    width, width_exponent = _scaled(two_sum(high, -low))
    zero |= width[0] == 0  # a zero denominator: weights 0
    width = (np.where(width[0] == 0, 0.5, width[0]), width[1])
    ratio = mul(gate, reciprocal(width))
    # The entry that spans the width has the gate 1. A width that is a power of two has the exact
    # reciprocal 2, which mul multiplies by without an error.
    unit = (gate[0] == width[0]) & (gate[1] == width[1]) & (exponent == width_exponent)
    ratio = (np.where(unit, 1.0, ratio[0]), np.where(unit, 0.0, ratio[1]))
    exact = unit | ((width[0] == 0.5) & (width[1] == 0))
    return ratio, exponent - width_exponent, exact, zero


def evaluate(function: str, form: str, x: Array, present: Flags, scale: Pair | None) -> Rows:
    """Evaluate rows that lie in the domain: |x| < 2^1020, one present entry at least.

    Parameters
    ----------
    function, form : str
        As in :func:`softmax_variants_spec.bulk.weights`.
    x : float64 array, shape (rows, n)
        The logits; finite where present.
    present : bool array, shape (rows, n)
        The present entries.
    scale : pair of float64 arrays, shape (rows, 1), or None
        c as a double word right to 2^-106, 0 or between 2^-900 and 2^900 in magnitude; None is 1.

    Returns
    -------
    Rows
        The weights and what is needed to settle ties.
    """
    low = np.min(x, axis=-1, keepdims=True, where=present, initial=np.inf)
    high = np.max(x, axis=-1, keepdims=True, where=present, initial=-np.inf)
    pivot = high if scale is None else np.where(scale[0] < 0, low, high)
    x = np.where(present, x, pivot)
    difference = two_sum(x, -pivot)  # no overflow, no error
    if scale is None:
        factor = np.ones_like(pivot)
        clamped = difference[0] < LOWEST
        z = difference
    else:
        factor = scale[0]
        if not np.all(factor):
            flat = factor == 0
            difference = (
                np.where(flat, 0.0, difference[0]),
                np.where(flat, 0.0, difference[1]),
            )
        with np.errstate(over="ignore"):
            clamped = factor * difference[0] < LOWEST
        # With |c| ≥ 2^-900 a product above -1600 has |x - v| < 2^911: no splitting overflows.
        z = mul(
            scale, (np.where(clamped, 0.0, difference[0]), np.where(clamped, 0.0, difference[1]))
        )
    # A clamped weight is below 2^-1076 like the exact one: both round to 0.
    z = (np.where(clamped, LOWEST, z[0]), np.where(clamped, 0.0, z[1]))
    power, exponent = exponential(z)

    kept = present & (exponent >= -300)
    bounded = np.where(kept, exponent, 0)
    denominator = total(
        (
            np.where(kept, np.ldexp(power[0], bounded), 0.0),
            np.where(kept, np.ldexp(power[1], bounded), 0.0),
        )
    )
    gate, gate_exponent, gate_exact, zero = _gates(function, form, x, low, high)
    value = mul(power, reciprocal(denominator))
    if function == "sa_softmax":
        value = mul(value, gate)
        exponent = exponent + gate_exponent
    zero = zero | ~present
    if np.any(zero):
        value = (np.where(zero, 1.0, value[0]), np.where(zero, 0.0, value[1]))
    top = present & (difference[0] == 0)
    tops = np.count_nonzero(top, axis=-1, keepdims=True).astype(np.float64)
    count = np.count_nonzero(present, axis=-1, keepdims=True).astype(np.float64)
    return Rows(
        value=value,
        exponent=exponent,
        zero=zero,
        uniform=tops == count,
        present=count,
        top=top,
        tops=tops,
        gate=gate,
        gate_exponent=gate_exponent,
        gate_exact=gate_exact,
        denominator=denominator,
        scale=factor,
        difference=difference[0],
    )
