"""PyTorch's tensors on the CPU, as the row kernels take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import array_api_compat.torch as xp
import torch

from softmax_variants_backends._axes import Layout

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt
    from torch import Tensor

__all__ = ["TorchArrays"]


class TorchArrays:
    """The library."""

    xp = xp

    def threads(self) -> int:
        return torch.get_num_threads()

    def locate(self, array: Tensor, /) -> tuple[int, Hashable]:
        return array.data_ptr(), (array.shape, array.stride(), array.dtype)

    def layout(self, array: Tensor, /) -> Layout | None:
        return Layout(tuple(array.shape), array.stride(), str(array.dtype).removeprefix("torch."))

    def empty_like(self, array: Tensor, /) -> Tensor:
        return torch.empty_like(array)

    def packed(self, array: Tensor, shape: tuple[int, ...], /) -> Tensor:
        return array.detach().expand(shape).clone(memory_format=torch.contiguous_format)

    def store(self, out: Tensor, value: Tensor, /) -> None:
        out.copy_(value)

    def to_numpy(self, array: Tensor, /) -> npt.NDArray[Any]:
        array = array.detach()
        if array.dtype == torch.bfloat16:  # NumPy has none
            array = array.to(torch.float32)
        return array.numpy()

    def from_numpy(self, array: npt.NDArray[Any], /) -> Tensor:
        return torch.from_numpy(array)
