"""A derivation: equations and inequalities in order, with the sentence that justifies each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from softmax_variants_spec.derivations.expression import Bound, Expression, lift

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from softmax_variants_spec.derivations.expression import Liftable
    from softmax_variants_spec.derivations.place import Place, Sample

__all__ = ["Condition", "Derivation", "Prose", "Relation", "Step", "chain", "step"]

Relation: TypeAlias = Literal["=", "≤", "≥", "<", ">"]
"""How the sides of a step compare."""

_RELATIONS = "=≠<>≤≥"
_MATHEMATICS = str.maketrans({"≠": r"\ne", "≤": r"\le", "≥": r"\ge", "−": "-"})

_SHOWN = {"=": "=", "≤": r"\le", "≥": r"\ge", "<": "<", ">": ">"}


@dataclass(frozen=True)
class Condition:
    """What a step assumes of the row and of the values of its indices."""

    text: str
    """A phrase, as "c > 0"."""
    holds: Callable[[Place, Bound], bool]


@dataclass(frozen=True)
class Step:
    """An equation or inequality between two trees.

    It holds at every row that its derivation is about, for all values of its free indices, where
    its condition does.
    """

    left: Expression
    relation: Relation
    right: Expression
    justification: str
    """A sentence, with mathematics in Unicode."""
    assumes: Condition | None = None

    @property
    def condition(self) -> str:
        """What the step assumes: a phrase, or ""."""
        return "" if self.assumes is None else self.assumes.text

    def latex_condition(self) -> str:
        """Return the condition as LaTeX: what has a relation as mathematics, the rest as text."""
        parts = re.split(r"([,;] )", self.condition)
        return "".join(
            part.translate(_MATHEMATICS) if set(part) & set(_RELATIONS) else rf"\text{{{part}}}"
            for part in parts
            if part
        )

    def latex(self) -> str:
        """Return both sides and the relation between them, without delimiters."""
        return f"{self.left.latex()} {self.latex_right()}"

    def latex_right(self) -> str:
        """Return the relation and the right side, for a step that continues another one."""
        return f"{_SHOWN[self.relation]} {self.right.latex()}"


@dataclass(frozen=True)
class Prose:
    """A step in words, that nothing evaluates."""

    text: str


@dataclass(frozen=True)
class Derivation:
    """A statement about rows, and how it follows."""

    title: str
    statement: str
    """Sentences, with mathematics in Unicode."""
    domain: str
    """The rows that it is about: a phrase."""
    samples: Sequence[Sample] = field(repr=False)
    """Rows that every step is evaluated at."""
    claims: tuple[Step, ...]
    """The equations and inequalities of the statement."""
    steps: tuple[Step | Prose, ...]

    def equations(self) -> tuple[Step, ...]:
        """Return all that is evaluated: the claims, then the steps."""
        return (*self.claims, *(item for item in self.steps if isinstance(item, Step)))

    def prose_steps(self) -> tuple[Prose, ...]:
        """Return the steps that nothing evaluates."""
        return tuple(item for item in self.steps if isinstance(item, Prose))

    def chains(self) -> list[tuple[Step | Prose, ...]]:
        """Group the steps: each Prose alone, and Steps whose left side is the last right one."""
        groups: list[tuple[Step | Prose, ...]] = []
        for item in self.steps:
            last = groups[-1][-1] if groups else None
            if isinstance(item, Step) and isinstance(last, Step) and item.left is last.right:
                groups[-1] = (*groups[-1], item)
            else:
                groups.append((item,))
        return groups

    def latex_steps(self) -> list[str]:
        """Return LaTeX for each Step, of the right side alone where it continues the last one."""
        return [
            item.latex_right() if position else item.latex()
            for group in self.chains()
            for position, item in enumerate(group)
            if isinstance(item, Step)
        ]


def step(
    left: Liftable,
    relation: Relation,
    right: Liftable,
    justification: str,
    assumes: Condition | None = None,
) -> Step:
    """Return a step; numbers become trees."""
    return Step(lift(left), relation, lift(right), justification, assumes)


def chain(
    left: Liftable,
    *links: tuple[Relation, Liftable, str],
    assumes: Condition | None = None,
) -> tuple[Step, ...]:
    """Return steps each of which starts from where the one before it ended.

    Parameters
    ----------
    left
        Where the first one starts.
    *links
        Relation, right side and justification of each.
    assumes
        What all of them assume.
    """
    steps: list[Step] = []
    here = lift(left)
    for relation, right, justification in links:
        steps.append(Step(here, relation, lift(right), justification, assumes))
        here = steps[-1].right
    return tuple(steps)
