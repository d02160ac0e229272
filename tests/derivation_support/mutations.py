"""Wrong versions of equations: a sign, an index, a number or a term changed somewhere in a tree."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from softmax_variants_spec.derivations.expression import (
    Constant,
    Difference,
    Expression,
    Index,
    Product,
    Total,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from softmax_variants_spec.derivations.derivation import Step

__all__ = ["inner_mutants", "outer_mutants", "reversed_step"]

_OPPOSITE = {"≤": "≥", "≥": "≤", "<": "≥", ">": "≤"}


def outer_mutants(equation: Step) -> Iterator[Step]:
    """Yield equations whose right side as a whole is wrong: by its sign, a factor, a term."""
    right = equation.right
    for wrong in (-right, 2 * right, right + 1):
        yield replace(equation, right=wrong)


def reversed_step(inequality: Step) -> Step:
    """Return the opposite of an inequality."""
    return replace(inequality, relation=_OPPOSITE[inequality.relation])


def inner_mutants(equation: Step) -> Iterator[Step]:
    """Yield equations with one change inside the right side."""
    indices = tuple(dict.fromkeys((*equation.left.free, *equation.right.free)))
    for wrong in _mutants(equation.right, indices):
        yield replace(equation, right=wrong)


def _mutants(node: Expression, indices: tuple[Index, ...]) -> Iterator[Expression]:
    if isinstance(node, Difference):
        yield Total((node.left, node.right))
    if isinstance(node, Total):
        yield Difference(Total(node.terms[:-1]), node.terms[-1])
    if isinstance(node, Product | Total):
        held: Any = node.factors if isinstance(node, Product) else node.terms
        for position in range(len(held)):
            yield type(node)((*held[:position], *held[position + 1 :]))
    if isinstance(node, Constant):
        yield Constant(node.number + 1)
    own = node._own()
    for item in fields(node):
        held = getattr(node, item.name)
        if isinstance(held, Expression):
            for wrong in _mutants(held, (*indices, *own)):
                yield replace(node, **{item.name: wrong})
        elif isinstance(held, Index) and held not in own:
            for other in indices:
                if other is not held:
                    yield replace(node, **{item.name: other})
        elif isinstance(held, tuple):
            for position, part in enumerate(held):
                wrongs: Iterator[Any] = iter(())
                if isinstance(part, Expression):
                    wrongs = _mutants(part, (*indices, *own))
                elif isinstance(part, Index):
                    wrongs = iter(other for other in indices if other is not part)
                for wrong in wrongs:
                    changed = (*held[:position], wrong, *held[position + 1 :])
                    yield replace(node, **{item.name: changed})
