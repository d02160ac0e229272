"""The letters of equations: entries of vectors, numbers, and what is defined by a tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from mpmath import mp

from softmax_variants_spec.derivations.expression import (
    ATOM,
    PRODUCT,
    Bound,
    Direction,
    Expression,
    Index,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.derivations.place import Place
    from softmax_variants_spec.row import Row
    from softmax_variants_spec.variants._real import Real

__all__ = [
    "AtZero",
    "Derivative",
    "Known",
    "Letter",
    "Limit",
    "Number",
    "Rate",
    "Reference",
    "Vector",
    "letter",
]

TANGENTS = Direction("")
"""The direction of the sample's tangents."""

_TANGENT_LETTERS = {"x": "t", "s": "ds", "b": "db"}
"""The letters that hold the tangents of a letter."""


def _with_indices(shown: str, indices: tuple[Index, ...]) -> str:
    if not indices:
        return shown
    return f"{shown}_{{{''.join(index.name for index in indices)}}}"


@dataclass(frozen=True, eq=False)
class _Entry(Expression):
    """An entry of a vector of the sample, as x_i."""

    name: str
    shown: str
    index: Index
    stored = False

    def _latex(self) -> str:
        return _with_indices(self.shown, (self.index,))

    def _value(self, place: Place, bound: Bound) -> Real:
        return place.vector(self.name)[bound[self.index]]

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        if along == TANGENTS:
            tangent = _TANGENT_LETTERS.get(self.name)
            return place.vector(tangent)[bound[self.index]] if tangent else mp.zero
        return mp.mpf(along == Direction(self.name, bound[self.index]))


@dataclass(frozen=True)
class Vector:
    """A vector of the sample: ``x[i]`` is the tree of x_i."""

    name: str
    shown: str = ""

    def __getitem__(self, index: Index) -> Expression:
        return _Entry(self.name, self.shown or self.name, index)


@dataclass(frozen=True, eq=False)
class Number(Expression):
    """A number of the sample, as s."""

    name: str
    shown: str = ""
    stored = False

    def _latex(self) -> str:
        return self.shown or self.name

    def _value(self, place: Place, bound: Bound) -> Real:
        del bound  # one number for all entries
        return place.scalar(self.name)

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        del bound  # one number for all entries
        if along == TANGENTS:
            tangent = _TANGENT_LETTERS.get(self.name)
            return place.scalar(tangent) if tangent else mp.zero
        return mp.mpf(along == Direction(self.name))


Meaning: TypeAlias = "Callable[..., Expression]"
"""From indices to a tree."""


