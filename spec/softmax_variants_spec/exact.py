"""The reference: exact weights and gradients of a row, by the definitions of the variants.

The definitions are evaluated in arbitrary precision. Next to each evaluation stands a bound on
its error (`evaluation`), and precision is raised until the bound decides the rounding of every
entry (`decision`). The conventions for absent entries, empty rows, numbers that are not finite
and zero denominators are those of the README, in its order of precedence.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mpmath import mp

from softmax_variants_spec import scale
from softmax_variants_spec.decision import (
    ExactWeight,
    decide,
    decide_below,
    decide_exact,
    decide_special,
)
from softmax_variants_spec.evaluation import Evaluation, evaluate, is_defined
from softmax_variants_spec.row import Number, Row, is_finite
from softmax_variants_spec.variants import sa_softmax, softmax, ssmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from softmax_variants_spec.formats import Format
    from softmax_variants_spec.variants._real import Real

__all__ = [
    "ExactGradient",
    "ExactWeight",
    "ParameterGradients",
    "Row",
    "gradient",
    "jvp",
    "parameter_gradients",
    "weights",
]

_PRECISIONS = (192, 384, 768, 1536, 3072, 4096)
"""Working precisions in bits. What the last leaves undecided is taken as a tie or as exact."""


@dataclass(frozen=True, slots=True)
class ExactGradient:
    """The gradient by one logit.

    A number that is not 0 but below 2^-20000 is given as ±2^-20000.
    """

    value: Any
    """An mpf, NaN where undefined. Its error is at most 2^-60 of the larger of u · scale and
    2^-20 ulp(value), with u the unit roundoff of the format."""
    scale: Any
    """Sum of the magnitudes of the terms that make up the value; an mpf."""
    tail: Any
    """What an underflowed weight is multiplied by on its way into the gradient; an mpf."""


@dataclass(frozen=True, slots=True)
class ParameterGradients:
    """One row's shares of the gradients by the parameters of ``ssmax``; each an mpf."""

    ds: Any
    db: Any
    ds_scale: Any
    db_scale: Any


def weights(row: Row, fmt: Format) -> list[ExactWeight]:
    """Return the exact weights of a row and their roundings.

    Parameters
    ----------
    row
        The row.
    fmt
        Format that the weights are rounded to.

    Returns
    -------
    list of ExactWeight
        One an entry, absent ones included.

    Examples
    --------
    >>> from softmax_variants_spec.formats import FORMATS
    >>> row = Row("ssmax", (1.0, 2.0, float("-inf"), -1.0, 0.5))
    >>> [weight.rounded for weight in weights(row, FORMATS["float16"])]
    [0.1798095703125, 0.71923828125, 0.0, 0.01123809814453125, 0.08990478515625]
    """
    zero = ExactWeight(mp.zero, 0.0, 0.0, fmt.ulp_exponent(0), exact=True, midpoint=False)
    result = [zero] * len(row.x)
    if not row.present:
        return result
    if not is_defined(row):
        nan = float("nan")
        undefined = ExactWeight(mp.nan, nan, nan, fmt.ulp_exponent(0), exact=False, midpoint=False)
        for index in row.present:
            result[index] = undefined
        return result
    evaluation = evaluate(row, _PRECISIONS[0])
    if evaluation.uniform:
        with mp.workprec(evaluation.precision):
            decided = {yi: decide_exact(yi, fmt) for yi in set(evaluation.y)}
        for index, yi in zip(row.present, evaluation.y, strict=True):
            result[index] = decided[yi]
        return result
    # A weight is exactly 0 only where the gate is, and there it is found to be: logits, λ and the
    # difference of equal numbers are exact, and exponentials are never 0.
    undecided = [i for i, yi in enumerate(evaluation.y) if yi != 0]
    for precision in _PRECISIONS:
        evaluation = evaluate(row, precision)
        decisions = [(i, _decide(row, evaluation, i, fmt)) for i in undecided]
        for i, weight in decisions:
            if weight is not None:
                result[row.present[i]] = weight
        undecided = [i for i, weight in decisions if weight is None]
        if not undecided:
            return result
    with mp.workprec(_PRECISIONS[-1]):
        for i in undecided:
            result[row.present[i]] = decide_special(evaluation.y[i], fmt)
    return result


