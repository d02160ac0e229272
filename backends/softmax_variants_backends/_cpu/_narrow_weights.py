"""Weights of rows of logits up to 32 bits: y = exp(c (x - v)) (x - lambda) / (S D).

Evaluated in binary64 and rounded once. Errors, relative: 2^-46 of exp (see there), 2^-52 of each of
1 / S, the gate, D and the products, 2^-46 of S: under 2^-44, which is 2^-20 units of binary32 and
less of the 16-bit types.

A sum has LANES terms side by side and three levels: chunks of a part, parts of a block, and blocks
of a row. In a block no path has more than 64 + 32 + 4 additions: 2^-46 of a sum of positive terms.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

from ._exponential import exponential, precision_of
from ._functions import inlined
from ._intrinsics import LANES, equal, full, minus_absolute, select, sum_of_lanes, widen
from ._layout import SA_SOFTMAX, SSMAX
from ._memory import load_doubles, load_floats, prefetch, store_doubles
from ._storage import load_row, size_of, store, working_size

__all__ = ["PART", "argument", "fill_invalid", "gate_numerator", "sum_of_powers", "write_weights"]

PART = 64
"""Chunks whose terms are summed before they meet those of other parts."""
_FLOATS, _DOUBLES = 4 * LANES, 8 * LANES


@inlined
def argument(function, difference, scale):
    """Return exp's argument, shifted first and scaled then: an error of 2^-52 of it.

    ``difference`` is x - v: -inf where an entry is absent, whatever the sign of c. For those that
    are present c (x - v) <= 0. A c of 0 makes NaN of -inf, which the exponential takes for it.
    """
    if function != SSMAX:
        return difference
    return minus_absolute(difference * scale)


@inlined
def gate_numerator(x, lower):
    """X - lambda; 0 for absent entries."""
    difference = x - lower
    return select(equal(difference, full(-math.inf)), full(0.0), difference)


@inlined
def sum_of_powers(storage, function, kept, row, whole, tail, chunks, pivot, scale, lower, ahead):
    """Return the sum S of a block.

    What the factor will multiply, exp times the gate's numerator, is stored at ``kept``. The row
    that begins ``ahead`` bytes after this one is asked for meanwhile.
    """
    precision = precision_of(storage, gradients=False)
    total = full(0.0)
    first = 0
    while first < chunks:
        stop = min(first + PART, chunks)
        part = full(0.0)
        for c in range(first, stop):
            at = row + _FLOATS * c
            x = widen(load_floats(at if c < whole else tail))
            power = exponential(precision, argument(function, x - pivot, scale))
            part = part + power
            if function == SA_SOFTMAX:
                power = power * gate_numerator(x, lower)
            store_doubles(kept + _DOUBLES * c, power)
            prefetch(at + ahead)
        total = total + part
        first = stop
    return sum_of_lanes(total)


@inlined
def fill_invalid(storage, kept, row, whole, tail, chunks):
    """Store at ``kept`` the results of a row whose present entries are all NaN."""
    step = LANES * working_size(storage)
    for c in range(chunks):
        x = load_row(storage, row + step * c if c < whole else tail)
        value = select(equal(x, full(-math.inf)), full(0.0), full(math.nan))
        store_doubles(kept + _DOUBLES * c, value)


@inlined
def write_weights(storage, stream, kept, factor, target, whole, rest, chunks):
    """Round what is kept, times the factor, to chunks at ``target``, an incomplete one at ``rest``.

    Those of a row whose results are all NaN are kept as they are.
    """
    size = LANES * size_of(storage)
    for c in range(chunks):
        at = target + size * c if c < whole else rest
        store(storage, stream and c < whole, at, load_doubles(kept + _DOUBLES * c) * factor)
