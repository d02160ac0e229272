"""Types of the public signatures."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

__all__ = ["Array", "ArrayT", "Backend", "Form", "Parameter"]


class Array(Protocol):
    """What the arrays of every library have in common, as type checkers see it.

    The array API standard has no nominal type for its arrays, and ``torch.Tensor`` lacks
    ``__array_namespace__``; a shape and a dtype are what is left. What an array must be beyond
    that is checked when a function is called.
    """

    @property
    def shape(self) -> Any:
        """Lengths of the axes."""

    @property
    def dtype(self) -> Any:
        """Data type of the elements, an object of the array's library."""


ArrayT = TypeVar("ArrayT", bound=Array)

Parameter: TypeAlias = float | Array
"""A Python number, or an array that broadcasts along the rows."""

Form: TypeAlias = Literal["plain", "shifted", "minmax", "normalized"]
"""Gates of ``sa_softmax``: the catalogue's ``FORMS``, as a type."""

Backend: TypeAlias = str | ModuleType
"""A backend's name or module."""
