"""What the formulas of the vector-Jacobian products have in common: p, dy and their means."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from . import _words as w
from ._elementary import binary_exponent, times_power

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._rows import Exponentials, Rows
    from ._words import Array, Number

__all__ = ["Parts", "centre_rows"]


def centre_rows(rows: Rows, a: Number, target: int) -> tuple[Number, Array]:
    """Return ``a`` with the largest of each row at 2**target, and the exponent that undoes it."""
    working, xp = rows.working, rows.working.xp
    size = rows.largest_of(xp.abs(a[0]))
    exponent = binary_exponent(xp, size, working.constants, working.int_dtype) - target
    return times_power(xp, a, -exponent, working.dtype), exponent


class Parts:
    """dy and p of each row, in a range where their products keep both words.

    Where the working type is scaled, dy is brought near the end of the range: products with gates
    and denominators far below 1, with probabilities, and their low words then stay above its
    other end. All gradients of a row also have the factor of the largest p that a nonzero dy
    meets, be it the entry's own p or that of the means. It may be far below the range, so that
    its power of two, 2**-``common``, is left to the end, as is what undoes the scaling of dy.
    A dy smaller than the row's largest by 2**emax or so loses low bits; that counts only beside a
    largest dy that meets a gate of 0, or a p near the end of the range.
    """

    def __init__(self, rows: Rows, exps: Exponentials, cotangent: Number) -> None:
        self.rows, self.exps, self.working = rows, exps, rows.working
        self.splitter = rows.working.constants.splitter
        self.mantissa = exps.normalized(self.splitter)
        xp = self.working.xp
        # Entries that are not alive contribute nothing, and are not to govern the others' range.
        self.cotangent = w.each(lambda word: xp.where(exps.alive, word, 0.0), cotangent)
        self.exponent = self.working.choose_int(rows.empty, 0, 0)
        """What is left to the end, as a power of two of each row."""
        if not self.working.scaled:
            return
        self.cotangent, self.exponent = centre_rows(
            rows, self.cotangent, self.working.emax * 3 // 4
        )
        self.counts = self.cotangent[0] != 0.0
        self.common = self.lowest(self.counts, exps.halvings)
        self.exponent = self.exponent - self.common
        self.halvings = exps.halvings - xp.where(self.counts, self.common, 0)
        """p = mantissa * 2**-halvings, but for the common factor where dy is not 0."""

    def times(self, a: Number, b: Number) -> Number:
        """Return a * b."""
        return w.multiply(a, b, self.splitter)

    def over(self, a: Number, b: Number) -> Number:
        """Return a / b."""
        return w.divide(a, b, self.splitter)

    def lower(self, a: Number, halvings: Array) -> Number:
        """Return a * 2**-halvings."""
        return times_power(self.working.xp, a, -halvings, self.working.dtype)

    def lowest(self, condition: Array, halvings: Array) -> Array:
        """Return each row's smallest of some halvings; 0 if the condition holds nowhere."""
        xp, beyond = self.working.xp, self.working.constants.max_halvings + 1
        candidates = xp.where(condition, halvings, beyond)
        smallest = xp.min(candidates, axis=self.rows.axis, keepdims=True)
        return xp.where(smallest == beyond, 0, smallest)

    def mean(self, a: Number) -> Number:
        """Return the sum of p a over each row, without the common factor; a is 0 where dy is.

        ``a`` times e comes first: p may underflow where p a does not.
        """
        a = self.times(a, self.mantissa)
        if self.working.scaled:
            return self.rows.sum(self.lower(a, self.halvings))
        return self.rows.sum(self.exps.apply_powers(a))

    def beside(self, mean: Number) -> Number:
        """Return a mean as it stands beside an entry's dy: with the common factor, but for dy 0.

        There the mean is all that there is, and the factor is left to the end.
        """
        if not self.working.scaled:
            return mean
        xp = self.working.xp
        true = self.lower(mean, self.common)
        pairs = zip(true, mean, strict=True)
        return tuple(xp.where(self.counts, word, other) for word, other in pairs)

    def gradient(
        self, value: Number, exponent: Array, addends: Sequence[tuple[Array, Number]] = ()
    ) -> Number:
        """Return (value * p's power of two + addends) * 2**exponent.

        An addend is a mask, where it is added, and a number of each row.
        """
        xp = self.working.xp
        if not self.working.scaled:
            return self._plus(self.exps.apply_powers(value), addends)
        halvings = self.halvings
        if addends:
            masked = reduce(or_, (mask for mask, _ in addends))
            value = self.lower(value, xp.where(masked, halvings, 0))
            value = self._plus(value, addends)
            halvings = xp.where(masked, 0, halvings)
        # One sequence of steps in one direction: p may underflow where its gradient does not.
        return times_power(xp, value, exponent - halvings, self.working.dtype)

    def _plus(self, value: Number, addends: Sequence[tuple[Array, Number]]) -> Number:
        xp = self.working.xp
        for mask, number in addends:
            value = w.add(value, tuple(xp.where(mask, word, 0.0) for word in number))
        return value
