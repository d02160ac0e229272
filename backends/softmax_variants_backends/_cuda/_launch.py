"""What the row kernels ask of an array library: arrays described and made, kernels launched.

``RowKernels`` of ``_rows.py`` is all there is above it: ``RowKernels(launcher).weights(...)`` and
``.gradients(...)``. One launcher serves one device; its caller has made that device the current
one of the library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from softmax_variants_backends._axes import Layout

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Launcher", "Layout", "Limits", "Module"]


@dataclass(frozen=True)
class Limits:
    """What a device allows."""

    capability: tuple[int, int]
    """Compute capability."""
    shared: int
    """Bytes of shared memory that a block may ask for."""
    worthwhile: int = 1 << 18
    """Entries of an array from which on kernels are compiled for the length of its rows alone."""
    capacity: tuple[int, int] = (8192, 8192)
    """Entries of a row that a block holds: of weights, of gradients. Tests have smaller ones."""


class Module(NamedTuple):
    """What is compiled at once: a few kernels of one function and direction, or the sums."""

    storage: str
    """Half, Bfloat, Float or Double; "" for the module of the sums, which takes no macros."""
    function: str = ""
    """softmax, ssmax or sa_softmax."""
    gradients: bool = False
    parts: int = 1
    """Blocks that share a row as a cluster; 0: the kernels of split rows."""
    lanes: int = 0
    """Threads of a block that share a row, and"""
    vectors: int = 0
    """16-byte vectors of each, where the kernels are compiled for them; 0: for any."""


class Launcher(Protocol):
    """One device of an array library."""

    @property
    def limits(self) -> Limits:
        """What the device allows."""

    def locate(self, array: Any, /) -> tuple[int, Hashable]:
        """Return the address of an array's first element, and what identifies its layout.

        Called for every array of every call; equal second values mean equal layouts.
        """

    def layout(self, array: Any, /) -> Layout:
        """Return the layout of an array."""

    def empty_like(self, array: Any, /) -> Any:
        """Return an array for results: shaped like ``array``, and laid out like it if dense.

        Its first element is aligned to 16 bytes, its layout depends on that of ``array`` only.
        """

    def empty(self, shape: tuple[int, ...], dtype: str, /) -> Any:
        """Return an array in C order, aligned to 16 bytes."""

    def kernel(self, module: Module, name: str, shared: int, /) -> Any:
        """Return a kernel that may be launched with up to ``shared`` bytes of shared memory.

        Compiles its module if need be. ``rows_16`` is allowed its 16 blocks a cluster.
        """

    def launch(self, kernel: Any, grid: int, block: int, shared: int, argument: bytes, /) -> None:
        """Launch a kernel on the current stream; ``argument`` are the bytes of its argument."""
