"""Special values as objects: a sentence for readers, and the cases that check it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from softmax_variants_spec.formats import Format

__all__ = ["Case", "Evaluate", "Expect", "SpecialValue"]

Expect: TypeAlias = Literal["weights", "gradient", "ds", "db"]
"""What a case judges: weights, gradient by the logits, or gradient by a parameter."""


@dataclass(frozen=True)
class Case:
    """One row, and results that every backend must return exactly, whatever its accuracy class.

    Parameters
    ----------
    function
        ``"softmax"``, ``"ssmax"`` or ``"sa_softmax"``.
    x, where, s, b, n, form, detach_extrema
        The row, as in `Row`.
    dy
        Cotangents, one an entry; needed for all but weights.
    expect
        What `expected` is.
    expected
        One number an entry, or a single one for ``"ds"`` and ``"db"``. None is not judged, NaN
        must be NaN, and other numbers must be equal (0 and −0 are).
    """

    function: str
    x: tuple[float, ...]
    expected: tuple[float | None, ...]
    where: tuple[bool, ...] | None = None
    s: float | int = 1.0
    b: float | int = 0.0
    n: float | int | None = None
    form: str = "normalized"
    detach_extrema: bool = False
    dy: tuple[float, ...] | None = None
    expect: Expect = "weights"

    def failures(self, got: Sequence[float]) -> list[str]:
        """Compare results with the expected ones.

        Parameters
        ----------
        got
            As many numbers as `expected`.

        Returns
        -------
        list of str
            One line for each that differs; none where all is well.

        Examples
        --------
        >>> Case("softmax", (0.0, 0.0), expected=(0.5, None)).failures([0.25, 0.75])
        ['weights[0] is 0.25, must be 0.5']
        """
        if len(got) != len(self.expected):
            return [f"{self.expect}: {len(got)} numbers, must be {len(self.expected)}"]
        return [
            f"{self.expect}[{i}] is {value!r}, must be {wanted!r}"
            for i, (value, wanted) in enumerate(zip(got, self.expected, strict=True))
            if wanted is not None
            and not (value == wanted or (math.isnan(value) and math.isnan(wanted)))
        ]


Evaluate: TypeAlias = Callable[[Case], Sequence[float]]
"""Returns what a case expects, as some backend computes it."""


@dataclass(frozen=True)
class SpecialValue:
    """A sentence of the specification about special values, with the cases that check it."""

    id: str
    """Permanent, readable name: the function, a dot, and the matter."""
    sentence: str
    """One English sentence."""
    cases: Callable[[Format], list[Case]]
    """Returns the cases for logits of a format: logits and cotangents belong to it, s, b and n are
    numbers of binary64."""

    def check(self, evaluate: Evaluate, fmt: Format) -> list[str]:
        """Run all cases.

        Parameters
        ----------
        evaluate
            Computes what a case expects.
        fmt
            Format of the logits.

        Returns
        -------
        list of str
            One line for each result that is wrong, with the case; none where the sentence holds.
        """
        return [
            f"{failure} in {case}"
            for case in self.cases(fmt)
            for failure in case.failures(evaluate(case))
        ]
