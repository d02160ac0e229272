"""Vector-Jacobian products of the family.

With p the probabilities, y = r p, G = sum dy y and P = sum dy p over the present entries:

    dx_j = c p_j (r_j dy_j - G)                                  every variant
         + dy_j p_j / D                                          gates
         + lambda_j (G - P) / D - mu_j G / D                     minmax, normalized
         - lambda_j P                                            shifted

where lambda_j and mu_j are entry j's shares in the derivatives of the smallest and the largest
logit (all 0 when the extrema are detached).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _words as w
from ._elementary import binary_exponent, power_of_half, times_power
from ._gates import gate
from ._rounding import round_to
from ._rows import exponentials, invalid_rows, mask_result, read_rows
from ._weights import scale_of_rows
from ._working import working_for

if TYPE_CHECKING:
    from ._gates import Gate
    from ._parameters import Scale
    from ._rows import Exponentials, Rows
    from ._words import Array, Number
    from ._working import Working

__all__ = ["RowSums", "vjp"]


@dataclass(frozen=True)
class RowSums:
    """Each row's term of db and ds, in the working type, before the sum over rows."""

    db: Number
    ds: Number


def vjp(
    xp: Any,
    device: Any,
    x: Array,
    dy: Array,
    *,
    axis: int,
    where: Array | None,
    parameters: tuple[Any, Any, Any] | None = None,
    form: str | None = None,
    detach_extrema: bool = False,
    working: Working | None = None,
) -> tuple[Array, RowSums | None]:
    """Return dx and, with ``parameters`` (s, b, n), the rows' terms of ds and db.

    ``x`` must not be of size 0.
    """
    working = working or working_for(xp, device, x.dtype)
    rows = read_rows(x, where, axis, working)
    scale = None if parameters is None else scale_of_rows(rows, *parameters)
    exps = exponentials(rows, scale)
    finite = xp.isfinite(dy)
    invalid = invalid_rows(rows, scale) | rows.any(rows.present & ~finite)
    cotangent = working.lift(xp.where(rows.present & finite, dy, xp.zeros_like(dy)))
    gates = None if form is None else gate(rows, form, exps.alive)
    # Entries that are not alive contribute nothing, and are not to govern the others' range.
    cotangent = w.each(lambda word: xp.where(exps.alive, word, 0.0), cotangent)
    cotangent, unfold = _centre_rows(rows, cotangent, working.emax * 3 // 4)

    parts = _Parts(rows, exps, cotangent, unfold)
    if form is not None and gates is not None:
        value = _gated(parts, gates, form, detach_extrema)
        if gates.zero is not None:
            value = w.each(lambda word: xp.where(gates.zero, 0.0, word), value)
    else:
        value = _plain(parts, scale)
    dx = round_to(working, mask_result(rows, value, invalid), x.dtype)
    if scale is None:
        return dx, None
    return dx, _row_sums(parts, scale, invalid)


def _centre_rows(rows: Rows, a: Number, target: int) -> tuple[Number, Array]:
    """Return ``a`` with the largest of each row at 2**target, and the exponent that undoes it.

    Cotangents are brought near the end of the range: products with gates and denominators far
    below 1, with probabilities, and their low words then stay above its other end.
    """
    working, xp = rows.working, rows.working.xp
    if not working.scaled:
        return a, working.choose_int(rows.empty, 0, 0)
    size = rows.largest_of(xp.abs(a[0]))
    exponent = binary_exponent(xp, size, working.constants, working.int_dtype) - target
    return times_power(xp, a, -exponent, working.dtype), exponent


class _Parts:
    """What every formula of a vjp is made of.

    All of a row's gradients have the factor of the largest p that a nonzero dy meets, be it the
    entry's own or that of the means. It may be far below the range, so that its power of two,
    2**-``common``, is left to the end.
    """

    def __init__(
        self, rows: Rows, exps: Exponentials, cotangent: Number, unfold: Array
    ) -> None:
        self.rows, self.exps, self.cotangent = rows, exps, cotangent
        self.working, self.splitter = rows.working, rows.working.constants.splitter
        self.mantissa = exps.normalized(self.splitter)
        xp = self.working.xp
        self.counts = cotangent[0] != 0.0
        self.common = self.lowest(self.counts, exps.halvings)
        self.exponent = unfold - self.common
        self.halvings = xp.where(exps.alive, exps.halvings, 0)
        self.halvings = self.halvings - xp.where(self.counts, self.common, 0)

    def times(self, a: Number, b: Number) -> Number:
        return w.multiply(a, b, self.splitter)

    def over(self, a: Number, b: Number) -> Number:
        return w.divide(a, b, self.splitter)

    def lowest(self, condition: Array, halvings: Array) -> Array:
        """Return each row's smallest of some numbers of halvings; 0 if the condition never holds.

        Without scaling it is 0: no power of two that counts is beyond the range.
        """
        if not self.working.scaled:
            return self.working.choose_int(self.rows.empty, 0, 0)
        xp, most = self.working.xp, self.working.constants.max_halvings + 1
        smallest = xp.min(xp.where(condition, halvings, most), axis=self.rows.axis, keepdims=True)
        return xp.where(smallest == most, 0, smallest)

    def mean(self, a: Number) -> Number:
        """Return the sum of p a over each row, times 2**common; a is 0 where dy is.

        ``a`` times e comes first: p may underflow where p a does not.
        """
        return self.rows.sum(self.by_power(self.times(a, self.mantissa)))

    def seen(self, mean: Number) -> Number:
        """Return a mean as it stands beside dy: without the factor where dy is not 0."""
        if not self.working.scaled:
            return mean
        true = self.lower(mean, self.common)
        return tuple(
            self.working.xp.where(self.counts, word, other)
            for word, other in zip(true, mean, strict=True)
        )

    def by_power(self, a: Number) -> Number:
        """Return ``a`` times the power of two of each p, but for ``common`` where that counts."""
        if not self.working.scaled:
            return self.exps.apply_powers(a)
        return self.lower(a, self.halvings)

    def lower(self, a: Number, halvings: Array) -> Number:
        return times_power(self.working.xp, a, -halvings, self.working.dtype)

    def lift(self, a: Number, exponent: Array) -> Number:
        return times_power(self.working.xp, a, exponent, self.working.dtype)


def _plain(parts: _Parts, scale: Scale | None) -> Number:
    """softmax and SSMax: dx = c p (dy - sum dy p)."""
    working = parts.working
    inner = w.subtract(parts.cotangent, parts.seen(parts.mean(parts.cotangent)))
    value = parts.times(parts.mantissa, inner)
    if not working.scaled:
        if scale is not None:
            value = parts.times(value, scale.c)
        return parts.by_power(value)
    exponent = parts.exponent - parts.halvings
    if scale is not None:
        factor, shift = _centre(working, scale.c)
        value = parts.times(value, factor)
        exponent = exponent + scale.exponent - shift
    # One sequence of steps in one direction: p may underflow where c p dy does not.
    return parts.lift(value, exponent)


def _centre(working: Working, c: Number) -> tuple[Number, Array]:
    """Return c times 2**shift, with |c| nearer to 1 where it was far, and the shift."""
    xp, emax = working.xp, working.emax
    size = xp.abs(c[0])
    near, step = 2.0 ** (emax // 10), emax * 3 // 10
    high, low = size >= near, (size < 1.0 / near) & (size > 0.0)
    power = xp.where(high, 2.0**-step, working.choose(low, 2.0**step, 1.0))
    return w.scale(c, power), xp.where(high, -step, working.choose_int(low, step, 0))


def _gated(parts: _Parts, gates: Gate, form: str, detach_extrema: bool) -> Number:
    """SA-Softmax: the value above, and the derivatives of the gate, of a row times 2**-exponent.

    Gates that are not ratios are brought to 1 at most, denominators to [1, 2); what the one term
    then lacks beside the other is in two powers of two, ``up`` and ``down``, at most 1.
    """
    rows, working, splitter = parts.rows, parts.working, parts.splitter
    xp, cotangent = working.xp, parts.cotangent
    denominator, up, down, exponent = gates.denominator, None, None, parts.exponent
    gate_value = gates.numerator
    if denominator is not None:
        gate_value = parts.over(gate_value, denominator)
    if working.scaled:
        measured = denominator if denominator is not None else gate_value
        size = rows.largest_of(xp.abs(measured[0]))
        lifted = binary_exponent(xp, size, working.constants, working.int_dtype)
        true = lifted - gates.lift_exponent
        if denominator is not None:
            denominator = times_power(xp, denominator, -lifted, working.dtype)
            up = power_of_half(xp, xp.where(true < 0, -true, 0), working.dtype)
            exponent = exponent + xp.where(true < 0, -true, 0)
        else:
            raised = xp.where(true > 0, true, 0)
            gate_value = times_power(
                xp, gate_value, -gates.lift_exponent - raised, working.dtype
            )
            exponent = exponent + raised
        down = power_of_half(xp, xp.where(true > 0, true, 0), working.dtype)

    def derivative(a: Number) -> Number:
        """Return a / D, as the derivatives of the gate enter."""
        if denominator is not None:
            a = parts.over(a, denominator)
        return a if down is None else w.scale(a, down)

    gated_cotangent = parts.times(gate_value, cotangent)
    gated_mean = parts.mean(gated_cotangent)
    inner = w.subtract(gated_cotangent, parts.seen(gated_mean))
    value = parts.times(parts.mantissa, inner)
    if up is not None:
        value = w.scale(value, up)
    value = w.add(value, derivative(parts.times(cotangent, parts.mantissa)))
    halvings = parts.halvings
    if form != "plain" and not detach_extrema:
        mean = parts.mean(cotangent)
        at_min = rows.present & (rows.x == rows.smallest)
        at_max = rows.present & (rows.x == rows.largest)
        low = w.negate(mean) if denominator is None else w.subtract(gated_mean, mean)
        low = w.divide(
            derivative(low), _sharers(rows, at_min, rows.smallest < 0.0, form), splitter
        )
        if form == "normalized":
            at_min = at_min & (rows.smallest <= 0.0)
            at_max = at_max & (rows.largest >= 0.0)
        # Where nothing is added to p times the rest, p's power of two is left to the end.
        extremal = at_min if denominator is None else at_min | at_max
        if working.scaled:
            value = parts.lower(value, xp.where(extremal, halvings, 0))
            halvings = xp.where(extremal, 0, halvings)
        else:
            value = parts.by_power(value)
        value = w.add(value, w.each(lambda word: xp.where(at_min, word, 0.0), low))
        if denominator is not None:
            high = derivative(w.negate(gated_mean))
            high = w.divide(high, _sharers(rows, at_max, rows.largest > 0.0, form), splitter)
            value = w.add(value, w.each(lambda word: xp.where(at_max, word, 0.0), high))
    return parts.lift(value, exponent - halvings)


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


def _row_sums(parts: _Parts, scale: Scale, invalid: Array) -> RowSums:
    """Return each row's sum dy p (x - sum p x), for db, and the same times ln n, for ds.

    Logits enter as their differences from the largest c x, so that nothing large cancels.
    """
    rows, working, xp = parts.rows, parts.working, parts.working.xp
    x, pivot = rows.x, parts.exps.pivot
    halved = working.choose_int(rows.empty, 0, 0)
    if working.scaled:
        # Differences overflow only where logits are so large that what halving rounds off the
        # others does not count.
        size = rows.largest_of(xp.where(parts.exps.alive, xp.abs(x), 0.0))
        large = size >= 2.0 ** (working.emax - 2)
        half, halved = working.choose(large, 0.5, 1.0), working.choose_int(large, 1, 0)
        x, pivot = x * half, pivot * half
    difference = working.number(w.two_difference(x, pivot))
    difference = w.each(lambda word: xp.where(parts.exps.alive, word, 0.0), difference)
    difference, shift = _centre_rows(rows, difference, working.emax * 3 // 4)
    # In a row that one logit dominates, its spread is as small as the others' p: that power of
    # two, too, is left to the end.
    apart = difference[0] != 0.0
    halvings = xp.where(apart, parts.exps.halvings, 0)
    nearest = parts.lowest(apart, halvings)
    weighted = parts.times(difference, parts.mantissa)
    mean = rows.sum(parts.lower(weighted, xp.where(apart, halvings - nearest, 0)))
    true = parts.lower(mean, nearest)
    spread = w.subtract(
        difference,
        tuple(xp.where(apart, word, other) for word, other in zip(true, mean, strict=True)),
    )
    halvings = xp.where(apart, halvings, nearest)
    common = parts.lowest(parts.counts, halvings)
    spread = parts.lower(
        parts.times(spread, parts.mantissa), xp.where(parts.counts, halvings - common, 0)
    )
    spread = w.each(lambda word: xp.where(parts.counts, word, 0.0), spread)
    spread, again = _centre_rows(rows, spread, working.emax // 8)
    value = rows.sum(parts.times(parts.cotangent, spread))
    exponent = parts.exponent + parts.common - common + shift + again + halved

    def finish(a: Number) -> Number:
        a = parts.finish(a, exponent)
        high = xp.where(rows.empty, 0.0, xp.where(invalid, float("nan"), a[0]))
        # Where the high word is not finite the low one is an artefact.
        return (high, *(xp.where(xp.isfinite(high), word, 0.0) for word in a[1:]))

    return RowSums(db=finish(value), ds=finish(parts.times(value, scale.log_n)))
