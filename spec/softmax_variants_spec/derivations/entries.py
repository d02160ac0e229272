"""Sums over the entries of a row, and its extrema with their convention at ties."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpmath import mp

from softmax_variants_spec.derivations.expression import (
    PRODUCT,
    Bound,
    Direction,
    Expression,
    Index,
    lift,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from softmax_variants_spec.derivations.expression import Liftable
    from softmax_variants_spec.derivations.place import Place
    from softmax_variants_spec.variants._real import Real

__all__ = ["maximum", "minimum", "over"]


@dataclass(frozen=True, eq=False)
class _OverEntries(Expression):
    """Something of all present entries, or of all but one."""

    index: Index
    body: Expression
    without: Index | None
    level = PRODUCT
    reaches_right = True

    def _own(self) -> tuple[Index, ...]:
        return (self.index,)

    @abstractmethod
    def _symbol(self) -> str: ...

    def _shown_body(self) -> str:
        return self.body.within(PRODUCT)

    def _latex(self) -> str:
        without = "" if self.without is None else rf" \ne {self.without.name}"
        return f"{self._symbol()}_{{{self.index.name}{without}}} {self._shown_body()}"

    def _inner(self, place: Place, bound: Bound) -> Iterator[dict[Index, int]]:
        skipped = None if self.without is None else bound[self.without]
        for value in place.indices:
            if value != skipped:
                yield {**bound, self.index: value}


@dataclass(frozen=True, eq=False)
class _Over(_OverEntries):
    def _symbol(self) -> str:
        return r"\sum"

    def _value(self, place: Place, bound: Bound) -> Real:
        return mp.fsum(self.body.value(place, inner) for inner in self._inner(place, bound))

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        return mp.fsum(self.body.slope(place, inner, along) for inner in self._inner(place, bound))


@dataclass(frozen=True, eq=False)
class _Extremum(_OverEntries):
    """The minimum or the maximum.

    Where several entries attain it, its slope is the mean of theirs (S8). A 0 that is appended to
    the entries takes part, with slope 0.
    """

    kind: str
    appended_zero: bool

    def _symbol(self) -> str:
        return rf"\{self.kind}"

    def _shown_body(self) -> str:
        if self.appended_zero:
            return rf"\left\{{{self.body.latex()}, 0\right\}}"
        return super()._shown_body()

    def _value(self, place: Place, bound: Bound) -> Real:
        values = [self.body.value(place, inner) for inner in self._inner(place, bound)]
        if self.appended_zero:
            values.append(mp.zero)
        return min(values) if self.kind == "min" else max(values)

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        attained = self.value(place, bound)
        slopes = [
            self.body.slope(place, inner, along)
            for inner in self._inner(place, bound)
            if self.body.value(place, inner) == attained
        ]
        if self.appended_zero and attained == 0:
            slopes.append(mp.zero)
        return mp.fsum(slopes) / len(slopes)


def over(index: Index, body: Liftable, without: Index | None = None) -> Expression:
    """Return the tree of a sum over the present entries.

    Parameters
    ----------
    index
        The index that runs through them.
    body
        The terms.
    without
        An index whose entry is left out.
    """
    return _Over(index, lift(body), without)


def minimum(
    index: Index, body: Liftable, *, appended_zero: bool = False, without: Index | None = None
) -> Expression:
    """Return the tree of a minimum over the present entries.

    Parameters
    ----------
    index
        The index that runs through them.
    body
        What is compared; exact, as logits are, wherever the slope is asked for.
    appended_zero
        Whether a 0 is one of the entries.
    without
        An index whose entry is left out.
    """
    return _Extremum(index, lift(body), without, "min", appended_zero)


def maximum(
    index: Index, body: Liftable, *, appended_zero: bool = False, without: Index | None = None
) -> Expression:
    """Return the tree of a maximum over the present entries; parameters as in `minimum`."""
    return _Extremum(index, lift(body), without, "max", appended_zero)
