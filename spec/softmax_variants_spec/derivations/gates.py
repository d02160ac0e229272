"""The letters of SA-Softmax: offset, denominator and gate of each form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softmax_variants_spec.derivations.derivation import Condition
from softmax_variants_spec.derivations.entries import maximum, minimum, over
from softmax_variants_spec.derivations.expression import lift
from softmax_variants_spec.derivations.functions import Detached
from softmax_variants_spec.derivations.letters import Derivative, Letter, letter
from softmax_variants_spec.derivations.notation import dy, i, k, x
from softmax_variants_spec.derivations.softmax import p

if TYPE_CHECKING:
    from softmax_variants_spec.derivations.expression import Expression
    from softmax_variants_spec.derivations.letters import Meaning
    from softmax_variants_spec.row import Row

__all__ = [
    "DEFINED",
    "d",
    "d_slope",
    "form",
    "high",
    "low",
    "mean_p",
    "mean_y",
    "offset",
    "offset_slope",
    "r",
    "y",
]

low = letter(r"m_0", 0, lambda: minimum(k, x[k], appended_zero=True))()
high = letter(r"M_0", 0, lambda: maximum(k, x[k], appended_zero=True))()
"""The extrema of the row with a 0 appended."""


def _extrema(row: Row) -> tuple[Expression, Expression]:
    """Return the trees of λ and of M, as the form of a row has them."""
    if row.form == "normalized":
        least = minimum(k, x[k], appended_zero=True)
        most = maximum(k, x[k], appended_zero=True)
    else:
        least, most = minimum(k, x[k]), maximum(k, x[k])
    return (Detached(least), Detached(most)) if row.detach_extrema else (least, most)


def _has_gate(row: Row) -> bool:
    return row.function == "sa_softmax"


def _offset(row: Row) -> Meaning:
    return lambda: lift(0) if not _has_gate(row) or row.form == "plain" else _extrema(row)[0]


def _denominator(row: Row) -> Meaning:
    if not _has_gate(row) or row.form in ("plain", "shifted"):
        return lambda: lift(1)
    least, most = _extrema(row)
    return lambda: most - least


offset = Letter(r"\lambda", _offset, 0)()
d = Letter("D", _denominator, 0)()
"""The offset λ and the denominator D of a gate."""
offset_slope = letter(r"\lambda'", 1, lambda j: Derivative(offset, x[j]))
d_slope = letter("D'", 1, lambda j: Derivative(d, x[j]))
"""What λ and D change by with a logit."""
r = letter("r", 1, lambda i: (x[i] - offset) / d)
"""The gate."""
y = letter("y", 1, lambda i: r[i] * p[i])
"""The weights of SA-Softmax."""
mean_p = letter("S", 0, lambda: over(i, dy[i] * p[i]))()
mean_y = letter("T", 0, lambda: over(i, dy[i] * y[i]))()
"""Sums of the cotangents against p and against y."""

DEFINED = Condition("D ≠ 0", lambda place, bound: d.value(place, bound) != 0)


def form(name: str) -> Condition:
    """Return the condition that a row is of a form, with D ≠ 0."""
    return Condition(
        f"{name}, D ≠ 0" if name in ("minmax", "normalized") else name,
        lambda place, bound: place.row.form == name and DEFINED.holds(place, bound),
    )
