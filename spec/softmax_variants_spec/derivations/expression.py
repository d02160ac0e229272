"""Expression trees of the notation: sums, products, quotients and powers.

A tree renders itself to LaTeX, evaluates itself at a place, and differentiates itself there: the
slope of a node along a direction is computed from the values and slopes of its parts, as forward
differentiation does, so that no formula for a derivative is needed to know its value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, Union

from mpmath import mp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from softmax_variants_spec.derivations.place import Place
    from softmax_variants_spec.variants._real import Real

__all__ = [
    "Bound",
    "Constant",
    "Difference",
    "Direction",
    "Expression",
    "Index",
    "Liftable",
    "Negative",
    "Power",
    "Product",
    "Quotient",
    "Total",
    "lift",
]

SUM, PRODUCT, POWER, ATOM = range(4)
"""How tightly a rendering holds together: what is looser than its surroundings needs brackets."""


@dataclass(frozen=True, eq=False)
class Index:
    """An index of entries, as i in x_i.

    Two indices are the same only if they are the same object.
    """

    name: str
    among: Callable[[Place], Sequence[int]] | None = None
    """The entries that it stands for, where not all."""


Bound: TypeAlias = "Mapping[Index, int]"
"""The values of the free indices of a tree."""

Liftable: TypeAlias = Union["Expression", int, Fraction]
"""A tree, or a rational number that becomes one."""


@dataclass(frozen=True)
class Direction:
    """What a derivative is taken along.

    An entry of a vector (``index`` is a number), a scalar (``index`` is None), or, with the name
    "", the tangents of the sample: the vector t for x, and the numbers ds, db for s and b.
    """

    name: str
    index: int | None = None


class Expression(ABC):
    """A node of a tree."""

    level: int = ATOM
    """How tightly its rendering holds together."""
    reaches_right: bool = False
    """Whether what is written after it would seem to be part of it, as after a sum over j."""

    stored: bool = True
    """Whether a place keeps its values; those of leaves are quicker to find anew."""
    constant: bool = False
    """Whether derivatives take it for a constant."""

    def latex(self) -> str:
        """Return the rendering, without delimiters of mathematics."""
        return self._latex()

    @abstractmethod
    def _latex(self) -> str: ...

    @abstractmethod
    def _value(self, place: Place, bound: Bound) -> Real: ...

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        del place, bound, along  # for nodes that have slopes
        msg = f"{self.latex()} is not differentiated"
        raise TypeError(msg)

    def _own(self) -> tuple[Index, ...]:
        """Return the indices that the node itself runs through."""
        return ()

    @cached_property
    def free(self) -> tuple[Index, ...]:
        """The indices whose values the tree needs."""
        found: dict[Index, None] = {}
        for part in self._parts():
            found.update(dict.fromkeys([part] if isinstance(part, Index) else part.free))
        return tuple(index for index in found if index not in self._own())

    def _parts(self) -> Iterable[Expression | Index]:
        """Yield what the fields of the node hold, one by one."""
        for item in fields(self):  # type: ignore[arg-type]  # every node is a dataclass
            held = getattr(self, item.name)
            for part in held if isinstance(held, tuple) else (held,):
                if isinstance(part, Expression | Index):
                    yield part

    def value(self, place: Place, bound: Bound) -> Real:
        """Return the value at a place, an mpf at its precision.

        Parameters
        ----------
        place
            The row and its numbers.
        bound
            The values of the free indices.
        """
        if not self.stored:
            return self._value(place, bound)
        key = (self, *map(bound.__getitem__, self.free))
        found = place.values.get(key)
        if found is None:
            found = place.values[key] = self._value(place, bound)
        return found

    def slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        """Return the derivative along a direction, an mpf.

        Parameters
        ----------
        place
            The row and its numbers.
        bound
            The values of the free indices.
        along
            The direction.

        Raises
        ------
        TypeError
            If the tree has a node that is not differentiated.
        """
        if self.constant:
            return mp.zero
        if not self.stored:
            return self._slope(place, bound, along)
        key = (self, along, *map(bound.__getitem__, self.free))
        found = place.values.get(key)
        if found is None:
            found = place.values[key] = self._slope(place, bound, along)
        return found

    def within(self, level: int) -> str:
        """Return the rendering as a part of something that holds together that tightly."""
        text = self.latex()
        return rf"\left({text}\right)" if self.level < level else text

    def __add__(self, other: Liftable) -> Expression:
        return Total((*_terms(self), *_terms(lift(other))))

    def __radd__(self, other: Liftable) -> Expression:
        return lift(other) + self

    def __sub__(self, other: Liftable) -> Expression:
        return Difference(self, lift(other))

    def __rsub__(self, other: Liftable) -> Expression:
        return lift(other) - self

    def __mul__(self, other: Liftable) -> Expression:
        if isinstance(self, Negative):
            # As it is read: −s g is −(s g).
            return Negative(self.body * other)
        return Product((*_factors(self), *_factors(lift(other))))

    def __rmul__(self, other: Liftable) -> Expression:
        return lift(other) * self

    def __truediv__(self, other: Liftable) -> Expression:
        return Quotient(self, lift(other))

    def __rtruediv__(self, other: Liftable) -> Expression:
        return Quotient(lift(other), self)

    def __pow__(self, other: Liftable) -> Expression:
        return Power(self, lift(other))

    def __neg__(self) -> Expression:
        return Negative(self)


def lift(thing: Liftable) -> Expression:
    """Return a tree, that of a number for a number."""
    if isinstance(thing, Expression):
        return thing
    # A negative number renders with a sign, and needs brackets where a sum does.
    return Constant(Fraction(thing)) if thing >= 0 else Negative(Constant(Fraction(-thing)))


def _terms(node: Expression) -> tuple[Expression, ...]:
    return node.terms if isinstance(node, Total) else (node,)


def _factors(node: Expression) -> tuple[Expression, ...]:
    return node.factors if isinstance(node, Product) else (node,)


@dataclass(frozen=True, eq=False)
class Constant(Expression):
    """A rational number."""

    number: Fraction
    constant = True

    def _latex(self) -> str:
        top, bottom = self.number.numerator, self.number.denominator
        return str(top) if bottom == 1 else rf"\tfrac{{{top}}}{{{bottom}}}"

    def _value(self, place: Place, bound: Bound) -> Real:
        del place, bound  # the same everywhere
        return mp.convert(self.number)


@dataclass(frozen=True, eq=False)
class Total(Expression):
    """A sum of several terms."""

    terms: tuple[Expression, ...]
    level = SUM

    def _latex(self) -> str:
        # A first term may be a difference; a later one that starts with a sign needs brackets.
        first, *others = self.terms
        return " + ".join([first.within(SUM), *(term.within(PRODUCT) for term in others)])

    def _value(self, place: Place, bound: Bound) -> Real:
        return mp.fsum(term.value(place, bound) for term in self.terms)

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        return mp.fsum(term.slope(place, bound, along) for term in self.terms)


@dataclass(frozen=True, eq=False)
class Difference(Expression):
    """One tree less another."""

    left: Expression
    right: Expression
    level = SUM

    def _latex(self) -> str:
        return f"{self.left.within(SUM)} - {self.right.within(PRODUCT)}"

    def _value(self, place: Place, bound: Bound) -> Real:
        return self.left.value(place, bound) - self.right.value(place, bound)

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        return self.left.slope(place, bound, along) - self.right.slope(place, bound, along)


@dataclass(frozen=True, eq=False)
class Negative(Expression):
    """The negative of a tree."""

    body: Expression
    level = SUM

    def _latex(self) -> str:
        return f"-{self.body.within(PRODUCT)}"

    def _value(self, place: Place, bound: Bound) -> Real:
        return -self.body.value(place, bound)

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        return -self.body.slope(place, bound, along)


@dataclass(frozen=True, eq=False)
class Product(Expression):
    """A product of several factors."""

    factors: tuple[Expression, ...]
    level = PRODUCT

    def _latex(self) -> str:
        last = self.factors[-1]
        return r" \, ".join(
            # What reaches to its right, as a sum does, needs brackets before other factors.
            factor.within(POWER if factor.reaches_right and factor is not last else PRODUCT)
            for factor in self.factors
        )

    def _value(self, place: Place, bound: Bound) -> Real:
        product = mp.one
        for factor in self.factors:
            product *= factor.value(place, bound)
            if not product:
                # The factors after a 0, such as those behind δ_ij, need no evaluation.
                break
        return product

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        total = mp.zero
        for position, factor in enumerate(self.factors):
            term = factor.slope(place, bound, along)
            for other in (*self.factors[:position], *self.factors[position + 1 :]):
                if not term:
                    break
                term *= other.value(place, bound)
            total += term
        return total


@dataclass(frozen=True, eq=False)
class Quotient(Expression):
    """One tree divided by another."""

    top: Expression
    bottom: Expression
    level = PRODUCT

    def _latex(self) -> str:
        return rf"\frac{{{self.top.latex()}}}{{{self.bottom.latex()}}}"

    def _value(self, place: Place, bound: Bound) -> Real:
        return self.top.value(place, bound) / self.bottom.value(place, bound)

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        bottom = self.bottom.value(place, bound)
        top_slope = self.top.slope(place, bound, along)
        bottom_slope = self.bottom.slope(place, bound, along)
        return (top_slope - self.top.value(place, bound) / bottom * bottom_slope) / bottom


@dataclass(frozen=True, eq=False)
class Power(Expression):
    """A positive number, or one with a whole exponent, to a power."""

    base: Expression
    exponent: Expression
    level = POWER

    def _latex(self) -> str:
        return f"{self.base.within(ATOM)}^{{{self.exponent.latex()}}}"

    def _value(self, place: Place, bound: Bound) -> Real:
        return mp.power(self.base.value(place, bound), self.exponent.value(place, bound))

    def _slope(self, place: Place, bound: Bound, along: Direction) -> Real:
        base, exponent = self.base.value(place, bound), self.exponent.value(place, bound)
        total = exponent * mp.power(base, exponent - 1) * self.base.slope(place, bound, along)
        exponent_slope = self.exponent.slope(place, bound, along)
        if exponent_slope:
            total += self._value(place, bound) * mp.log(base) * exponent_slope
        return total
