"""All special values of the specification, and what the reference says to each of their cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softmax_variants_spec.exact import Row, gradient, parameter_gradients, weights
from softmax_variants_spec.special_case import Case, Evaluate, Expect, SpecialValue
from softmax_variants_spec.variants import sa_softmax, softmax, ssmax

if TYPE_CHECKING:
    from softmax_variants_spec.formats import Format

__all__ = [
    "SPECIAL_VALUES",
    "Case",
    "Evaluate",
    "Expect",
    "SpecialValue",
    "reference",
    "row_of",
]

SPECIAL_VALUES = (
    *softmax.SPECIAL_VALUES,
    *ssmax.SPECIAL_VALUES,
    *sa_softmax.SPECIAL_VALUES,
)
"""The special values of every function."""


def row_of(case: Case) -> Row:
    """Return the row of a case.

    Examples
    --------
    >>> row_of(Case("softmax", (1.0, 2.0), expected=(None, None))).present
    (0, 1)
    """
    return Row(
        function=case.function,
        x=case.x,
        where=case.where,
        s=case.s,
        b=case.b,
        n=case.n,
        form=case.form,
        detach_extrema=case.detach_extrema,
    )


def reference(case: Case, fmt: Format) -> list[float]:
    """Return what the reference, rounded to a format, says to a case.

    Parameters
    ----------
    case
        The case.
    fmt
        Format of the result.

    Returns
    -------
    list of float
        As many numbers as the case expects.

    Raises
    ------
    ValueError
        If the case expects a gradient and has no cotangents.

    Examples
    --------
    >>> from softmax_variants_spec.formats import FORMATS
    >>> reference(Case("softmax", (0.0, 0.0), expected=(0.5, 0.5)), FORMATS["float32"])
    [0.5, 0.5]
    """
    row = row_of(case)
    if case.expect == "weights":
        return [weight.rounded for weight in weights(row, fmt)]
    if case.dy is None:
        msg = f"a case that expects {case.expect!r} needs cotangents dy, got None"
        raise ValueError(msg)
    if case.expect == "gradient":
        return [fmt.round(entry.value) for entry in gradient(row, case.dy, fmt)]
    shares = parameter_gradients(row, case.dy, fmt)
    return [fmt.round(shares.ds if case.expect == "ds" else shares.db)]
