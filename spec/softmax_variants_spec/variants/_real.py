"""The numbers that the formulas of a variant compute with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

__all__ = ["Real", "Reals"]

Real: TypeAlias = Any
"""An ``mpmath.mpf``, rounded to the caller's working precision, or an exact ``Fraction``."""

Reals: TypeAlias = Sequence[Real]
"""The present entries of a row, or one number for each of them."""
