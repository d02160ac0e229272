"""Gradients of rows of logits up to 32 bits, from x and dy.

    dx_j = c p_j (r_j dy_j - G)                                  every variant
         + dy_j p_j / D                                          gates
         + lambda_j (G - P) / D - mu_j G / D                     minmax, normalized
         - lambda_j P                                            shifted

with p = exp / S, y = r p, G = sum dy y, P = sum dy p; lambda_j and mu_j are the entry's shares in
the derivatives of the smallest and the largest logit. The row's term of db is
sum dy p (x - v) - G sum p (x - v).

All is in binary64 and rounded once: errors are 2^-44 of the terms that cancel, far below what
32-bit results resolve. Sums are trees as those of the weights.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

import numpy as np

from ._exponential import exponential
from ._functions import inlined
from ._intrinsics import LANES, count, equal, fma, full, less, select, sum_of_lanes, widen
from ._layout import MINMAX, NORMALIZED, PLAIN, SA_SOFTMAX, SSMAX
from ._memory import load_doubles, load_floats, store_doubles
from ._narrow_weights import PART, argument, gate_numerator
from ._storage import load_row, size_of, store, working_size

__all__ = ["gradient_of_row", "sums_of_powers", "write_gradients"]

_FLOATS, _DOUBLES = 4 * LANES, 8 * LANES
_STEEP, _LEAST_MEAN = 2.0**160, 2.0**-800
_NOTHING = 2.0**-1009
"""Above the exponential of the floor."""


@inlined
def sums_of_powers(
    storage,
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
    lower,
    smallest,
    largest,
):
    """Return the sums over a block that its gradients need.

    They are those of e = exp; of e dy (gates: times the numerator); then of e (x - v) and
    e dy (x - v) for SSMax; of e dy, and the numbers of entries that are smallest and largest, for
    gates.

    e is stored at ``kept``.
    """
    total, weighted, third, fourth = full(0.0), full(0.0), full(0.0), full(0.0)
    at_smallest, at_largest = 0, 0
    first = 0
    while first < chunks:
        stop = min(first + PART, chunks)
        part_total, part_weighted = full(0.0), full(0.0)
        part_third, part_fourth = full(0.0), full(0.0)
        for c in range(first, stop):
            x = widen(load_floats(row + _FLOATS * c if c < whole else tail))
            dy = widen(load_floats(cotangents + _FLOATS * c if c < whole else dy_tail))
            gone = equal(x, full(-math.inf))
            dy = select(gone, full(0.0), dy)
            power = exponential(storage, argument(function, x, pivot, scale))
            store_doubles(kept + _DOUBLES * c, power)
            part_total = part_total + power
            product = power * dy
            if function == SSMAX:
                difference = select(gone, full(0.0), x - pivot)
                part_third = part_third + power * difference
                part_fourth = part_fourth + product * difference
            if function == SA_SOFTMAX:
                part_third = part_third + product
                product = product * gate_numerator(x, lower)
                at_smallest += count(equal(x, full(smallest)))
                at_largest += count(equal(x, full(largest)))
            part_weighted = part_weighted + product
        total, weighted = total + part_total, weighted + part_weighted
        third, fourth = third + part_third, fourth + part_fourth
        first = stop
    return (
        sum_of_lanes(total),
        sum_of_lanes(weighted),
        sum_of_lanes(third),
        sum_of_lanes(fourth),
        np.float64(at_smallest),
        np.float64(at_largest),
    )


@inlined
def gradient_of_row(function, form, detach_extrema, facts, sums):
    """Return what the sums make of a row.

    That is: whether it is invalid, c / S, G, 1 / D, what is added at the extrema, and the terms of
    ds and of db.
    """
    empty, invalid, scale, log_n, span, smallest, largest = facts
    total, weighted, third, fourth, ties_low, ties_high = sums
    inverse = 0.0 if empty else 1.0 / total
    factor, mean = scale * inverse, weighted * inverse
    # A dy that is not finite reaches the sum, since no e is 0.
    seen = third if function == SA_SOFTMAX else weighted
    invalid = not empty and (invalid or seen - seen != 0.0)
    inverse_span, at_smallest, at_largest = 1.0, 0.0, 0.0
    term_s, term_b = 0.0, 0.0
    if function == SSMAX and abs(scale) > _STEEP:
        # Every p is 0 but those of the largest c x: the rest is what the floor stands for, and c
        # would lift it.
        third = fourth = 0.0
        if abs(mean) < _LEAST_MEAN:
            mean = 0.0
    if function == SSMAX and not empty:
        term_b = (fourth - mean * third) * inverse
        term_s = term_b * log_n
        if invalid:
            term_s = term_b = math.nan
    if function == SA_SOFTMAX:
        ratio = form >= MINMAX
        moving = form != PLAIN and not detach_extrema
        if span == 0.0 or (moving and ties_low == 1.0 and smallest == largest):
            # By convention, and where the one entry's weight does not depend on it.
            factor = mean = 0.0
        else:
            inverse_span = 1.0 / span
            mean *= inverse_span
            if moving and not empty:
                plain_mean = third * inverse
                # An appended 0 has a share where it is an extremum, too, and all of it beyond.
                appended = form == NORMALIZED
                low = ties_low + (1.0 if appended and smallest == 0.0 else 0.0)
                high = ties_high + (1.0 if appended and largest == 0.0 else 0.0)
                pull = (mean - plain_mean) * inverse_span if ratio else -plain_mean
                if not (appended and smallest > 0.0):
                    at_smallest = pull / low
                if ratio and not (appended and largest < 0.0):
                    at_largest = -mean * inverse_span / high
    return invalid, factor, mean, inverse_span, at_smallest, at_largest, term_s, term_b


@inlined
def write_gradients(
    storage,
    function,
    stream,
    kept,
    row,
    tail,
    cotangents,
    dy_tail,
    whole,
    chunks,
    lower,
    smallest,
    largest,
    found,
    target,
    rest,
):
    """Round the gradients to chunks at ``target``, an incomplete one at ``rest``.

    Logits and cotangents are floats, or those of binary64.
    """
    _, factor, mean, inverse_span, at_smallest, at_largest, _, _ = found
    size, step = LANES * size_of(storage), LANES * working_size(storage)
    for c in range(chunks):
        x = load_row(storage, row + step * c if c < whole else tail)
        dy = load_row(storage, cotangents + step * c if c < whole else dy_tail)
        power = load_doubles(kept + _DOUBLES * c)
        dy = select(equal(x, full(-math.inf)), full(0.0), dy)
        if function == SA_SOFTMAX:
            gate = gate_numerator(x, lower) * inverse_span
            result = fma(dy, gate, full(-mean)) + dy * inverse_span
            result = power * result * factor
            result = result + select(equal(x, full(smallest)), full(at_smallest), full(0.0))
            result = result + select(equal(x, full(largest)), full(at_largest), full(0.0))
        else:
            result = power * (dy - mean) * factor
            if function == SSMAX:
                # A factor c of 2^700 and more would lift what the floor stands for.
                result = select(less(power, full(_NOTHING)), full(0.0), result)
        store(storage, stream and c < whole, target + size * c if c < whole else rest, result)
