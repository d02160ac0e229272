"""Kernels compiled by NVRTC for one architecture, and kept on disk.

Whoever loads them compiles the same source with the same options, so that all libraries get the
same bits.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ._source import macros_of, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._launch import Module

__all__ = ["CompileError", "Compiler", "cubin_of", "options_of", "serves"]

# Nothing is contracted: a fused multiply-add is written where one is meant. Nothing is flushed.
_ARITHMETIC = ("-fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true")

_lock = threading.Lock()


class CompileError(RuntimeError):
    """The kernels do not compile; the message is the compiler's."""


class Compiler(Protocol):
    """NVRTC, as some library reaches it."""

    @property
    def version(self) -> tuple[int, int]:
        """Its version: another one may compile to other code."""

    def compile(self, source: str, options: Sequence[str], /) -> bytes:
        """Return a cubin.

        Raises
        ------
        CompileError
            If the source does not compile.
        """


def serves(
    capability: tuple[int, int],
    *,
    compiler: tuple[int, int],
    architectures: Sequence[int],
    driver: int,
) -> bool:
    """Return whether kernels can be compiled and run on devices of a compute capability.

    ``compiler`` is the version of NVRTC, ``architectures`` are those that it knows, such as 90;
    ``driver`` is the CUDA version of the driver, such as 13000. The driver runs what is compiled
    for a CUDA of its own major version or an older one.
    """
    major, minor = capability
    return (
        capability >= (8, 0)
        and 10 * major + minor in architectures
        and compiler[0] <= driver // 1000
    )


def options_of(module: Module, capability: tuple[int, int]) -> tuple[str, ...]:
    """Return the compiler's options for a module on devices of a compute capability."""
    major, minor = capability
    macros = (f"-D{name}={value}" for name, value in macros_of(module).items())
    return ("-std=c++17", f"-arch=sm_{major}{minor}", *_ARITHMETIC, *macros)


def cubin_of(module: Module, capability: tuple[int, int], compiler: Compiler) -> bytes:
    """Return a compiled module, from the cache on disk if it is there."""
    source, options = source_of(module), options_of(module, capability)
    identity = "\0".join(["NVRTC", *map(str, compiler.version), *options, source])
    name = f"{hashlib.sha256(identity.encode()).hexdigest()}.cubin"
    # One thread compiles, and the others find what it made.
    with _lock:
        folder = _cache_folder()
        code = None if folder is None else _load(folder / name)
        if code is None:
            code = compiler.compile(source, options)
            if folder is not None:
                _store(folder, name, code)
    return code


def _cache_folder() -> Path | None:
    """Return where compiled kernels are kept; None if there is no such place."""
    chosen = os.environ.get("SOFTMAX_VARIANTS_CACHE")
    if chosen:
        return Path(chosen) / "cuda"
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    base = os.environ.get(variable)
    try:
        root = Path(base) if base else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return root / "softmax_variants" / "cuda"


def _load(path: Path) -> bytes | None:
    """Return what is stored, or None where nothing whole is: it is then compiled again."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    digest, code = stored[:size], stored[size:]
    return code if hashlib.sha256(code).digest() == digest else None


def _store(folder: Path, name: str, code: bytes) -> None:
    """Write the code whole or not at all; a cache that cannot be written is done without."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".")
    except OSError:
        return
    path = Path(temporary)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        path.replace(folder / name)
    except OSError:
        with suppress(OSError):
            path.unlink()
