"""Gradients with decided roundings: what the vectors hold, at a precision that decides them.

The reference in `softmax_variants_spec.exact` gives gradients to a small part of what any class
allows, which leaves digits that depend on how they were computed where terms cancel. Files that
are to be reproduced bit for bit need them decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpmath import mp

from softmax_variants_spec import scale
from softmax_variants_spec.evaluation import evaluate, is_defined
from softmax_variants_spec.variants import sa_softmax, softmax, ssmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from softmax_variants_spec.evaluation import Evaluation
    from softmax_variants_spec.formats import Format
    from softmax_variants_spec.row import Row

__all__ = ["Gradient", "by_logits", "by_parameters"]

_PRECISION = 1536

# A gradient at this precision errs by less than 2^-1400 of its scale: each term is a product of a
# few factors with the relative error of `Evaluation.accurate_bits`, 2^-1536 times less than 2^100
# for every weight that any format can tell from 0, and the rest is left for adding them up.
_ERROR_EXPONENT = -1400

_BEYOND = -20000
"""Exponent below which a number counts as 0; every format ends far above."""


@dataclass(frozen=True)
class Gradient:
    """A gradient, and the sizes that its error is measured by; mpf or NaN."""

    value: Any
    """Exact, but where it lies within 2^-1400 · scale of a number of the format or of the middle
    of two, which it is taken as then."""
    scale: Any
    tail: Any


def by_logits(row: Row, dy: Sequence[float], fmt: Format) -> list[Gradient]:
    """Return the gradient by each logit, absent ones included.

    Parameters
    ----------
    row
        The row.
    dy
        Cotangents, one an entry.
    fmt
        Format of the gradients.
    """
    result = [Gradient(mp.zero, mp.zero, mp.zero)] * len(row.x)
    finite = row.finite_at_present(dy)
    if not row.present:
        return result
    if not finite or not is_defined(row):
        for index in row.present:
            result[index] = Gradient(mp.nan, mp.nan, mp.nan)
        return result
    evaluation = evaluate(row, _PRECISION)
    with mp.workprec(_PRECISION):
        cotangents = [evaluation.number(dy[index]) for index in row.present]
        if evaluation.gate is None:
            values = softmax.vjp(evaluation.p, cotangents, evaluation.c)
        else:
            values = sa_softmax.vjp(evaluation.p, evaluation.y, evaluation.gate, cotangents)
        size = scale.size_of_factor(row, evaluation.c)
        scales = scale.scale_of_logits(evaluation, cotangents, size)
        tails = scale.tail(evaluation, cotangents)
        for index, *numbers in zip(row.present, values, scales, tails, strict=True):
            value, one_scale, one_tail = map(mp.convert, numbers)
            result[index] = Gradient(_settled(value, one_scale, fmt), one_scale, one_tail)
    return result


def by_parameters(row: Row, dy: Sequence[float], fmt: Format) -> dict[str, Gradient]:
    """Return the gradients by s and b of a row of ``ssmax``, as ``ds`` and ``db``.

    Parameters
    ----------
    row
        The row.
    dy
        Cotangents, one an entry.
    fmt
        Format of the gradients.
    """
    finite = row.finite_at_present(dy)
    if not row.present:
        zero = Gradient(mp.zero, mp.zero, mp.zero)
        return {"ds": zero, "db": zero}
    if not finite or not is_defined(row):
        undefined = Gradient(mp.nan, mp.nan, mp.nan)
        return {"ds": undefined, "db": undefined}
    evaluation: Evaluation = evaluate(row, _PRECISION)
    with mp.workprec(_PRECISION):
        cotangents = [evaluation.number(dy[index]) for index in row.present]
        log_n = mp.log(mp.convert(row.count))
        db = mp.convert(ssmax.vjp_factor(evaluation.x, evaluation.y, cotangents))
        size = mp.convert(scale.scale_of_parameters(evaluation, cotangents))
        ds, ds_size = log_n * db, abs(log_n) * size
        return {
            "ds": Gradient(_settled(ds, ds_size, fmt), ds_size, mp.zero),
            "db": Gradient(_settled(db, size, fmt), size, mp.zero),
        }


def _settled(value: Any, size: Any, fmt: Format) -> Any:
    """Return a value, or the number or middle that its error does not tell it from."""
    error = mp.ldexp(size, _ERROR_EXPONENT)
    if abs(value) <= error or abs(value) < mp.ldexp(1, _BEYOND):
        return mp.zero
    half = fmt.ulp_exponent(value) - 1
    steps = mp.ldexp(value, -half)
    # Above 2^(precision + 1) half steps the number is beyond the range, where nothing is next.
    if abs(steps) > mp.ldexp(1, fmt.precision + 2):
        return value
    nearest = mp.nint(steps)
    return mp.ldexp(nearest, half) if abs(steps - nearest) <= mp.ldexp(error, -half) else value
