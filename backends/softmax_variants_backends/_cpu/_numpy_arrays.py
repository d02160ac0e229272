"""NumPy's arrays, as the row kernels take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import array_api_compat.numpy as xp
import numpy as np

from softmax_variants_backends._axes import Layout

from ._address import address_of
from ._threads import process_threads

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["NumpyArrays"]


class NumpyArrays:
    """The library."""

    xp = xp

    def threads(self) -> int:
        return process_threads()

    def locate(self, array: Array, /) -> tuple[int, Hashable]:
        return address_of(array), (array.shape, array.strides, array.dtype)

    def layout(self, array: Array, /) -> Layout | None:
        size = array.itemsize
        if any(stride % size for stride in array.strides):
            return None
        strides = tuple(stride // size for stride in array.strides)
        return Layout(array.shape, strides, array.dtype.name)

    def empty_like(self, array: Array, /) -> Array:
        return np.empty_like(array, subok=False)

    def packed(self, array: Array, shape: tuple[int, ...], /) -> Array:
        return np.array(np.broadcast_to(array, shape), order="C", copy=True)

    def store(self, out: Array, value: Array, /) -> None:
        out[...] = value

    def to_numpy(self, array: Array, /) -> Array:
        return array

    def from_numpy(self, array: Array, /) -> Array:
        return array
