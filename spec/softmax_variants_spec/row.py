"""One row of logits with its parameters: which entries are present, and whether all is finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from softmax_variants_spec.variants import sa_softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FUNCTIONS", "Number", "Row", "is_finite"]

FUNCTIONS = ("softmax", "ssmax", "sa_softmax")
"""Names of the functions."""

Number: TypeAlias = float | int
"""A stored number, taken as exact."""


def is_finite(v: Number) -> bool:
    """Tell whether v is neither infinite nor NaN; an integer of any size is finite."""
    return isinstance(v, int) or math.isfinite(v)


@dataclass(frozen=True)
class Row:
    """A function applied to one row: the stored numbers, all of them exact.

    Parameters
    ----------
    function
        ``"softmax"``, ``"ssmax"`` or ``"sa_softmax"``.
    x
        Logits; any floats, NaN and infinities included.
    where
        Which entries are present, or None for all. A logit −∞ is absent as well.
    s, b, n
        Parameters of ``ssmax``; n is None for the number of present entries.
    form, detach_extrema
        Parameters of ``sa_softmax``.

    Raises
    ------
    ValueError
        If the function or the form does not exist, or `where` differs from x in length.

    Examples
    --------
    >>> Row("softmax", (1.0, float("-inf"), 2.0), where=(True, True, False)).present
    (0,)
    """

    function: str
    x: tuple[float, ...]
    where: tuple[bool, ...] | None = None
    s: Number = 1.0
    b: Number = 0.0
    n: Number | None = None
    form: str = "normalized"
    detach_extrema: bool = False

    def __post_init__(self) -> None:
        if self.function not in FUNCTIONS:
            msg = f"function must be one of {FUNCTIONS}, got {self.function!r}"
            raise ValueError(msg)
        if self.form not in sa_softmax.FORMS:
            msg = f"form must be one of {sa_softmax.FORMS}, got {self.form!r}"
            raise ValueError(msg)
        if self.where is not None and len(self.where) != len(self.x):
            msg = f"where must have the {len(self.x)} entries of x, got {len(self.where)}"
            raise ValueError(msg)

    @cached_property
    def present(self) -> tuple[int, ...]:
        """Indices of the present entries, Ω: not masked by `where`, and not −∞."""
        where = self.where
        return tuple(
            i for i, xi in enumerate(self.x) if xi != -math.inf and (where is None or where[i])
        )

    @property
    def count(self) -> Number:
        """The n of the row: as given, or the number of present entries."""
        return len(self.present) if self.n is None else self.n

    @property
    def is_finite(self) -> bool:
        """Whether the present logits are finite, and for ``ssmax`` s, b and a positive n too."""
        if not all(math.isfinite(self.x[i]) for i in self.present):
            return False
        if self.function != "ssmax":
            return True
        return all(is_finite(v) for v in (self.s, self.b, self.count)) and self.count > 0

    def finite_at_present(self, values: Sequence[float]) -> bool:
        """Tell whether numbers, one an entry, are finite where the entry is present.

        Raises
        ------
        ValueError
            If there are not as many as entries.
        """
        if len(values) != len(self.x):
            msg = f"one number an entry is needed: {len(self.x)}, got {len(values)}"
            raise ValueError(msg)
        return all(math.isfinite(values[i]) for i in self.present)
