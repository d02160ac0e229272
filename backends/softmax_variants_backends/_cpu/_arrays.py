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

    def threads(self) -> int:
        """Return how many threads a call may use."""

    def locate(
        self, x: Any, dy: Any, out: Any, mask: Any, /, *, made: bool
    ) -> tuple[int, int, int, int, Hashable]:
        """Return the addresses of the arrays of a call, 0 for None, and what identifies layouts.

        Called in every call; equal last values mean equal layouts. dy and out have the shape and
        dtype of x, and an ``out`` that was ``made`` by `empty_like` has the layout that this gives.
        """

    def layout(self, array: Any, /) -> Layout | None:
        """Return the layout of an array, None if its strides are not whole elements."""

    def empty_like(self, array: Any, /) -> Any:
        """Return an array for results: shaped like ``array``, and laid out like it if dense.

        Its layout depends on that of ``array`` only.
        """

    def gradients_of(self, s: Any, b: Any, x: Any, /) -> tuple[Any, int, int, Any, int, int]:
        """Return an array for ds, its address and its format, and the same for db.

        Each has the shape and dtype of its parameter; of a Python number, it has no dimension and
        the dtype of x. Elements are in C order. Formats are those of ``_layout``.
        """

    def packed(self, array: Any, shape: tuple[int, ...], /) -> Any:
        """Return a copy of an array, broadcast to a shape, in C order."""

    def store(self, out: Any, value: Any, /) -> None:
        """Copy an array's elements into another."""

    def to_numpy(self, array: Any, /) -> npt.NDArray[Any]:
        """Return a NumPy array of the same elements, in the same memory unless of bfloat16."""
