"""Evaluation of derivations: both sides of every step, at every row that it is about.

Two values are taken as equal if they differ by at most 10^-40 of the larger one. Where they do
not, the precision is raised, because terms may cancel: weights of 1 − e^(−1000) leave nothing of
their distance to 1 at 75 digits. Sides that cancel to 0 exactly never agree in this sense; what is
left of them is made of roundings. So a difference below 10^-450 at 600 digits is taken for 0: no
row has terms beyond 10^100, and a wrong step shows at other rows than those of so small values.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from mpmath import mp

from softmax_variants_spec.derivations.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from softmax_variants_spec.derivations.derivation import Derivation, Step
    from softmax_variants_spec.derivations.expression import Index
    from softmax_variants_spec.derivations.place import Sample

__all__ = ["LEAST_ROWS", "Checked", "CheckedStep", "Disagreement", "Rows", "check", "check_step"]

LEAST_ROWS = 20
"""A step that holds at fewer of the rows of its derivation is an error."""

_AGREE = 40
"""Digits that both sides have to agree to."""

_DIGITS = (75, 150, 600)
"""Working precisions."""

_ZERO = 450
"""Digits after the point that a difference of 0 has none in, at the last precision."""


@dataclass(frozen=True)
class Disagreement:
    """A step that does not hold at a row."""

    derivation: str
    step: str
    row: object
    indices: dict[str, int]
    left: str
    right: str

    def __str__(self) -> str:
        at = ", ".join(f"{name} = {value}" for name, value in self.indices.items())
        return (
            f"{self.derivation}: {self.step} at {self.row}"
            f"{' with ' + at if at else ''}: {self.left} against {self.right}"
        )


@dataclass(frozen=True)
class CheckedStep:
    """What came of one step."""

    step: Step
    rows: int
    """Rows that it was evaluated at: those where its condition holds."""
    evaluations: int
    """Pairs of values that were compared: some for each row, for the values of the indices."""
    disagreements: tuple[Disagreement, ...]


@dataclass(frozen=True)
class Checked:
    """What came of one derivation: of its claims, then of its steps."""

    derivation: Derivation
    steps: tuple[CheckedStep, ...]

    def faults(self) -> list[str]:
        """Return a line for each disagreement and for each step with too few rows."""
        few = [
            f"{self.derivation.title}: {checked.step.latex()} is evaluated at {checked.rows} rows, "
            f"at least {LEAST_ROWS} are needed"
            for checked in self.steps
            if checked.rows < LEAST_ROWS
        ]
        return few + [str(found) for checked in self.steps for found in checked.disagreements]


class Rows:
    """Samples at every working precision, with what has been evaluated there.

    Parameters
    ----------
    samples
        The samples.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._places = [[Place(sample) for _ in _DIGITS] for sample in samples]

    def __iter__(self) -> Iterator[list[Place]]:
        return iter(self._places)


def check(derivation: Derivation, rows: Rows | None = None) -> Checked:
    """Evaluate every claim and step of a derivation at every row that it is about.

    Parameters
    ----------
    derivation
        The derivation.
    rows
        Its samples, where they have been in use already and hold values.

    Examples
    --------
    >>> from softmax_variants_spec.derivations import DERIVATIONS
    >>> check(DERIVATIONS["softmax/definition"]).faults()
    []
    """
    rows = rows or Rows(derivation.samples)
    return Checked(
        derivation,
        tuple(check_step(derivation.title, each, rows) for each in derivation.equations()),
    )


def check_step(title: str, step: Step, rows: Rows, *, stop: bool = False) -> CheckedStep:
    """Evaluate one step.

    Parameters
    ----------
    title
        The title of its derivation, for messages.
    step
        The step.
    rows
        The rows of its derivation.
    stop
        Whether to stop at the first disagreement.
    """
    indices = tuple(dict.fromkeys((*step.left.free, *step.right.free)))
    used = evaluations = 0
    found: list[Disagreement] = []
    for places in rows:
        before = evaluations
        for bound in _bindings(indices, places[0]):
            if not _assumed(step, places[0], bound):
                continue
            evaluations += 1
            sides = _disagreeing(step, places, bound)
            if sides is not None:
                named = {index.name: value for index, value in bound.items()}
                sample = places[0].sample
                shown = (sample.row, dict(sample.vectors), dict(sample.scalars))
                found.append(Disagreement(title, step.latex(), shown, named, *sides))
                if stop:
                    return CheckedStep(step, used + 1, evaluations, tuple(found))
        used += evaluations > before
    return CheckedStep(step, used, evaluations, tuple(found))


def _bindings(indices: tuple[Index, ...], place: Place) -> Iterator[dict[Index, int]]:
    """Yield values of the free indices: of each, the entries that stand out in a row."""
    choices = [
        place.outstanding if index.among is None else index.among(place) for index in indices
    ]
    for values in product(*choices):
        yield dict(zip(indices, values, strict=True))


def _assumed(step: Step, place: Place, bound: dict[Index, int]) -> bool:
    if step.assumes is None:
        return True
    with mp.workdps(_DIGITS[0]):
        return step.assumes.holds(place, bound)


def _disagreeing(
    step: Step, places: list[Place], bound: dict[Index, int]
) -> tuple[str, str] | None:
    """Return both sides as text if the step does not hold there, else None."""
    for digits, place in zip(_DIGITS, places, strict=True):
        with mp.workdps(digits):
            left, right = step.left.value(place, bound), step.right.value(place, bound)
            difference = left - right
            close = abs(difference) <= mp.mpf(10) ** -_AGREE * max(abs(left), abs(right))
            if step.relation in "<>" and not close:
                return None if (difference < 0) == (step.relation == "<") else _text(left, right)
            if step.relation in "=≤≥" and close:
                return None
            if (step.relation == "≤" and left < right) or (step.relation == "≥" and left > right):
                return None
    if step.relation in "=≤≥" and abs(difference) <= mp.mpf(10) ** -_ZERO:
        return None
    return _text(left, right)


def _text(left: Any, right: Any) -> tuple[str, str]:
    return mp.nstr(left, _AGREE + 5), mp.nstr(right, _AGREE + 5)
