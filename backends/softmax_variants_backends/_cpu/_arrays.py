"""What the row kernels ask of an array library whose arrays are memory of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt

    from softmax_variants_backends._axes import Layout

__all__ = ["Arrays"]


class Arrays(Protocol):
    """An array library."""

    @property
    def xp(self) -> Any:
        """Its array-API namespace."""

    def threads(self) -> int:
        """Return how many threads a call may use."""

    def locate(self, array: Any, /) -> tuple[int, Hashable]:
        """Return the address of an array's first element, and what identifies its layout.

        Called for every array of every call; equal second values mean equal layouts.
        """

    def layout(self, array: Any, /) -> Layout | None:
        """Return the layout of an array, None if its strides are not whole elements."""

    def empty_like(self, array: Any, /) -> Any:
        """Return an array for results: shaped like ``array``, and laid out like it if dense.

        Its layout depends on that of ``array`` only.
        """

    def packed(self, array: Any, shape: tuple[int, ...], /) -> Any:
        """Return a copy of an array, broadcast to a shape, in C order."""

    def store(self, out: Any, value: Any, /) -> None:
        """Copy an array's elements into another."""

    def to_numpy(self, array: Any, /) -> npt.NDArray[Any]:
        """Return a NumPy array of the same elements, in the same memory unless of bfloat16."""

    def from_numpy(self, array: npt.NDArray[Any], /) -> Any:
        """Return an array in the memory of a NumPy array."""