def gradient(row: Row, dy: Sequence[float], fmt: Format) -> list[ExactGradient]:
    """Return the gradient Σ_i dy_i ∂y_i/∂x_j by each logit, with the sizes it is measured by.

    Parameters
    ----------
    row
        The row.
    dy
        Cotangents, one an entry; those of absent entries do not count, whatever they hold.
    fmt
        Format of the gradients to be judged.

    Returns
    -------
    list of ExactGradient
        One an entry, absent ones included.

    Raises
    ------
    ValueError
        If `dy` has not as many numbers as the row has entries.

    Examples
    --------
    >>> from softmax_variants_spec.formats import FORMATS
    >>> row = Row("softmax", (0.0, 0.0))
    >>> [float(g.value) for g in gradient(row, (1.0, 0.0), FORMATS["float64"])]
    [0.25, -0.25]
    """
    result = [ExactGradient(mp.zero, mp.zero, mp.zero)] * len(row.x)
    finite = row.finite_at_present(dy)
    if not row.present:
        return result
    if not finite or not is_defined(row):
        for index in row.present:
            result[index] = ExactGradient(mp.nan, mp.nan, mp.nan)
        return result
    precision = _gradient_precision(fmt)
    evaluation = evaluate(row, precision)
    p, y, c = evaluation.p, evaluation.y, evaluation.c
    with mp.workprec(precision):
        cotangents = [evaluation.number(dy[index]) for index in row.present]
        if evaluation.gate is None:
            values = softmax.vjp(p, cotangents, c)
        else:
            values = sa_softmax.vjp(p, y, evaluation.gate, cotangents)
        size = scale.size_of_factor(row, c)
        columns = (
            values,
            scale.scale_of_logits(evaluation, cotangents, size),
            scale.tail(evaluation, cotangents),
        )
        for index, *numbers in zip(row.present, *columns, strict=True):
            result[index] = ExactGradient(*map(_moderate, numbers))
    return result


def parameter_gradients(row: Row, dy: Sequence[float], fmt: Format) -> ParameterGradients:
    """Return a row's shares of the gradients by s and b of ``ssmax``.

    Parameters
    ----------
    row
        A row of ``ssmax``.
    dy
        Cotangents, one an entry; those of absent entries do not count, whatever they hold.
    fmt
        Format of the gradients to be judged.

    Returns
    -------
    ParameterGradients
        Zeros for a row without present entries.

    Raises
    ------
    ValueError
        If the row is of another function, or `dy` has not as many numbers as it has entries.

    Examples
    --------
    >>> from softmax_variants_spec.formats import FORMATS
    >>> row = Row("ssmax", (3.0, 5.0), s=0.0)
    >>> float(parameter_gradients(row, (1.0, 0.0), FORMATS["float64"]).db)
    -0.5
    """
    if row.function != "ssmax":
        msg = f"{row.function} has no parameters to differentiate by; ssmax has"
        raise ValueError(msg)
    finite = row.finite_at_present(dy)
    if not row.present:
        return ParameterGradients(mp.zero, mp.zero, mp.zero, mp.zero)
    if not finite or not is_defined(row):
        return ParameterGradients(mp.nan, mp.nan, mp.nan, mp.nan)
    precision = _gradient_precision(fmt)
    evaluation = evaluate(row, precision)
    with mp.workprec(precision):
        cotangents = [evaluation.number(dy[index]) for index in row.present]
        log_n = mp.log(mp.convert(row.count))
        db = ssmax.vjp_factor(evaluation.x, evaluation.y, cotangents)
        db_scale = scale.scale_of_parameters(evaluation, cotangents)
        numbers = (log_n * db, db, abs(log_n) * db_scale, db_scale)
        return ParameterGradients(*map(_moderate, numbers))


