"""The address of a NumPy array's first element."""

from __future__ import annotations

from ctypes import addressof, c_char
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["address_of"]

# What it takes is not in its annotation: any writable, contiguous buffer.
_first_byte: Callable[[Any], c_char] = c_char.from_buffer


def address_of(array: npt.NDArray[Any]) -> int:
    """Return the address; the memory must not be empty."""
    # A fraction of the time that the array's own ctypes.data takes, where small arrays notice.
    try:
        return addressof(_first_byte(array))
    except (TypeError, ValueError, BufferError):
        # Read-only memory, strides, and elements that buffers have no name for.
        return array.ctypes.data
