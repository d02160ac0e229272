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

from ._exponential import exponential, precision_of
from ._functions import inlined
from ._intrinsics import (
    LANES,
    add_where_equal,
    equal,
    fma,
    full,
    full_float,
    has_float_of,
    has_of,
    less,
    no_counts,
    select,
    sum_of_counts,
    sum_of_lanes,
    widen,
)
from ._lanes import below, both, chosen, either, like, opposite, same, size_of_number
from ._layout import FLOAT64, MINMAX, NORMALIZED, PLAIN, SA_SOFTMAX, SOFTMAX, SSMAX
from ._memory import load_doubles, load_floats, prefetch, store_doubles
from ._narrow_weights import PART, argument
from ._storage import load_row, size_of, store, working_size

__all__ = [
    "at_extrema",
    "gradient_of_entries",
    "gradient_of_row",
    "powers_of_entries",
    "sums_of_powers",
    "write_gradients",
]

_FLOATS, _DOUBLES = 4 * LANES, 8 * LANES
_STEEP, _LEAST_MEAN = 2.0**160, 2.0**-800
_NOTHING = 2.0**-1009
"""Above the exponential of the floor."""


@inlined
def powers_of_entries(function, precision, x, dy, pivot, scale, lower):
    """Return e, and two numbers that the sums are made of.

    They are dy; e dy and x - v for SSMax; e dy and the gate's numerator for gates. All but e are 0
    where an entry is absent.
    """
    difference = x - pivot
    power = exponential(precision, argument(function, difference, scale))
    gone = equal(difference, full(-math.inf))
    dy = select(gone, full(0.0), dy)
    if function == SOFTMAX:
        return power, (dy, dy)
    if function == SSMAX:
        return power, (power * dy, select(gone, full(0.0), difference))
    return power, (power * dy, select(gone, full(0.0), x - lower))


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
    ahead,
):
    """Return the sums over a block that its gradients need.

    They are those of e = exp; of e dy (gates: times the numerator); then of e (x - v) and
    e dy (x - v) for SSMax; of e dy, and the numbers of entries that are smallest and largest, for
    gates.

    e is stored at ``kept``. The row that begins ``ahead`` bytes after this one, and its cotangents,
    are asked for meanwhile.
    """
    precision = precision_of(storage, gradients=True)
    total, weighted, third, fourth = full(0.0), full(0.0), full(0.0), full(0.0)
    at_smallest, at_largest = no_counts(), no_counts()
    low, high = full_float(np.float32(smallest)), full_float(np.float32(largest))
    first = 0
    while first < chunks:
        stop = min(first + PART, chunks)
        part_total, part_weighted = full(0.0), full(0.0)
        part_third, part_fourth = full(0.0), full(0.0)
        for c in range(first, stop):
            at, dy_at = row + _FLOATS * c, cotangents + _FLOATS * c
            floats = load_floats(at if c < whole else tail)
            x = widen(floats)
            dy = widen(load_floats(dy_at if c < whole else dy_tail))
            prefetch(at + ahead)
            prefetch(dy_at + ahead)
            power, terms = powers_of_entries(function, precision, x, dy, pivot, scale, lower)
            store_doubles(kept + _DOUBLES * c, power)
            part_total = part_total + power
            if function == SOFTMAX:
                part_weighted = fma(power, terms[0], part_weighted)
            if function == SSMAX:
                part_weighted = part_weighted + terms[0]
                part_third = fma(power, terms[1], part_third)
                part_fourth = fma(terms[0], terms[1], part_fourth)
            if function == SA_SOFTMAX:
                part_third = part_third + terms[0]
                part_weighted = fma(terms[0], terms[1], part_weighted)
                at_smallest = add_where_equal(at_smallest, floats, low)
                at_largest = add_where_equal(at_largest, floats, high)
        total, weighted = total + part_total, weighted + part_weighted
        third, fourth = third + part_third, fourth + part_fourth
        first = stop
    return (
        sum_of_lanes(total),
        sum_of_lanes(weighted),
        sum_of_lanes(third),
        sum_of_lanes(fourth),
        np.float64(sum_of_counts(at_smallest)),
        np.float64(sum_of_counts(at_largest)),
    )


