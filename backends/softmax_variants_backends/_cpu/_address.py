"""The address of a NumPy array's first element."""

from __future__ import annotations

from ctypes import c_size_t
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["address_of"]

_word_at: Callable[[int], c_size_t] = c_size_t.from_address
# It follows what all objects begin with, in the structure that NumPy's C interface lays open: its
# macro PyArray_DATA is compiled into every extension, so it cannot move.
_OFFSET = object.__basicsize__


def _address_in_object(array: npt.NDArray[Any]) -> int:
    return _word_at(id(array) + _OFFSET).value


def _address_by_ctypes(array: npt.NDArray[Any]) -> int:
    return array.ctypes.data


def _found_in_objects() -> bool:
    arrays = (np.zeros(3), np.zeros((2, 3), np.float16)[1:, ::-1], np.asarray(1.0))
    return all(_address_in_object(array) == _address_by_ctypes(array) for array in arrays)


address_of: Callable[[npt.NDArray[Any]], int] = (
    # A quarter of the time, where small arrays notice, and the same for arrays of all kinds.
    _address_in_object if _found_in_objects() else _address_by_ctypes
)
