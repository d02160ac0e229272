"""The functions under judgement: one a variant, SA-Softmax one a form."""

from __future__ import annotations

from dataclasses import dataclass

from softmax_variants._catalogue import FUNCTIONS

__all__ = ["VARIANTS", "Variant"]


@dataclass(frozen=True)
class Variant:
    """A function of the catalogue with its form, if it has forms."""

    function: str
    form: str | None = None

    @property
    def label(self) -> str:
        """Name in ids and tables: ``softmax``, ``ssmax``, ``sa_softmax.plain``, ..."""
        return self.function if self.form is None else f"{self.function}.{self.form}"

    @property
    def has_extrema(self) -> bool:
        """Whether ``detach_extrema`` makes a difference."""
        return self.form not in {None, "plain"}

    @property
    def shift_invariant(self) -> bool:
        """Whether adding a constant to all logits leaves the weights."""
        return self.form in {None, "shifted", "minmax"}


VARIANTS = tuple(
    Variant(function.name, form) for function in FUNCTIONS for form in (function.forms or (None,))
)
