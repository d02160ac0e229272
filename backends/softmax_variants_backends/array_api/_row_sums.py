"""Gradients of SSMax's parameters: each row's terms, and their sums in the parameter's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _words as w
from ._elementary import times_power
from ._gradient_parts import centre_rows
from ._rounding import round_to

if TYPE_CHECKING:
    from ._gradient_parts import Parts
    from ._parameters import Scale
    from ._words import Array, Number
    from ._working import Working

__all__ = ["RowSums", "parameter_gradient", "row_sums"]


@dataclass(frozen=True)
class RowSums:
    """Each row's term of db and ds, in the working type, before the sum over rows."""

    db: Number
    ds: Number


def row_sums(parts: Parts, scale: Scale, invalid: Array) -> RowSums:
    """Return each row's sum dy p (x - sum p x), for db, and the same times ln n, for ds."""
    rows, working, xp = parts.rows, parts.working, parts.working.xp
    if working.scaled:
        spread, exponent = _scaled_spread(parts)
    else:
        # Logits enter as their differences from the largest c x: nothing large cancels.
        difference = (xp.where(parts.exps.alive, rows.x - parts.exps.pivot, 0.0),)
        inner = w.subtract(difference, parts.mean(difference))
        spread = parts.exps.apply_powers(parts.times(inner, parts.mantissa))
        exponent = parts.exponent
    value = rows.sum(parts.times(parts.cotangent, spread))

    def finish(a: Number) -> Number:
        if working.scaled:
            a = times_power(xp, a, exponent, working.dtype)
        high = xp.where(rows.empty, 0.0, xp.where(invalid, float("nan"), a[0]))
        # Where the high word is not finite the low one is an artefact.
        return (high, *(xp.where(xp.isfinite(high), word, 0.0) for word in a[1:]))

    return RowSums(db=finish(value), ds=finish(parts.times(value, scale.log_n)))


def _scaled_spread(parts: Parts) -> tuple[Number, Array]:
    """Return p (x - sum p x) times a power of two, and the exponent of what undoes all powers.

    In a row that one logit dominates, its spread is as small as the others' p, that is, as the
    largest of them: this factor, too, is left to the end. 0 is returned where dy is 0.
    """
    rows, working, xp, exps = parts.rows, parts.working, parts.working.xp, parts.exps
    # Differences overflow only where logits are so large that what halving rounds off the others
    # does not count.
    size = rows.largest_of(xp.where(exps.alive, xp.abs(rows.x), 0.0))
    large = size >= 2.0 ** (working.emax - 2)
    half = working.choose(large, 0.5, 1.0)
    difference = w.two_difference(rows.x * half, exps.pivot * half)
    alive = w.each(lambda word: xp.where(exps.alive, word, 0.0), difference)
    difference, exponent = centre_rows(rows, alive, working.emax * 3 // 4)
    exponent = exponent + working.choose_int(large, 1, 0)

    apart = difference[0] != 0.0
    nearest = parts.lowest(apart, exps.halvings)
    weighted = parts.times(difference, parts.mantissa)
    mean = rows.sum(parts.lower(weighted, xp.where(apart, exps.halvings - nearest, 0)))
    true = parts.lower(mean, nearest)
    beside = tuple(xp.where(apart, a, b) for a, b in zip(true, mean, strict=True))
    inner = w.subtract(difference, beside)

    halvings = xp.where(apart, exps.halvings, nearest)
    common = parts.lowest(parts.counts, halvings)
    spread = parts.times(inner, parts.mantissa)
    spread = parts.lower(spread, xp.where(parts.counts, halvings - common, 0))
    spread = w.each(lambda word: xp.where(parts.counts, word, 0.0), spread)
    spread, again = centre_rows(rows, spread, working.emax // 8)
    return spread, parts.exponent + parts.common - common + exponent + again


def parameter_gradient(working: Working, terms: Number, parameter: Any, dtype: Any) -> Array:
    """Return the sum of ``terms`` over all rows that share an element of ``parameter``.

    The result has the parameter's shape and dtype; for a Python number it is a 0-d array of
    ``dtype``. Rounded once.
    """
    xp = working.xp
    python_number = isinstance(parameter, (int, float))
    shape = () if python_number else tuple(parameter.shape)
    rows_shape = terms[0].shape
    target = (1,) * (len(rows_shape) - len(shape)) + shape
    # Where a word is not finite (an invalid row, a sum beyond the range) two-word sums would turn
    # an infinity into NaN; the plain sum says what it is.
    plain: Number = terms[:1]
    for axis, (length, wanted) in enumerate(zip(rows_shape, target, strict=True)):
        if wanted == 1 and length != 1:
            terms, plain = w.tree_sum(xp, terms, axis), w.tree_sum(xp, plain, axis)
    finite = xp.isfinite(plain[0])
    high = xp.where(finite, terms[0], plain[0])
    total = (high, *(xp.where(finite, word, 0.0) for word in terms[1:]))
    rounded = round_to(working, total, dtype if python_number else parameter.dtype)
    return xp.reshape(rounded, shape)
