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
from ._elementary import times_power
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
    cotangent, unfold = _fold(rows, cotangent, gates)

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


def _fold(rows: Rows, cotangent: Number, gates: Gate | None) -> tuple[Number, Array]:
    """Return dy times a power of two of each row, and the exponent that undoes it.

    Products of gates and dy then stay in range. Rows where both ends are near are folded the
    more: all weights that count are nearly equal there, so none is lost by underflow.
    """
    working, xp, emax = rows.working, rows.working.xp, rows.working.emax
    if not working.scaled:
        return cotangent, working.choose_int(rows.empty, 0, 0)
    size = rows.largest_of(xp.abs(cotangent[0]))
    mild = size >= 2.0 ** (emax * 3 // 5)
    exponent = working.choose_int(mild, emax * 2 // 5, 0)
    power = working.choose(mild, 2.0 ** -(emax * 2 // 5), 1.0)
    if gates is not None:
        strong = gates.extreme & (size >= 2.0 ** (emax * 5 // 32))
        exponent = xp.where(strong, emax * 55 // 64, exponent)
        power = xp.where(strong, 2.0 ** -(emax * 55 // 64), power)
    return w.scale(cotangent, power), exponent


class _Parts:
    """What every formula of a vjp is made of."""

    def __init__(
        self, rows: Rows, exps: Exponentials, cotangent: Number, unfold: Array
    ) -> None:
        self.rows, self.exps, self.cotangent, self.unfold = rows, exps, cotangent, unfold
        self.working, self.splitter = rows.working, rows.working.constants.splitter
        self.mantissa = exps.normalized(self.splitter)

    def times(self, a: Number, b: Number) -> Number:
        return w.multiply(a, b, self.splitter)

    def over(self, a: Number, b: Number) -> Number:
        return w.divide(a, b, self.splitter)

    def mean(self, a: Number) -> Number:
        """Return the sum of p a over each row.

        ``a`` times e comes first: p may underflow where p a does not.
        """
        return self.rows.sum(self.exps.apply_powers(self.times(a, self.mantissa)))

    def raise_by(self, a: Number, exponent: Array) -> Number:
        if not self.working.scaled:
            return a
        return times_power(self.working.xp, a, exponent, self.working.dtype)


def _plain(parts: _Parts, scale: Scale | None) -> Number:
    """softmax and SSMax: dx = c p (dy - sum dy p)."""
    working, xp = parts.working, parts.working.xp
    inner = w.subtract(parts.cotangent, parts.mean(parts.cotangent))
    value = parts.times(parts.mantissa, inner)
    exponent = parts.unfold
    if scale is not None:
        factor, shift = _centre(working, scale.c, xp.abs(scale.c[0]))
        value = parts.times(value, factor)
        exponent = exponent + scale.exponent - shift
    if not working.scaled:
        return parts.exps.apply_powers(value)
    # One sequence of steps in one direction: p may underflow where c p dy does not.
    halvings = xp.where(parts.exps.alive, parts.exps.halvings, 0)
    return parts.raise_by(value, exponent - halvings)


def _centre(working: Working, a: Number, size: Array) -> tuple[Number, Array]:
    """Return ``a`` times 2**shift, with |a| nearer to 1 where it was far, and the shift."""
    xp, emax = working.xp, working.emax
    if not working.scaled:
        return a, working.choose_int(size > 0.0, 0, 0)
    near, step = 2.0 ** (emax // 10), emax * 3 // 10
    high, low = size >= near, (size < 1.0 / near) & (size > 0.0)
    power = xp.where(high, 2.0**-step, working.choose(low, 2.0**step, 1.0))
    return w.scale(a, power), xp.where(high, -step, working.choose_int(low, step, 0))


def _gated(parts: _Parts, gates: Gate, form: str, detach_extrema: bool) -> Number:
    """SA-Softmax: the value above, times ``lift`` without a denominator, over it with one."""
    rows, working, splitter = parts.rows, parts.working, parts.splitter
    xp, cotangent = working.xp, parts.cotangent
    gate_value = gates.numerator
    if gates.denominator is not None:
        gate_value = parts.over(gate_value, gates.denominator)
    gated_cotangent = parts.times(gate_value, cotangent)
    gated_mean = parts.mean(gated_cotangent)
    value = parts.times(parts.mantissa, w.subtract(gated_cotangent, gated_mean))
    direct = parts.times(cotangent, parts.mantissa)
    if gates.denominator is not None:
        direct = parts.over(direct, gates.denominator)
        value = w.scale(value, 1.0 / gates.lift)
        exponent = gates.lift_exponent
    else:
        direct = w.scale(direct, gates.lift)
        exponent = -gates.lift_exponent
    value = parts.exps.apply_powers(w.add(value, direct))
    if form != "plain" and not detach_extrema:
        mean = parts.mean(cotangent)
        at_min = rows.present & (rows.x == rows.smallest)
        at_max = rows.present & (rows.x == rows.largest)
        if gates.denominator is None:
            low = w.negate(w.scale(mean, gates.lift))
        else:
            low = parts.over(w.subtract(gated_mean, mean), gates.denominator)
        low = w.divide(low, _sharers(rows, at_min, rows.smallest < 0.0, form), splitter)
        if form == "normalized":
            at_min = at_min & (rows.smallest <= 0.0)
            at_max = at_max & (rows.largest >= 0.0)
        value = w.add(value, w.each(lambda word: xp.where(at_min, word, 0.0), low))
        if gates.denominator is not None:
            high = w.negate(parts.over(gated_mean, gates.denominator))
            high = w.divide(high, _sharers(rows, at_max, rows.largest > 0.0, form), splitter)
            value = w.add(value, w.each(lambda word: xp.where(at_max, word, 0.0), high))
    return parts.raise_by(value, exponent + parts.unfold)


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
    size = rows.largest_of(xp.abs(parts.exps.difference[0]))
    difference, shift = _centre(working, parts.exps.difference, size)
    spread = w.subtract(difference, parts.mean(difference))
    value = parts.mean(parts.times(parts.cotangent, spread))
    exponent = parts.unfold - scale.exponent - shift

    def finish(a: Number) -> Number:
        a = parts.raise_by(a, exponent)
        high = xp.where(rows.empty, 0.0, xp.where(invalid, float("nan"), a[0]))
        # Where the high word is not finite the low one is an artefact.
        return (high, *(xp.where(xp.isfinite(high), word, 0.0) for word in a[1:]))

    return RowSums(db=finish(value), ds=finish(parts.times(value, scale.log_n)))
