"""NumPy's arrays, as the row kernels take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from softmax_variants_backends._axes import Layout

from ._address import address_of
from ._layout import STORAGES
from ._threads import process_threads

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["NumpyArrays"]


_STORAGES = {np.dtype(name): own for name, own in STORAGES.items() if name != "bfloat16"}


class NumpyArrays:
    """The library."""

    def threads(self) -> int:
        return process_threads()

    def locate(
        self, x: Array, dy: Array | None, out: Array, mask: Array | None, /, *, made: bool
    ) -> tuple[int, int, int, int, Hashable]:
        layouts = (
            x.shape,
            x.strides,
            x.dtype,
            None if dy is None else dy.strides,
            None if made else out.strides,
            None if mask is None else (mask.shape, mask.strides),
        )
        return (
            address_of(x),
            0 if dy is None else address_of(dy),
            address_of(out),
            0 if mask is None else address_of(mask),
            layouts,
        )

    def layout(self, array: Array, /) -> Layout | None:
        size = array.itemsize
        if any(stride % size for stride in array.strides):
            return None
        strides = tuple(stride // size for stride in array.strides)
        return Layout(array.shape, strides, array.dtype.name)

    def empty_like(self, array: Array, /) -> Array:
        return np.empty_like(array, subok=False)

    def gradients_of(self, s: Any, b: Any, x: Array, /) -> tuple[Array, int, int, Array, int, int]:
        if type(s) is type(b) is float:
            dtype = x.dtype
            ds, db = np.empty((), dtype), np.empty((), dtype)
            storage = _STORAGES[dtype]
            return ds, address_of(ds), storage, db, address_of(db), storage
        ds, db = (
            np.empty((), x.dtype)
            if isinstance(own, (int, float))
            else np.empty(own.shape, own.dtype)
            for own in (s, b)
        )
        return ds, address_of(ds), _STORAGES[ds.dtype], db, address_of(db), _STORAGES[db.dtype]

    def packed(self, array: Array, shape: tuple[int, ...], /) -> Array:
        return np.array(np.broadcast_to(array, shape), order="C", copy=True)

    def store(self, out: Array, value: Array, /) -> None:
        out[...] = value

    def to_numpy(self, array: Array, /) -> Array:
        return array
