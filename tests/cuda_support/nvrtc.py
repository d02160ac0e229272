"""NVIDIA's runtime compiler without a GPU or driver: the C library from its wheel, by ctypes."""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Compiled", "compile_source"]


class Compiled(NamedTuple):
    """What came of a source."""

    ptx: str
    cubin: bytes
    log: str
    """What the compiler said, that of the assembler too."""


def compile_source(source: str, options: Sequence[str]) -> Compiled:
    """Compile CUDA C++ for the real architecture that ``options`` name.

    Raises
    ------
    RuntimeError
        If it does not compile, with the log.
    """
    library = _library()
    program, log_size = ctypes.c_void_p(), ctypes.c_size_t()
    text = source.encode()
    _checked(library.nvrtcCreateProgram(ctypes.byref(program), text, b"source.cu", 0, None, None))
    try:
        given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = library.nvrtcCompileProgram(program, len(options), given)
        _checked(library.nvrtcGetProgramLogSize(program, ctypes.byref(log_size)))
        log = ctypes.create_string_buffer(log_size.value)
        _checked(library.nvrtcGetProgramLog(program, log))
        if status != 0:
            raise RuntimeError(f"{_error(status)}\n{log.value.decode()[:8000]}")
        ptx, cubin = _result(library, program, "PTX"), _result(library, program, "CUBIN")
        return Compiled(ptx.rstrip(b"\0").decode(), cubin, log.value.decode())
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _result(library: Any, program: ctypes.c_void_p, kind: str) -> bytes:
    size = ctypes.c_size_t()
    _checked(library[f"nvrtcGet{kind}Size"](program, ctypes.byref(size)))
    held = ctypes.create_string_buffer(size.value)
    _checked(library[f"nvrtcGet{kind}"](program, held))
    return held.raw


@cache
def _library() -> Any:
    """Return the library of the wheel nvidia-cuda-nvrtc (or nvidia-cuda-nvrtc-cu12)."""
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or []:
        for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            # It opens this one by its bare name, which finds only what is open already.
            for builtins in sorted(path.parent.glob("libnvrtc-builtins.so.*")):
                ctypes.CDLL(str(builtins))
            return ctypes.CDLL(str(path))
    raise RuntimeError("these tests compile CUDA C++: pip install nvidia-cuda-nvrtc")


def _checked(status: int) -> None:
    if status != 0:
        raise RuntimeError(_error(status))


def _error(status: int) -> str:
    _library().nvrtcGetErrorString.restype = ctypes.c_char_p
    return str(_library().nvrtcGetErrorString(status).decode())
