"""Walks through expression trees."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from softmax_variants_spec.derivations.expression import Expression

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["nodes", "parts"]


def parts(node: Expression) -> Iterator[Expression]:
    """Yield the trees that a node is made of."""
    for item in fields(node):  # type: ignore[arg-type]
        held = getattr(node, item.name)
        for part in held if isinstance(held, tuple) else (held,):
            if isinstance(part, Expression):
                yield part


def nodes(tree: Expression) -> Iterator[Expression]:
    """Yield a tree and all trees in it."""
    yield tree
    for part in parts(tree):
        yield from nodes(part)
