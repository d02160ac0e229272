"""Functions in equations: exponentials, logarithms, magnitudes, and numbers that are 0 or 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpmath import mp

from softmax_variants_spec.derivations.expression import (
    POWER,
    PRODUCT,
    Bound,
    Direction,
    Expression,
    Index,
    Product,
    lift,
)

if TYPE_CHECKING:
    from softmax_variants_spec.derivations.expression import Liftable
    from softmax_variants_spec.derivations.place import Place
    from softmax_variants_spec.formats import Format
    from softmax_variants_spec.variants._real import Real

__all__ = ["Binade", "Delta", "Detached", "Rounded", "absolute", "bracket", "exp", "ln"]


@dataclass(frozen=True, eq=False)
class _Exp(Expression):
    exponent: Expression
    level = POWER

    def _latex(self) -> str:
        return f"e^{{{self.exponent.latex()}}}"

    def _value(self, place: Place, bound: Bound) -> Real:
        return mp.exp(self.exponent.value(place, bound))

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        slope = self.exponent.slope(place, bound, along)
        return slope * self.value(place, bound) if slope else slope


@dataclass(frozen=True, eq=False)
class _Ln(Expression):
    body: Expression
    level = PRODUCT
    reaches_right = True

    def _latex(self) -> str:
        # ln u v could be read as (ln u) v.
        least = POWER if isinstance(self.body, Product) else PRODUCT
        return rf"\ln \, {self.body.within(least)}"

    def _value(self, place: Place, bound: Bound) -> Real:
        return mp.log(self.body.value(place, bound))

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        return self.body.slope(place, bound, along) / self.body.value(place, bound)


@dataclass(frozen=True, eq=False)
class _Absolute(Expression):
    body: Expression

    def _latex(self) -> str:
        return rf"\left|{self.body.latex()}\right|"

    def _value(self, place: Place, bound: Bound) -> Real:
        return abs(self.body.value(place, bound))


def exp(exponent: Liftable) -> Expression:
    """Return the tree of an exponential."""
    return _Exp(lift(exponent))


def ln(body: Liftable) -> Expression:
    """Return the tree of a natural logarithm."""
    return _Ln(lift(body))


def absolute(body: Liftable) -> Expression:
    """Return the tree of a magnitude."""
    return _Absolute(lift(body))


@dataclass(frozen=True, eq=False)
class Detached(Expression):
    """A tree that is taken for a constant: its slope is 0."""

    body: Expression
    constant = True

    def _latex(self) -> str:
        return rf"\operatorname{{sg}}\left({self.body.latex()}\right)"

    def _value(self, place: Place, bound: Bound) -> Real:
        return self.body.value(place, bound)


@dataclass(frozen=True, eq=False)
class Delta(Expression):
    """Kronecker's δ_ij."""

    left: Index
    right: Index
    constant = True

    def _latex(self) -> str:
        return rf"\delta_{{{self.left.name}{self.right.name}}}"

    def _value(self, place: Place, bound: Bound) -> Real:
        del place  # the same everywhere
        return mp.mpf(bound[self.left] == bound[self.right])


@dataclass(frozen=True, eq=False)
class _Bracket(Expression):
    left: Expression
    relation: str
    right: Expression

    def _latex(self) -> str:
        return rf"\left[{self.left.latex()} {self.relation} {self.right.latex()}\right]"

    def _value(self, place: Place, bound: Bound) -> Real:
        # Logits, their extrema and 0 are exact, and nothing else is compared here.
        left, right = self.left.value(place, bound), self.right.value(place, bound)
        holds = {"=": left == right, "<": left < right, ">": left > right}
        return mp.mpf(holds[self.relation])


def bracket(left: Liftable, relation: str, right: Liftable) -> Expression:
    """Return the tree of what is 1 where a relation holds and 0 elsewhere.

    Parameters
    ----------
    left, right
        Trees whose values are exact.
    relation
        ``"="``, ``"<"`` or ``">"``.
    """
    return _Bracket(lift(left), relation, lift(right))


@dataclass(frozen=True, eq=False)
class Binade(Expression):
    """The largest power of two that a magnitude reaches: 2^⌊log2 |v|⌋, and 0 for v = 0."""

    body: Expression

    def _latex(self) -> str:
        return rf"\operatorname{{bin}}\left({self.body.latex()}\right)"

    def _value(self, place: Place, bound: Bound) -> Real:
        value = self.body.value(place, bound)
        return mp.ldexp(1, mp.frexp(value)[1] - 1) if value else mp.zero


@dataclass(frozen=True, eq=False)
class Rounded(Expression):
    """A number, exact at the working precision, rounded to a format as the reference rounds."""

    body: Expression
    fmt: Format

    def _latex(self) -> str:
        return rf"\operatorname{{fl}}\left({self.body.latex()}\right)"

    def _value(self, place: Place, bound: Bound) -> Real:
        return mp.convert(self.fmt.round(self.body.value(place, bound)))