def jvp(row: Row, dx: Sequence[float], *, ds: Number = 0.0, db: Number = 0.0) -> list[Any]:
    """Return the derivatives of the weights along a tangent of the logits and parameters.

    Parameters
    ----------
    row
        The row.
    dx
        Tangents, one an entry; those of absent entries do not count, whatever they hold.
    ds, db
        Tangents of the parameters of ``ssmax``; other functions ignore them.

    Returns
    -------
    list of mpf
        One an entry: 0 for absent ones, NaN where the weights or the tangents are not finite.

    Raises
    ------
    ValueError
        If `dx` has not as many numbers as the row has entries.

    Examples
    --------
    >>> [float(t) for t in jvp(Row("softmax", (0.0, 0.0)), (1.0, 0.0))]
    [0.25, -0.25]
    """
    result = [mp.zero] * len(row.x)
    finite = row.finite_at_present(dx)
    if row.function == "ssmax":
        finite = finite and is_finite(ds) and is_finite(db)
    if not row.present:
        return result
    if not finite or not is_defined(row):
        for index in row.present:
            result[index] = mp.nan
        return result
    evaluation = evaluate(row, _PRECISIONS[0])
    x, p, c = evaluation.x, evaluation.p, evaluation.c
    with mp.workprec(evaluation.precision):
        tangents = [evaluation.number(dx[index]) for index in row.present]
        if evaluation.gate is not None:
            values = sa_softmax.jvp(x, p, evaluation.gate, tangents)
        else:
            values = softmax.jvp(p, tangents, c)
        if row.function == "ssmax":
            dc = mp.convert(ds) * mp.log(mp.convert(row.count)) + mp.convert(db)
            slopes = ssmax.by_factor(x, p)
            values = [value + dc * slope for value, slope in zip(values, slopes, strict=True)]
        for index, value in zip(row.present, values, strict=True):
            result[index] = _moderate(value)
    return result


def _decide(row: Row, evaluation: Evaluation, i: int, fmt: Format) -> ExactWeight | None:
    """Decide the rounding of one weight of a row that is not uniform, or return None."""
    value, bits = evaluation.y[i], evaluation.accurate_bits(i)
    weight = decide(value, bits, fmt)
    if weight is not None or evaluation.x[i] != evaluation.top:
        return weight
    # p_i is below 1/k for each of the k < n logits that share the largest weight: its denominator
    # has their k equal terms and others, all positive.
    limit = Fraction(1, evaluation.x.count(evaluation.top))
    if row.function == "sa_softmax":
        stored = [row.x[index] for index in row.present]
        # The gate depends on a logit and the extrema only.
        x = [Fraction(xi) for xi in (min(stored), stored[i], max(stored))]
        limit *= sa_softmax.gate(x, row.form)(x[1])
    return decide_below(limit, value, bits, fmt)


def _gradient_precision(fmt: Format) -> int:
    """Return a working precision that gradients in a format are computed at.

    Each term of a gradient is a product of a few factors with relative errors of 2^-k, k as in
    `Evaluation.accurate_bits`, and their sum adds n roundings: an error of 2^-k n (scale) in all.
    A weight with |z| > 2^32 is below exp(-2^32), beyond any format; for the others, up to 2^20
    entries lose 16 · 2^32 · 2^20 = 2^56 units. The rest are the 60 bits promised and those of u.
    """
    needed = fmt.precision + 60 + 56
    return next(precision for precision in _PRECISIONS if precision >= needed)


def _moderate(v: Real) -> Any:
    """Return a number as an mpf whose exponent has a moderate number of digits.

    Magnitudes below 2^-20000, of weights such as exp(-1e300), are beyond every format and bound;
    callers who turn them into fractions would wait for integers of that many bits.
    """
    v = mp.convert(v)
    _, man, exp, length = v._mpf_
    # Mantissa 0 is that of zero, infinities and NaN.
    if not man or exp + length >= -20000:
        return v
    return mp.ldexp(mp.sign(v), -20000)
