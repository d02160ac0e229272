"""Weights and gradients of rows in double-double arithmetic, from the definitions.

With p_i = exp(c (x_i - v)) / S, S the sum over the present entries, v the one where c x is largest,
and gates r (softmax and SSMax: 1), the weights are r_i p_i and the gradients by the logits

    dx_i = c p_i (r_i dy_i - sum r p dy) + p_i dy_i / D
           - [i minimizer] sum (1 - r) p dy / (D k_min) - [i maximizer] sum r p dy / (D k_max),

the last three for gates only: D is 1 for ``plain``, which has no terms of the extrema. k_min and
k_max count the entries that share an extremum, an appended 0 among them.

Magnitudes of what is not 0 are from 2^-200 to 2^200: nothing over- or underflows then that counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from .double_double import (
    Pair,
    accumulate,
    add,
    divide_one,
    exponential,
    logarithm,
    multiply,
    multiply_word,
    scaled,
    two_sum,
)

__all__ = ["FUNCTIONS", "LIFT", "Exact", "Numbers", "exact_rows"]

FUNCTIONS = ("softmax", "ssmax", "sa_softmax plain", "sa_softmax normalized")
_SSMAX, _PLAIN, _NORMALIZED = 1, 2, 3

LIFT = 200
"""Cotangents are multiplied by 2^LIFT, so that their products with the smallest weights are pairs
still; gradients are divided by it where their errors are measured."""


@dataclass(frozen=True)
class Numbers:
    """Exact values (high + low) 2^exponent."""

    high: Any
    low: Any
    exponent: Any


@dataclass(frozen=True)
class Exact:
    """What rows have, and what errors of gradients are measured by: their scale, times 2^LIFT."""

    weights: Numbers
    dx: Numbers
    dx_scale: Any
    db: Numbers
    ds: Numbers
    db_scale: Any
    ds_scale: Any


def exact_rows(function: str, x: Any, present: Any, dy: Any, s: Any, b: Any) -> Exact:
    """Evaluate rows, the last axis of 2-D arrays; s and b are numbers of each row."""
    shape = x.shape
    pairs = [np.zeros(shape) for _ in range(5)]
    exponents = [np.zeros(shape, np.int64) for _ in range(2)]
    sums = np.zeros((6, shape[0]))
    arguments = (np.asarray(a, np.float64) for a in (x, dy, s, b))
    own_x, own_dy, own_s, own_b = arguments
    kind = FUNCTIONS.index(function)
    _rows(kind, own_x, present, own_dy, own_s, own_b, *pairs, *exponents, sums)
    lift = np.full(shape[0], -LIFT)
    return Exact(
        Numbers(pairs[0], pairs[1], exponents[0]),
        Numbers(pairs[2], pairs[3], exponents[1]),
        pairs[4],
        Numbers(sums[0], sums[1], lift),
        Numbers(sums[2], sums[3], lift),
        sums[4],
        sums[5],
    )


@njit
def _gate(kind: int, x: float, lower: float, inverse: Pair) -> Pair:
    """Return r."""
    if kind == _PLAIN:
        return x, 0.0
    if kind == _NORMALIZED:
        return multiply(two_sum(x, -lower), inverse)
    return 1.0, 0.0


@njit(nogil=True, error_model="numpy")
def _rows(
    kind: int,
    x: Any,
    present: Any,
    dy: Any,
    s: Any,
    b: Any,
    y_high: Any,
    y_low: Any,
    dx_high: Any,
    dx_low: Any,
    scale: Any,
    y_exponent: Any,
    dx_exponent: Any,
    sums: Any,
) -> None:
    p_high, p_low = np.empty(x.shape[1]), np.empty(x.shape[1])
    unit = math.ldexp(1.0, LIFT)
    nothing = (0.0, 0.0, 0.0)
    for row in range(x.shape[0]):
        entries = np.flatnonzero(present[row])
        if entries.size == 0:
            continue
        least, largest = np.inf, -np.inf
        for i in entries:
            least, largest = min(least, x[row, i]), max(largest, x[row, i])
        log_n = logarithm(entries.size)
        c = (1.0, 0.0)
        if kind == _SSMAX:
            c = add(multiply_word(log_n, s[row]), (b[row], 0.0))
        v = largest if c[0] >= 0 else least

        lower, upper = min(least, 0.0), max(largest, 0.0)
        inverse = (1.0, 0.0)
        if kind == _NORMALIZED:
            if lower == upper:
                continue  # a denominator of 0: weights and gradients are 0
            inverse = divide_one(two_sum(upper, -lower))
        least_count, largest_count = 1.0 * (lower == 0), 1.0 * (upper == 0)

        total = nothing
        for i in entries:
            z = two_sum(x[row, i], -v)
            if kind == _SSMAX:
                z = multiply(c, z)
            power, exponent = exponential(z)
            p_high[i], p_low[i] = power
            y_exponent[row, i] = exponent
            total = accumulate(total, scaled(power, exponent))
            least_count += x[row, i] == lower
            largest_count += x[row, i] == upper
        share = divide_one(two_sum(total[0], total[1]))

        mean, above, off, parameter = nothing, nothing, nothing, nothing
        size_y, size_p, size_off = 0.0, 0.0, 0.0
        for i in entries:
            exponent = y_exponent[row, i]
            p = multiply((p_high[i], p_low[i]), share)
            p_high[i], p_low[i] = p
            y = multiply(p, _gate(kind, x[row, i], lower, inverse))
            y_high[row, i], y_low[row, i] = y
            cotangent = dy[row, i] * unit
            term = scaled(multiply_word(y, cotangent), exponent)
            mean = accumulate(mean, term)
            size_y += abs(term[0])
            size_p += abs(scaled(multiply_word(p, cotangent), exponent)[0])
            if kind == _NORMALIZED:
                rest = multiply(two_sum(upper, -x[row, i]), inverse)
                rest = multiply_word(multiply(p, rest), cotangent)
                above = accumulate(above, scaled(rest, exponent))
            if kind == _SSMAX:
                distance = two_sum(x[row, i], -v)
                spread = scaled(multiply_word(multiply(p, distance), unit), exponent)
                off = accumulate(off, spread)
                size_off += abs(spread[0])
                parameter = accumulate(parameter, multiply_word(spread, dy[row, i]))
        average = two_sum(mean[0], mean[1])

        if kind == _SSMAX:
            product = scaled(multiply(average, two_sum(off[0], off[1])), -LIFT)
            db = add(two_sum(parameter[0], parameter[1]), (-product[0], -product[1]))
            ds = multiply(db, log_n)
            size = 0.0
            for i in entries:
                own = p_high[i] * abs(dy[row, i])
                own *= abs(x[row, i] - v) * unit + size_off
                size += math.ldexp(own, y_exponent[row, i])
            sums[0, row], sums[1, row] = db
            sums[2, row], sums[3, row] = ds
            sums[4, row], sums[5, row] = size, size * log_n[0]

        lowest, highest = (0.0, 0.0), (0.0, 0.0)
        if kind == _NORMALIZED:
            lowest = multiply(two_sum(above[0], above[1]), inverse)
            lowest = multiply(lowest, divide_one((-least_count, 0.0)))
            highest = multiply(average, inverse)
            highest = multiply(highest, divide_one((-largest_count, 0.0)))
        for i in entries:
            exponent = y_exponent[row, i]
            p = (p_high[i], p_low[i])
            cotangent = (dy[row, i] * unit, 0.0)
            own = multiply(_gate(kind, x[row, i], lower, inverse), cotangent)
            change = multiply(c, add(own, (-average[0], -average[1])))
            bound = abs(c[0]) * (abs(own[0]) + size_y)
            if kind >= _PLAIN:
                direct = multiply(inverse, cotangent)
                change = add(change, direct)
                bound += abs(direct[0])
            change = multiply(p, change)
            bound = math.ldexp(p[0] * bound, exponent)
            if kind == _NORMALIZED and (x[row, i] == lower or x[row, i] == upper):
                change, exponent = scaled(change, exponent), 0
                if x[row, i] == lower:
                    change = add(change, lowest)
                    bound += (size_y + size_p) * inverse[0] / least_count
                if x[row, i] == upper:
                    change = add(change, highest)
                    bound += size_y * inverse[0] / largest_count
            dx_high[row, i], dx_low[row, i] = change
            dx_exponent[row, i] = exponent - LIFT
            scale[row, i] = bound
