r"""What the accuracy class ``bounded`` allows each weight of a row.

It is what an evaluation in the format itself can be expected to reach, one that subtracts the
largest logit before it multiplies and has no further precision. Relative to the weight
y_j = r_j p_j it is

.. math:: u\,\Big[\kappa \Big(\zeta_j + \sum_i p_i \zeta_i\Big) + (n - 1) + 1 + \gamma\Big]
          + 2\,\varepsilon_{\exp}, \qquad \zeta_i = |c|\,|x_i - v|,

with u the unit roundoff. The rounding of the exponent c (x_j − v) errs by u ζ_j, and exp turns
this absolute error into a relative one; the denominator inherits the mean of these errors. Then
come n − 1 additions, a division and γ operations of the gate: 0 for none, 1 for ``plain``, 2 for
``shifted``, 4 for the ratios. Each of the two exponentials is allowed 4 ULP. κ is the number of
roundings in the exponent that count: 1 for the difference of logits, and 5 for SSMax, whose
factor c = s ln n + b has errors of its own; they are proportional to |s| |ln n| + |b|, which
stands for \|c\| there, because c may cancel. Once this sum exceeds 0.1 it is no more a small
error of an exponent, and e^bound − 1 takes its place. To the whole is added
η (1 + \|r_j\|), in absolute terms, for a weight and a p_j that become subnormal.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from mpmath import mp

from softmax_variants_spec.evaluation import Evaluation, evaluate, is_defined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from softmax_variants_spec.formats import Format
    from softmax_variants_spec.row import Row
    from softmax_variants_spec.variants._real import Real

__all__ = ["relative_bound", "weight_allowance", "weight_bound"]

_EXP_ULP = 4
"""ULP that the backend's exponential may err by: twice as many units of roundoff."""

_GATE_OPERATIONS = {"plain": 1, "shifted": 2, "minmax": 4, "normalized": 4}
"""γ, by form."""

_SMALL = 0.1
"""A sum of relative errors up to which the sum of their products does not count."""

_PRECISION = 192
"""The working precision that evaluations are shared at; the bounds themselves need far less."""


def relative_bound(row: Row, fmt: Format) -> list[float]:
    """Return the relative part of what the class ``bounded`` allows each weight.

    Parameters
    ----------
    row
        The row.
    fmt
        Format of the weights.

    Returns
    -------
    list of float
        One an entry: without the term of subnormal results; 0 for absent entries and for those
        whose p cannot reach η even with its error, NaN where weights are undefined. The largest
        is the bound of the row that `gradient_coefficients` takes.

    Examples
    --------
    >>> from softmax_variants_spec.exact import Row
    >>> from softmax_variants_spec.formats import FORMATS
    >>> [bound / 2**-24 for bound in relative_bound(Row("softmax", (0.0, 0.0)), FORMATS["float32"])]
    [18.0, 18.0]
    """

    def reachable(evaluation: Evaluation, errors: list[Real]) -> Iterator[float]:
        # p (1 + error) < η: all that a backend can make of such an entry is an absolute error of
        # about η, which is the tail's business; its own error, relative to p, says nothing.
        for pi, error in zip(evaluation.p, errors, strict=True):
            yield float(error) if pi * (1 + error) >= fmt.min_subnormal else 0.0

    return _at_present(row, fmt, reachable)


def weight_bound(row: Row, fmt: Format) -> list[float]:
    """Return what the class ``bounded`` allows each weight, relative to the weight.

    Parameters
    ----------
    row
        The row.
    fmt
        Format of the weights.

    Returns
    -------
    list of float
        One an entry: 0 for weights that are exactly 0, NaN for undefined ones, and infinite where
        the weight is so much smaller than η that no ratio is left. Compare errors of such entries
        with `weight_allowance`, which is finite there.

    Examples
    --------
    >>> from softmax_variants_spec.exact import Row
    >>> from softmax_variants_spec.formats import FORMATS
    >>> [bound / 2**-24 for bound in weight_bound(Row("softmax", (0.0, 0.0)), FORMATS["float32"])]
    [18.0, 18.0]
    """

    def relative(evaluation: Evaluation, errors: list[Real]) -> Iterator[float]:
        for yi, size in zip(evaluation.y, _sizes(evaluation, errors, fmt), strict=True):
            yield float(size / abs(yi)) if yi != 0 else 0.0

    return _at_present(row, fmt, relative)