@inlined
def gradient_of_row(function, form, detach_extrema, facts, sums):
    """Return what the sums make of a row.

    That is: whether it is invalid, c / S, G, 1 / D, what is added at the extrema, and the terms of
    ds and of db.
    """
    empty, invalid, scale, log_n, span, smallest, largest = facts
    total, weighted, third, fourth, ties_low, ties_high = sums
    inverse = chosen(empty, 0.0, 1.0 / total)
    factor, mean = inverse * scale, weighted * inverse
    # A dy that is not finite reaches the sum, since no e is 0.
    seen = third if function == SA_SOFTMAX else weighted
    invalid = both(opposite(empty), either(invalid, opposite(same(seen - seen, 0.0))))
    inverse_span, at_smallest, at_largest = like(total, 1.0), like(total, 0.0), like(total, 0.0)
    term_s, term_b = like(total, 0.0), like(total, 0.0)
    if function == SSMAX:
        # At such a scale every p is 0 but those of the largest c x: the rest is what the floor
        # stands for, and c would lift it.
        steep = below(_STEEP, size_of_number(scale))
        third, fourth = chosen(steep, 0.0, third), chosen(steep, 0.0, fourth)
        mean = chosen(both(steep, below(size_of_number(mean), _LEAST_MEAN)), 0.0, mean)
        term_b = chosen(empty, 0.0, (fourth - mean * third) * inverse)
        term_s = chosen(empty, 0.0, term_b * log_n)
        term_b, term_s = chosen(invalid, math.nan, term_b), chosen(invalid, math.nan, term_s)
    if function == SA_SOFTMAX:
        moving = form != PLAIN and not detach_extrema
        # By convention, and where the one entry's weight does not depend on it.
        still = same(span, 0.0)
        if moving:
            still = either(still, both(same(ties_low, 1.0), same(smallest, largest)))
        factor, mean = chosen(still, 0.0, factor), chosen(still, 0.0, mean)
        inverse_span = chosen(still, 1.0, 1.0 / span)
        mean = mean * inverse_span
        if moving:
            ratio, appended = form >= MINMAX, form == NORMALIZED
            plain_mean = third * inverse
            low, high = ties_low, ties_high
            pull = plain_mean * -1.0
            if ratio:
                pull = (mean - plain_mean) * inverse_span
            push = mean * inverse_span * -1.0
            fixed = either(empty, still)
            fixed_low, fixed_high = fixed, fixed
            if appended:
                # An appended 0 has a share where it is an extremum, too, and all of it beyond.
                low = low + chosen(same(smallest, 0.0), like(low, 1.0), 0.0)
                high = high + chosen(same(largest, 0.0), like(high, 1.0), 0.0)
                fixed_low = either(fixed, below(0.0, smallest))
                fixed_high = either(fixed, below(largest, 0.0))
            at_smallest = chosen(fixed_low, 0.0, pull / low)
            if ratio:
                at_largest = chosen(fixed_high, 0.0, push / high)
    return invalid, factor, mean, inverse_span, at_smallest, at_largest, term_s, term_b


@inlined
def gradient_of_entries(storage, function, x, dy, power, lower, found):
    """Return the gradients of entries, less what is added at the extrema; 0 where one is absent.

    Softmax and SSMax of up to 32 bits do without x, which may be anything.
    """
    _, factor, mean, inverse_span, _, _, _, _ = found
    if function == SA_SOFTMAX:
        difference = x - lower
        gone = equal(difference, full(-math.inf))
        gate = select(gone, full(0.0), difference) * inverse_span
        dy = select(gone, full(0.0), dy)
        # At an only maximum, and nowhere else, dy r - G may be exactly 0: dy / D comes after it, so
        # that the derivative is p (1 - p) also where 1 - p is far below the rounding of 1 + 1 / D.
        return power * (fma(dy, gate, full(0.0) - mean) + dy * inverse_span) * factor
    if storage == FLOAT64:
        return power * (select(equal(x, full(-math.inf)), full(0.0), dy) - mean) * factor
    # The floor stands for absent entries, and for weights that are 0, which a factor c of 2^700 and
    # more would lift.
    gone = less(power, full(_NOTHING))
    if function == SOFTMAX:
        # Of a row's only entry e and S are 1, so that this is exactly 0.
        result = power * fma(dy, like(dy, factor), full(0.0) - mean * factor)
    else:
        result = power * (dy - mean) * factor
    return select(gone, full(0.0), result)


@inlined
def _has_extrema(storage, row, smallest, largest):
    if storage == FLOAT64:
        return has_of(load_doubles(row), smallest, largest)
    return has_float_of(load_floats(row), np.float32(smallest), np.float32(largest))


@inlined
def at_extrema(x, result, smallest, largest, found):
    """Return gradients with what is added at the extrema of rows."""
    at_smallest, at_largest = found[4], found[5]
    result = select(equal(x, like(x, smallest)), result + at_smallest, result)
    return select(equal(x, like(x, largest)), result + at_largest, result)


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
    size, step = LANES * size_of(storage), LANES * working_size(storage)
    for c in range(chunks):
        at = row + step * c if c < whole else tail
        x = load_row(storage, at)
        dy = load_row(storage, cotangents + step * c if c < whole else dy_tail)
        power = load_doubles(kept + _DOUBLES * c)
        result = gradient_of_entries(storage, function, x, dy, power, lower, found)
        if function == SA_SOFTMAX and _has_extrema(storage, at, smallest, largest):
            result = at_extrema(x, result, smallest, largest, found)
        store(storage, stream and c < whole, target + size * c if c < whole else rest, result)
