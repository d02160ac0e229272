"""The launcher that runs the kernels of the CUDA backends on CPU tensors."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cuda_support.emulator import DEVICE_SOURCE, Kernels, compile_kernels
from softmax_variants_backends._cuda._launch import Layout, Limits, Module
from softmax_variants_backends._cuda._source import files_of, macros_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from torch import Tensor

__all__ = [
    "AMPERE",
    "EAGER",
    "HOPPER",
    "EmulatedLauncher",
    "NumpyLauncher",
    "holding",
    "kernels_of",
]

HOPPER = Limits(capability=(9, 0), shared=227 << 10)
AMPERE = Limits(capability=(8, 0), shared=163 << 10)
EAGER = replace(HOPPER, worthwhile=0)
"""A device on which the fewest rows get kernels compiled for their length."""


def holding(limits: Limits, entries: int) -> Limits:
    """Return a device whose blocks hold so few entries that short rows need several."""
    return replace(limits, capacity=(entries, entries))


@cache
def kernels_of(module: Module) -> Kernels:
    """Return the kernels of a module, compiled for the CPU."""
    parts = [
        (name, DEVICE_SOURCE if name == "device.cuh" else text) for name, text in files_of(module)
    ]
    argument = "Call" if module.storage else "SumCalls"
    visible = '__attribute__((visibility("default")))'
    parts.append(
        ("argument", f'extern "C" {{ {visible} int argument_bytes = sizeof({argument}); }}')
    )
    return compile_kernels(parts, macros_of(module))


class EmulatedLauncher:
    """A CPU as the device of the kernels; see ``Launcher``."""

    def __init__(self, limits: Limits = HOPPER, *, backwards: bool = False) -> None:
        self.limits = limits
        self.backwards = backwards
        self.launched: list[str] = []
        """The kernels launched so far, by name."""

    def locate(self, array: Tensor, /) -> tuple[int, Hashable]:
        return array.data_ptr(), (array.shape, array.stride(), array.dtype)

    def layout(self, array: Tensor, /) -> Layout:
        name = str(array.dtype).removeprefix("torch.")
        return Layout(tuple(array.shape), tuple(array.stride()), name)

    def empty_like(self, array: Tensor, /) -> Tensor:
        # NaN: what a kernel forgets to write is seen.
        return torch.full_like(array, torch.nan)

    def empty(self, shape: tuple[int, ...], dtype: str, /) -> Tensor:
        return torch.full(shape, torch.nan, dtype=getattr(torch, dtype))

    def kernel(self, module: Module, name: str, shared: int, /) -> tuple[Kernels, str]:
        if shared > self.limits.shared:
            raise ValueError(f"{name} asks for {shared} bytes of shared memory")
        return kernels_of(module), name

    def launch(self, kernel: Any, grid: int, block: int, shared: int, argument: bytes, /) -> None:
        kernels, name = kernel
        self.launched.append(name)
        if len(argument) != (size := kernels.integer("argument_bytes")):
            raise ValueError(f"{name} takes {size} bytes, got {len(argument)}")
        # rows_N: N blocks a cluster.
        _, _, size = name.rpartition("_")
        kernels.launch(
            name,
            argument,
            grid=grid,
            block=block,
            shared=shared,
            cluster=int(size) if size.isdecimal() else 1,
            backwards=self.backwards,
        )


class NumpyLauncher(EmulatedLauncher):
    """The same for arrays of NumPy, which have negative strides, too."""

    def locate(self, array: Any, /) -> tuple[int, Hashable]:
        return array.ctypes.data, (array.shape, array.strides, array.dtype.name)

    def layout(self, array: Any, /) -> Layout:
        strides = tuple(stride // array.itemsize for stride in array.strides)
        return Layout(array.shape, strides, array.dtype.name)

    def empty_like(self, array: Any, /) -> Any:
        return _aligned(array.shape, array.dtype)

    def empty(self, shape: tuple[int, ...], dtype: str, /) -> Any:
        return _aligned(shape, np.dtype(dtype))


def _aligned(shape: tuple[int, ...], dtype: Any) -> Any:
    """Return NaNs at an address that 16 divides."""
    size = prod(shape)
    room = np.full(size + 16 // dtype.itemsize, np.nan, dtype)
    start = -room.ctypes.data % 16 // dtype.itemsize
    return room[start : start + size].reshape(shape)