@dataclass(frozen=True, eq=False)
class Letter:
    """A letter that stands for a tree, as p in p_i.

    ``p[i]`` is the letter, ``p.expand(i)`` the tree that it stands for.
    """

    shown: str
    meaning: Callable[[Row], Meaning]
    """What it stands for, for a row: the letters of a gate depend on the form."""
    arity: int
    _trees: dict[object, tuple[tuple[Index, ...], Expression]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __getitem__(self, indices: Index | tuple[Index, ...]) -> Expression:
        return _Defined(self, indices if isinstance(indices, tuple) else (indices,))

    def __call__(self) -> Expression:
        """Return the tree of the letter itself, for one without indices."""
        return _Defined(self, ())

    def tree(self, row: Row) -> tuple[tuple[Index, ...], Expression]:
        """Return indices and the tree that the letter with these stands for, for a row."""
        # Meanings depend on nothing else of a row, and one tree serves all rows alike.
        key = (row.function, row.form, row.detach_extrema)
        if key not in self._trees:
            indices = tuple(Index(name) for name in "abcd"[: self.arity])
            self._trees[key] = indices, self.meaning(row)(*indices)
        return self._trees[key]


def letter(shown: str, arity: int, meaning: Meaning) -> Letter:
    """Return a letter whose meaning is the same for every row."""
    return Letter(shown, lambda _row: meaning, arity)


@dataclass(frozen=True, eq=False)
class _Defined(Expression):
    """A letter that stands for a tree, with its indices."""

    letter: Letter
    indices: tuple[Index, ...]

    def _latex(self) -> str:
        return _with_indices(self.letter.shown, self.indices)

    def _value(self, place: Place, bound: Bound) -> Real:
        own, tree = self.letter.tree(place.row)
        return tree.value(place, {a: bound[i] for a, i in zip(own, self.indices, strict=True)})

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        if along == Direction(self.letter.shown):
            return mp.one
        own, tree = self.letter.tree(place.row)
        inner = {a: bound[i] for a, i in zip(own, self.indices, strict=True)}
        return tree.slope(place, inner, along)


@dataclass(frozen=True, eq=False)
class Reference:
    """A letter whose values come from the reference: ``Reference("J", jacobian)[i, j]``."""

    shown: str
    compute: Callable[[Place], Real]
    """Returns a number, or nested lists of as many levels as the letter has indices."""

    def __getitem__(self, indices: Index | tuple[Index, ...]) -> Expression:
        return Known(self, indices if isinstance(indices, tuple) else (indices,))

    def __call__(self) -> Expression:
        """Return the tree of the letter itself, for one without indices."""
        return Known(self, ())


@dataclass(frozen=True, eq=False)
class Known(Expression):
    """A letter with its indices, whose value comes from the reference."""

    reference: Reference
    indices: tuple[Index, ...]

    def _latex(self) -> str:
        return _with_indices(self.reference.shown, self.indices)

    def _value(self, place: Place, bound: Bound) -> Real:
        if self.reference not in place.values:
            place.values[self.reference] = self.reference.compute(place)
        held = place.values[self.reference]
        for index in self.indices:
            held = held[bound[index]]
        return mp.convert(held)


@dataclass(frozen=True, eq=False)
class Derivative(Expression):
    """The derivative of a tree by an entry of a vector or by a letter."""

    body: Expression
    by: Expression
    level = PRODUCT

    def _latex(self) -> str:
        body, by = self.body, self.by.latex()
        if body.level == ATOM:
            return rf"\frac{{\partial {body.latex()}}}{{\partial {by}}}"
        return rf"\frac{{\partial}}{{\partial {by}}} {body.within(ATOM)}"

    def _value(self, place: Place, bound: Bound) -> Real:
        by = self.by
        if isinstance(by, _Entry):
            return self.body.slope(place, bound, Direction(by.name, bound[by.index]))
        name = by.letter.shown if isinstance(by, _Defined) else by.latex()
        return self.body.slope(place, bound, Direction(name))


@dataclass(frozen=True, eq=False)
class Rate(Expression):
    """The derivative of a tree along the tangents of the sample: t, and ds and db."""

    body: Expression
    level = PRODUCT
    reaches_right = True

    def _latex(self) -> str:
        return rf"\nabla_t {self.body.within(ATOM)}"

    def _value(self, place: Place, bound: Bound) -> Real:
        return self.body.slope(place, bound, TANGENTS)


@dataclass(frozen=True, eq=False)
class AtZero(Expression):
    """A tree where a number is 0."""

    body: Expression
    number: Number

    def _latex(self) -> str:
        return rf"\left.{self.body.latex()}\right|_{{{self.number.latex()} = 0}}"

    def _value(self, place: Place, bound: Bound) -> Real:
        return self.body.value(place.replacing(self.number.name, mp.zero), bound)


@dataclass(frozen=True, eq=False)
class Limit(Expression):
    """The limit of a tree as a number grows.

    Its value is the tree's at the number 2^(10^40). There, a power −10^-30 of it is 0 to a billion
    digits, and it exceeds the exponential of any logit that derivations are evaluated at.
    """

    number: Number
    body: Expression
    level = PRODUCT
    reaches_right = True

    def _latex(self) -> str:
        return rf"\lim_{{{self.number.latex()} \to \infty}} {self.body.within(PRODUCT)}"

    def _value(self, place: Place, bound: Bound) -> Real:
        far = mp.ldexp(1, 10**40)
        return self.body.value(place.replacing(self.number.name, far), bound)
