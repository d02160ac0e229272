"""The launcher for PyTorch's tensors, through NVIDIA's ``cuda.bindings``.

PyTorch's CUDA wheels bring the bindings and NVRTC (those of 2.11 do). Against ``cuda.core`` they
take the compiler's options as CuPy's NVRTC does, so that both libraries compile to the same code,
and launch without an object a call.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from cuda.bindings import driver, nvrtc

from ._arguments import Arguments
from ._compile import CompileError, cubin_of, serves
from ._launch import Layout, Limits, Module
from ._plan import ITEM_SIZES

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from torch import Tensor

__all__ = ["TorchLauncher", "launcher_on"]

# PyTorch's own annotations leave it out; builds without CUDA do, too.
_current_stream: Any = getattr(torch._C, "_cuda_getCurrentRawStream", None)


_DTYPES = {name: getattr(torch, name) for name in ITEM_SIZES}


class CudaError(RuntimeError):
    """An error of the driver or of the compiler, as they name it."""


class _Nvrtc:
    """The compiler."""

    @property
    def version(self) -> tuple[int, int]:
        major, minor = _checked(nvrtc.nvrtcVersion())
        return major, minor

    def compile(self, source: str, options: Sequence[str], /) -> bytes:
        program = _checked(nvrtc.nvrtcCreateProgram(source.encode(), b"rows.cu", 0, [], []))
        try:
            (status,) = nvrtc.nvrtcCompileProgram(
                program, len(options), [option.encode() for option in options]
            )
            if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
                log = bytearray(_checked(nvrtc.nvrtcGetProgramLogSize(program)))
                _checked(nvrtc.nvrtcGetProgramLog(program, log))
                msg = f"{status.name}: {log.decode(errors='replace').rstrip(chr(0))}"
                raise CompileError(msg)
            code = bytes(_checked(nvrtc.nvrtcGetCUBINSize(program)))
            _checked(nvrtc.nvrtcGetCUBIN(program, code))
        finally:
            nvrtc.nvrtcDestroyProgram(program)
        return code


class TorchLauncher:
    """One device."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._place = torch.device("cuda", index)
        self._arguments = Arguments()
        self._libraries: dict[Module, Any] = {}
        self._device = _checked(driver.cuDeviceGet(index))
        # Kept for the life of the process, like PyTorch's own.
        self._context = _checked(driver.cuDevicePrimaryCtxRetain(self._device))
        shared = driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        self.limits = Limits(
            capability=torch.cuda.get_device_capability(index),
            shared=_checked(driver.cuDeviceGetAttribute(shared, self._device)),
        )

    def locate(self, array: Tensor, /) -> tuple[int, Hashable]:
        return array.data_ptr(), (array.shape, array.stride(), array.dtype)

    def layout(self, array: Tensor, /) -> Layout:
        return Layout(tuple(array.shape), array.stride(), str(array.dtype).removeprefix("torch."))

    def empty_like(self, array: Tensor, /) -> Tensor:
        return torch.empty_like(array)

    def empty(self, shape: tuple[int, ...], dtype: str, /) -> Tensor:
        return torch.empty(shape, dtype=_DTYPES[dtype], device=self._place)

    def kernel(self, module: Module, name: str, shared: int, /) -> Any:
        del shared  # kernels are allowed all that there is
        library = self._libraries.get(module)
        if library is None:
            code = cubin_of(module, self.limits.capability, _Nvrtc())
            library = _checked(driver.cuLibraryLoadData(code, [], [], 0, [], [], 0))
            self._libraries[module] = library
        kernel = _checked(driver.cuLibraryGetKernel(library, name.encode()))
        attribute = driver.CUfunction_attribute
        settings = {attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: self.limits.shared}
        if name == "rows_16":
            settings[attribute.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED] = 1
        for key, value in settings.items():
            _checked(driver.cuKernelSetAttribute(key, value, kernel, self._device))
        # A launch takes either, the conversion is this one.
        return driver.CUfunction(int(kernel))

    def launch(self, kernel: Any, grid: int, block: int, shared: int, argument: bytes, /) -> None:
        pointers = self._arguments.place(argument)
        stream = _current_stream(self._index)
        (status,) = driver.cuLaunchKernel(
            kernel, grid, 1, 1, block, 1, 1, shared, stream, pointers, 0
        )
        if status == driver.CUresult.CUDA_ERROR_INVALID_CONTEXT:
            # A thread that has not used the device yet: PyTorch makes its context current where
            # it needs it only.
            _checked(driver.cuCtxSetCurrent(self._context))
            (status,) = driver.cuLaunchKernel(
                kernel, grid, 1, 1, block, 1, 1, shared, stream, pointers, 0
            )
        if status != driver.CUresult.CUDA_SUCCESS:
            _raise(status)


@cache
def launcher_on(index: int) -> TorchLauncher | None:
    """Return the launcher of a device, None if kernels cannot be compiled for it."""
    try:
        architectures = _checked(nvrtc.nvrtcGetSupportedArchs())
    except RuntimeError:  # NVRTC's library is not found
        return None
    served = serves(
        torch.cuda.get_device_capability(index),
        compiler=_Nvrtc().version,
        architectures=architectures,
        driver=_checked(driver.cuDriverGetVersion()),
    )
    return TorchLauncher(index) if served else None


def _checked(result: tuple[Any, ...]) -> Any:
    """Return what a function of the bindings found: a value, several, or nothing."""
    status, *found = result
    if status.value != 0:
        _raise(status)
    return found[0] if len(found) == 1 else tuple(found)


def _raise(status: Any) -> None:
    msg = f"{status.name}"
    if isinstance(status, driver.CUresult):
        _, text = driver.cuGetErrorString(status)
        if text:
            msg = f"{msg}: {text.decode()}"
    raise CudaError(msg)
