"""The vector-Jacobian product of SA-Softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _words as w
from ._elementary import binary_exponent, power_of_half, times_power

if TYPE_CHECKING:
    from ._gates import Gate
    from ._gradient_parts import Parts
    from ._rows import Rows
    from ._words import Array, Number

__all__ = ["gate_gradient"]


class _Balance:
    """The gate and its derivative 1/D, in a range where their products keep both words.

    Gates without a denominator are brought to 1 at most, denominators to [1, 2). The gate's
    derivative is then to be multiplied by ``down`` and its value by ``up``, powers of two of at
    most 1, and the gradient by 2**``exponent``.
    """

    def __init__(self, parts: Parts, gates: Gate) -> None:
        self._parts, working, xp = parts, parts.working, parts.working.xp
        self._denominator, self._scaled = gates.denominator, working.scaled
        self.exponent = parts.exponent
        value = gates.numerator
        if self._denominator is not None:
            value = parts.over(value, self._denominator)
        self.value = value
        if not working.scaled:
            return
        measured = value if self._denominator is None else self._denominator
        size = parts.rows.largest_of(xp.abs(measured[0]))
        lifted = binary_exponent(xp, size, working.constants, working.int_dtype)
        true = lifted - gates.lift_exponent
        above, below = xp.where(true > 0, true, 0), xp.where(true < 0, -true, 0)
        self._down = power_of_half(xp, above, working.dtype)
        if self._denominator is None:
            undo = -gates.lift_exponent - above
            self.value = times_power(xp, value, undo, working.dtype)
            self.exponent = self.exponent + above
        else:
            self._up = power_of_half(xp, below, working.dtype)
            self._denominator = times_power(xp, self._denominator, -lifted, working.dtype)
            self.exponent = self.exponent + below

    def up(self, a: Number) -> Number:
        """Return ``a``, a term without D, in the proportion that it has beside terms over D."""
        if not self._scaled or self._denominator is None:
            return a
        return w.scale(a, self._up)

    def over_denominator(self, a: Number) -> Number:
        """Return a / D, with D = 1 for the forms without a denominator."""
        if self._denominator is not None:
            a = self._parts.over(a, self._denominator)
        return w.scale(a, self._down) if self._scaled else a


def gate_gradient(parts: Parts, gates: Gate, form: str, *, detach_extrema: bool) -> Number:
    """Return dx of SA-Softmax."""
    rows, xp, cotangent = parts.rows, parts.working.xp, parts.cotangent
    balance = _Balance(parts, gates)
    gated_cotangent = parts.times(balance.value, cotangent)
    gated_mean = parts.mean(gated_cotangent)
    inner = w.subtract(gated_cotangent, parts.beside(gated_mean))
    value = w.add(
        balance.up(parts.times(parts.mantissa, inner)),
        balance.over_denominator(parts.times(cotangent, parts.mantissa)),
    )
    addends = []
    if form != "plain" and not detach_extrema:
        mean = parts.mean(cotangent)
        ratio = gates.denominator is not None
        low = w.subtract(gated_mean, mean) if ratio else w.negate(mean)
        at_min = rows.present & (rows.x == rows.smallest)
        sharers = _sharers(rows, at_min, rows.smallest < 0.0, form)
        if form == "normalized":
            at_min = at_min & (rows.smallest <= 0.0)
        addends.append((at_min, parts.over(balance.over_denominator(low), sharers)))
        if ratio:
            high = w.negate(gated_mean)
            at_max = rows.present & (rows.x == rows.largest)
            sharers = _sharers(rows, at_max, rows.largest > 0.0, form)
            if form == "normalized":
                at_max = at_max & (rows.largest >= 0.0)
            addends.append((at_max, parts.over(balance.over_denominator(high), sharers)))
    value = parts.gradient(value, balance.exponent, addends)
    if gates.zero is not None:
        value = w.each(lambda word: xp.where(gates.zero, 0.0, word), value)
    return value


def _sharers(rows: Rows, extremal: Array, beyond_zero: Array, form: str) -> Number:
    """Return among how many entries the derivative of an extremum is split.

    In the normalized form the appended 0 has a share where the extremum is 0.
    """
    working, xp = rows.working, rows.working.xp
    count = rows.count(extremal)
    if form == "normalized":
        count = count + xp.where(beyond_zero, xp.zeros_like(count), 1)
    count = xp.where(rows.empty, 1, count)
    return working.lift(count)
