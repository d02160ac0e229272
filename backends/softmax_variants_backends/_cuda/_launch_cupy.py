"""The launcher for CuPy's arrays, through CuPy's own NVRTC and driver.

``RawModule`` compiles with ``-ftz=true`` whatever its options say, so that subnormal numbers would
be flushed: the compiler is called without it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import cupy

from ._arguments import Arguments
from ._compile import CompileError, cubin_of, serves
from ._launch import Layout, Limits, Module

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = ["CupyLauncher", "launcher_on"]

_driver: Any = cupy.cuda.driver
_nvrtc: Any = cupy.cuda.nvrtc
_ndarray: Any = cupy.ndarray
_current_stream: Any = cupy.cuda.get_current_stream

# Values of CUfunction_attribute and CUresult, which CuPy does not name.
_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
_NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 14
_ERROR_INVALID_CONTEXT = 201


class _Nvrtc:
    """The compiler."""

    @property
    def version(self) -> tuple[int, int]:
        major, minor = _nvrtc.getVersion()
        return major, minor

    def compile(self, source: str, options: Sequence[str], /) -> bytes:
        program = _nvrtc.createProgram(source, "rows.cu", (), ())
        try:
            try:
                _nvrtc.compileProgram(program, options)
            except _nvrtc.NVRTCError as error:
                msg = f"{error}: {_nvrtc.getProgramLog(program)}"
                raise CompileError(msg) from error
            # CuPy leaves the last byte out, which is 0: text would end there.
            code: bytes = _nvrtc.getCUBIN(program) + b"\0"
        finally:
            _nvrtc.destroyProgram(program)
        return code


class CupyLauncher:
    """One device."""

    def __init__(self, index: int) -> None:
        self._device = cupy.cuda.Device(index)
        self._arguments = Arguments()
        self._modules: dict[Module, Any] = {}
        self.limits = Limits(
            capability=_capability(index),
            shared=self._device.attributes["MaxSharedMemoryPerBlockOptin"],
        )

    def locate(self, array: Any, /) -> tuple[int, Hashable]:
        return array.data.ptr, (array.shape, array.strides, array.dtype)

    def layout(self, array: Any, /) -> Layout:
        size, name = array.dtype.itemsize, array.dtype.name
        if any(stride % size for stride in array.strides):
            name = f"{name} between elements"  # no dtype that kernels read
        strides = tuple(stride // size for stride in array.strides)
        return Layout(array.shape, strides, name)

    def empty_like(self, array: Any, /) -> Any:
        # The constructor does less than the function.
        if array.flags.c_contiguous:
            return _ndarray(array.shape, array.dtype)
        return cupy.empty_like(array)

    def empty(self, shape: tuple[int, ...], dtype: str, /) -> Any:
        return _ndarray(shape, dtype)

    def kernel(self, module: Module, name: str, shared: int, /) -> Any:
        del shared  # kernels are allowed all that there is
        loaded = self._modules.get(module)
        if loaded is None:
            code = cubin_of(module, self.limits.capability, _Nvrtc())
            loaded = cupy.cuda.Module()
            loaded.load(code)
            self._modules[module] = loaded
        address = loaded.get_function(name).ptr
        _driver.funcSetAttribute(address, _MAX_DYNAMIC_SHARED_SIZE_BYTES, self.limits.shared)
        if name == "rows_16":
            _driver.funcSetAttribute(address, _NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
        return address

    def launch(self, kernel: Any, grid: int, block: int, shared: int, argument: bytes, /) -> None:
        pointers = self._arguments.place(argument)
        stream = _current_stream().ptr
        try:
            _driver.launchKernel(kernel, grid, 1, 1, block, 1, 1, shared, stream, pointers, 0)
        except _driver.CUDADriverError as error:
            if error.status != _ERROR_INVALID_CONTEXT:
                raise
            # A thread that has not used the device yet: CuPy's calls of the runtime make its
            # context current where they need it only.
            cupy.cuda.runtime.memGetInfo()
            _driver.launchKernel(kernel, grid, 1, 1, block, 1, 1, shared, stream, pointers, 0)


@cache
def launcher_on(index: int) -> CupyLauncher | None:
    """Return the launcher of a device, None if kernels cannot be compiled for it."""
    if cupy.cuda.runtime.is_hip:
        return None
    try:
        architectures = _nvrtc.getSupportedArchs()
    except RuntimeError:  # NVRTC's library is not found
        return None
    served = serves(
        _capability(index),
        compiler=_Nvrtc().version,
        architectures=architectures,
        driver=cupy.cuda.runtime.driverGetVersion(),
    )
    return CupyLauncher(index) if served else None


def _capability(index: int) -> tuple[int, int]:
    text = cupy.cuda.Device(index).compute_capability
    return int(text[:-1]), int(text[-1])