def weight_allowance(row: Row, fmt: Format) -> list[float]:
    """Return the largest error that the class ``bounded`` allows each weight, in ULP of it.

    Parameters
    ----------
    row
        The row.
    fmt
        Format of the weights.

    Returns
    -------
    list of float
        One an entry: 0 for weights that are exactly 0, NaN for undefined ones.

    Examples
    --------
    >>> from softmax_variants_spec.exact import Row
    >>> from softmax_variants_spec.formats import FORMATS
    >>> weight_allowance(Row("softmax", (0.0, 0.0)), FORMATS["float32"])
    [9.0, 9.0]
    >>> weight_allowance(Row("softmax", (-1e9, 0.0)), FORMATS["float32"])[0]
    2.0
    """

    def in_ulp(evaluation: Evaluation, errors: list[Real]) -> Iterator[float]:
        for yi, size in zip(evaluation.y, _sizes(evaluation, errors, fmt), strict=True):
            yield float(mp.ldexp(size, -fmt.ulp_exponent(yi)))

    return _at_present(row, fmt, in_ulp)


def _at_present(
    row: Row, fmt: Format, numbers: Callable[[Evaluation, list[Real]], Iterator[float]]
) -> list[float]:
    """Return numbers for the present entries of a row, with 0 for the absent ones."""
    result = [0.0] * len(row.x)
    if not row.present:
        return result
    if not is_defined(row):
        for index in row.present:
            result[index] = math.nan
        return result
    evaluation = evaluate(row, _PRECISION)
    with mp.workprec(53):
        errors = _relative_errors(row, fmt)
        for index, number in zip(row.present, numbers(evaluation, errors), strict=True):
            result[index] = number
    return result


@lru_cache(maxsize=4)
def _relative_errors(row: Row, fmt: Format) -> list[Real]:
    """Return the relative part of the bound of each present entry, as mpf: none overflows.

    Kept for the rows that were asked for last: callers want several of the bounds of one.
    """
    evaluation = evaluate(row, _PRECISION)
    u, n = fmt.unit_roundoff, len(evaluation.x)
    gamma = _GATE_OPERATIONS[row.form] if row.function == "sa_softmax" else 0
    kappa, size = 1, mp.one
    if row.function == "ssmax":
        s, b, count = mp.convert(row.s), mp.convert(row.b), mp.convert(row.count)
        kappa, size = 5, abs(s * mp.log(count)) + abs(b)
    zeta = [size * mp.convert(abs(xi - evaluation.top)) for xi in evaluation.x]
    mean = sum(pi * zi for pi, zi in zip(evaluation.p, zeta, strict=True))
    fixed = (n - 1) + 1 + gamma + 2 * (2 * _EXP_ULP)
    sums = [u * (kappa * (zi + mean) + fixed) for zi in zeta]
    return [mp.expm1(total) if total > _SMALL else total for total in sums]


def _sizes(evaluation: Evaluation, errors: list[Real], fmt: Format) -> Iterator[Real]:
    """Yield the absolute bound of each present entry: 0 where its weight is exactly 0."""
    for xi, yi, error in zip(evaluation.x, evaluation.y, errors, strict=True):
        if yi == 0:
            yield mp.zero
            continue
        gate = 1 if evaluation.gate is None else abs(evaluation.gate(xi))
        yield abs(yi) * error + fmt.min_subnormal * (1 + gate)
