"""PyTorch's tensors on the CPU, as the row kernels take them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from softmax_variants_backends._axes import Layout

from ._layout import STORAGES

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt

__all__ = ["TorchArrays"]

_STORAGES: dict[torch.dtype, int] = {getattr(torch, name): own for name, own in STORAGES.items()}


@cache
def _number(dtype: torch.dtype) -> Tensor:
    """Return a tensor to be like: to make one of a dtype that is named takes twice as long.

    (Made when it is wanted: when this is imported, a mode may be active that makes other tensors.)
    """
    return torch.empty((), dtype=dtype, device="cpu")


class TorchArrays:
    """The library."""

    def threads(self) -> int:
        return torch.get_num_threads()

    def locate(
        self, x: Tensor, dy: Tensor | None, out: Tensor, mask: Tensor | None, /, *, made: bool
    ) -> tuple[int, int, int, int, Hashable]:
        layouts = (
            x.shape,
            x.stride(),
            x.dtype,
            None if dy is None else dy.stride(),
            None if made else out.stride(),
            None if mask is None else (mask.shape, mask.stride()),
        )
        return (
            x.data_ptr(),
            0 if dy is None else dy.data_ptr(),
            out.data_ptr(),
            0 if mask is None else mask.data_ptr(),
            layouts,
        )

    def layout(self, array: Tensor, /) -> Layout | None:
        return Layout(tuple(array.shape), array.stride(), str(array.dtype).removeprefix("torch."))

    def empty_like(self, array: Tensor, /) -> Tensor:
        return torch.empty_like(array)

    def gradients_of(
        self, s: Any, b: Any, x: Tensor, /
    ) -> tuple[Tensor, int, int, Tensor, int, int]:
        if type(s) is type(b) is float:
            dtype = x.dtype
            number, storage = _number(dtype), _STORAGES[dtype]
            ds, db = torch.empty_like(number), torch.empty_like(number)
            return ds, ds.data_ptr(), storage, db, db.data_ptr(), storage
        ds, db = (
            torch.empty_like(_number(x.dtype))
            if isinstance(own, (int, float))
            else torch.empty_like(own, memory_format=torch.contiguous_format)
            for own in (s, b)
        )
        return ds, ds.data_ptr(), _STORAGES[ds.dtype], db, db.data_ptr(), _STORAGES[db.dtype]

    def packed(self, array: Tensor, shape: tuple[int, ...], /) -> Tensor:
        return array.detach().expand(shape).clone(memory_format=torch.contiguous_format)

    def store(self, out: Tensor, value: Tensor, /) -> None:
        out.copy_(value)

    def to_numpy(self, array: Tensor, /) -> npt.NDArray[Any]:
        array = array.detach()
        if array.dtype == torch.bfloat16:  # NumPy has none
            array = array.to(torch.float32)
        return array.numpy()
