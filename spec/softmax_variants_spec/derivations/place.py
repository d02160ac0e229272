"""Where an equation is evaluated: a row with the numbers that go with it, at some precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from mpmath import mp

from softmax_variants_spec.evaluation import Evaluation, evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from softmax_variants_spec.row import Row
    from softmax_variants_spec.variants._real import Real

__all__ = ["Place", "Sample"]

_GUARD_BITS = 32
"""More than what the reference's own error analysis takes from rows of moderate length."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A row, and numbers for the other letters of an equation.

    Parameters
    ----------
    row
        The row. Its present logits are the vector x.
    vectors
        Numbers an entry, absent ones included, by letter: cotangents, tangents, relative errors.
    scalars
        Single numbers by letter. All of them are exact.
    """

    row: Row
    vectors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    scalars: Mapping[str, float | Fraction] = field(default_factory=dict)


class Place:
    """A sample at a working precision, with what has been evaluated there.

    The precision is that of the caller, who has to set it; a place belongs to one precision.

    Parameters
    ----------
    sample
        The sample.
    replaced
        Scalars whose values take the place of the sample's.
    """

    def __init__(self, sample: Sample, replaced: Mapping[str, Real] | None = None) -> None:
        self.sample = sample
        self.values: dict[object, Real] = {}
        """Values and slopes of trees, by tree, indices and direction."""
        self._vectors: dict[str, list[Real]] = {}
        self._replaced = dict(replaced or {})
        self._others: dict[tuple[str, Real], Place] = {}

    @property
    def row(self) -> Row:
        """The row."""
        return self.sample.row

    @cached_property
    def indices(self) -> range:
        """The values of an index: one for each present entry."""
        return range(len(self.row.present))

    @cached_property
    def outstanding(self) -> tuple[int, ...]:
        """The values of an index that equations are evaluated for where it runs freely.

        The entries of the largest and the smallest logit, the first, the last and one in the
        middle, each once.
        """
        stored = [self.row.x[i] for i in self.row.present]
        last = len(stored) - 1
        chosen = (stored.index(max(stored)), stored.index(min(stored)), 0, last, last // 2)
        return tuple(dict.fromkeys(chosen))

    @cached_property
    def evaluation(self) -> Evaluation:
        """What the reference says of the row, at the precision of this place."""
        return evaluate(self.row, mp.prec + _GUARD_BITS)

    def vector(self, name: str) -> list[Real]:
        """Return the numbers of a letter at the present entries.

        Raises
        ------
        KeyError
            If the sample has none of that name.
        """
        if name not in self._vectors:
            stored = self.row.x if name == "x" else self.sample.vectors[name]
            self._vectors[name] = [mp.convert(stored[i]) for i in self.row.present]
        return self._vectors[name]

    def scalar(self, name: str) -> Real:
        """Return the number of a letter; s, b and n are those of the row.

        Raises
        ------
        KeyError
            If the sample has none of that name.
        """
        if name in self._replaced:
            return self._replaced[name]
        stored = {"s": self.row.s, "b": self.row.b, "n": self.row.count}
        return mp.convert(stored[name] if name in stored else self.sample.scalars[name])

    def replacing(self, name: str, value: Real) -> Place:
        """Return this place with another number for a letter."""
        key = (name, value)
        if key not in self._others:
            self._others[key] = Place(self.sample, {**self._replaced, name: value})
        return self._others[key]
