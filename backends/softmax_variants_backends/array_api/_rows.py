"""Rows of logits as every variant sees them: present entries, extrema, exponentials, their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _words as w
from ._elementary import exponential, power_of_half

if TYPE_CHECKING:
    from ._parameters import Scale
    from ._words import Array, Number
    from ._working import Working

__all__ = [
    "Exponentials",
    "Rows",
    "exponentials",
    "invalid_rows",
    "mask_result",
    "read_rows",
]


@dataclass(frozen=True)
class Rows:
    """Logits with absent and non-finite entries set aside; extrema keep ``axis`` at length 1."""

    working: Working
    axis: int
    x: Array
    """Logits in the working type; 0 where absent or not finite."""
    present: Array
    empty: Array
    """Rows without present entries."""
    invalid: Array
    """Rows with a present NaN or +inf."""
    smallest: Array
    largest: Array
    """Extrema over the present entries; 0 in empty rows."""

    def any(self, condition: Array) -> Array:
        """Return whether the condition holds anywhere in each row."""
        return self.working.xp.any(condition, axis=self.axis, keepdims=True)

    def sum(self, a: Number) -> Number:
        """Return the sum over each row (entries that do not count must hold 0)."""
        return w.tree_sum(self.working.xp, a, self.axis)

    def count(self, condition: Array) -> Array:
        """Return how many entries of each row meet the condition, as integers."""
        xp = self.working.xp
        ones = xp.astype(condition, self.working.int_dtype)
        return xp.sum(ones, axis=self.axis, keepdims=True, dtype=self.working.int_dtype)

    def largest_of(self, values: Array) -> Array:
        """Return the largest of non-negative values in each row."""
        return self.working.xp.max(values, axis=self.axis, keepdims=True)


def read_rows(x: Array, where: Array | None, axis: int, working: Working) -> Rows:
    """Return the rows of ``x`` along ``axis`` (of length 1 at least)."""
    xp = working.xp
    inf = float("inf")
    present = x != -inf
    if where is not None:
        present = present & where
    finite = xp.isfinite(x)
    invalid = xp.any(present & ~finite, axis=axis, keepdims=True)
    wide = xp.astype(xp.where(present & finite, x, xp.zeros_like(x)), working.dtype)
    empty = ~xp.any(present, axis=axis, keepdims=True)
    largest = xp.max(xp.where(present, wide, -inf), axis=axis, keepdims=True)
    smallest = xp.min(xp.where(present, wide, inf), axis=axis, keepdims=True)
    return Rows(
        working=working,
        axis=axis,
        x=wide,
        present=present,
        empty=empty,
        invalid=invalid,
        smallest=xp.where(empty, 0.0, smallest),
        largest=xp.where(empty, 0.0, largest),
    )


@dataclass(frozen=True)
class Exponentials:
    """exp(c (x_i - v)) = e * 2**-halvings, with v the logit where c x is largest, and their sum.

    e is in (0.7, 1.42), and 2**-halvings = root * rest. These powers of two are kept apart until
    the last multiplication: a weight may be representable where its exponential is not (a gate
    times an exponential that underflows), and a subnormal result is to be rounded once.
    """

    e: Number
    halvings: Array
    root: Array
    rest: Array
    alive: Array
    """Present entries whose weight can be nonzero; e is 0 elsewhere."""
    pivot: Array
    """v, of each row."""
    total: Number

    def normalized(self, splitter: float) -> Number:
        """Return e over the sum: the probability but for its power of two."""
        return w.divide(self.e, self.total, splitter)

    def apply_powers(self, a: Number) -> Number:
        """Return ``a`` times the power of two of each exponential."""
        return w.scale(w.scale(a, self.root), self.rest)


def exponentials(rows: Rows, scale: Scale | None) -> Exponentials:
    """Return the exponentials of the rows, shifted first and scaled then.

    Scale before shift would cost up to u |c x| instead of u |c (x - v)|.
    """
    working, xp, k = rows.working, rows.working.xp, rows.working.constants
    x, pivot = rows.x, rows.largest
    if scale is not None:
        pivot = xp.where(scale.c[0] >= 0.0, rows.largest, rows.smallest)
    top = pivot
    if scale is not None and working.scaled:
        x, top = x * scale.before, top * scale.before
    difference = working.number(w.two_difference(x, top))
    if working.scaled:
        if scale is not None:
            difference = w.scale(difference, scale.after)
        # Beyond 2**clamp (or after an overflow) the weight is 0 whatever the low word says.
        limit = 2.0**k.clamp
        inside = xp.abs(difference[0]) < limit
        capped = xp.where(difference[0] < 0.0, working.full(difference[0], -limit), limit)
        if scale is None:
            capped = working.full(difference[0], -limit)
        difference = (
            xp.where(inside, difference[0], capped),
            xp.where(inside, difference[1], 0.0),
        )
    z = difference if scale is None else w.multiply(scale.c, difference, k.splitter)
    floor = -k.max_halvings * k.ln2[0]
    alive = rows.present & (z[0] >= floor)
    z = w.each(lambda word: xp.where(alive, word, 0.0), z)
    mantissa, halvings = exponential(xp, z, k, working.int_dtype)
    mantissa = w.each(lambda word: xp.where(alive, word, 0.0), mantissa)
    root = power_of_half(xp, halvings >> 1, working.dtype)
    rest = root * working.choose((halvings & 1) == 1, 0.5, 1.0)
    # Terms that underflow here are below 2**-1022 of the sum, which is at least 1.
    total = rows.sum(w.scale(w.scale(mantissa, root), rest))
    total = (xp.where(rows.empty, 1.0, total[0]), *total[1:])
    return Exponentials(mantissa, halvings, root, rest, alive, pivot, total)


def invalid_rows(rows: Rows, scale: Scale | None) -> Array:
    """Return the rows whose present entries become NaN; empty rows never do."""
    invalid = rows.invalid if scale is None else rows.invalid | scale.invalid
    return invalid & ~rows.empty


def mask_result(rows: Rows, value: Number, invalid: Array) -> Number:
    """Return the value with the entries of invalid rows NaN and absent entries exactly 0."""
    xp = rows.working.xp
    high = xp.where(rows.present, xp.where(invalid, float("nan"), value[0]), 0.0)
    shown = rows.present & ~invalid
    return (high, *(xp.where(shown, word, 0.0) for word in value[1:]))
