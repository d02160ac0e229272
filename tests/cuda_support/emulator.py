"""CUDA C++ on the CPU: compiles kernels with the system's C++ compiler and launches them.

``emulated_device.hpp`` stands for the source's ``device.cuh``, ``emulated_threads.cpp`` for the
threads. Arithmetic is exact to the bit (IEEE 754, fused only where the source says so), so what the
kernels return here is what they return on a GPU, for the same plan.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DEVICE_SOURCE", "EmulatorError", "Kernels", "compile_kernels", "compiler"]

_HERE = Path(__file__).parent
_THREADS = (_HERE / "emulated_threads.cpp").read_text()

DEVICE_SOURCE = (_HERE / "emulated_device.hpp").read_text()
"""What takes the place of ``device.cuh``."""

# -march=native: fma is an instruction then, not a call. Nothing is fused that the source does not
# fuse, and char has a sign, as on the GPU.
_OPTIONS = ("-std=c++17", "-Og", "-march=native", "-ffp-contract=off", "-fno-fast-math")
_OPTIONS += (
    "-fsigned-char",
    "-fno-strict-aliasing",
    "-fno-exceptions",
    "-fPIC",
    "-fvisibility=hidden",
)
_OPTIONS += ("-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-function")

# A Hopper's limits.
_MOST_THREADS = 1024
_MOST_SHARED = 227 << 10
_MOST_BLOCKS = (1 << 31) - 1


class EmulatorError(RuntimeError):
    """What a kernel did that a GPU does not forgive, or forgives by chance."""


class Kernels:
    """The kernels of one compiled source."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.PyDLL(str(library))
        self._launch = self._library.emulated_launch
        self._launch.restype = ctypes.c_char_p
        integer, pointer = ctypes.c_longlong, ctypes.c_void_p
        self._launch.argtypes = [pointer, ctypes.c_char_p, integer, ctypes.c_int, integer]
        self._launch.argtypes += [ctypes.c_int, ctypes.c_int]

    def integer(self, name: str) -> int:
        """Return an int that the source defines, with C linkage and visible."""
        return ctypes.c_int.in_dll(self._library, name).value

    def launch(
        self,
        kernel: str,
        argument: bytes,
        *,
        grid: int,
        block: int,
        shared: int = 0,
        cluster: int = 1,
        backwards: bool = False,
    ) -> None:
        """Run ``kernel`` to its end in ``grid`` blocks of ``block`` threads.

        Parameters
        ----------
        kernel : str
            Its name in the source.
        argument : bytes
            The struct that it takes.
        grid, block : int
            Blocks, and threads of each.
        shared : int
            Bytes of dynamic shared memory of each block.
        cluster : int
            Neighbouring blocks that share a cluster.
        backwards : bool
            Whether the last thread runs first. The result must be the same: a read that lacks its
            barrier finds NaN in one of the two directions.

        Raises
        ------
        EmulatorError
            If the launch is not one that a GPU takes, or a thread did what it must not.
        """
        allowed = {
            "grid": 1 <= grid <= _MOST_BLOCKS and grid % cluster == 0,
            "block": 1 <= block <= _MOST_THREADS and block % 32 == 0,
            "shared": 0 <= shared <= _MOST_SHARED and shared % 16 == 0,
            "cluster": cluster in (1, 2, 4, 8, 16),
        }
        for name, holds in allowed.items():
            if not holds:
                msg = (
                    f"{kernel} cannot be launched for its {name}: grid={grid}, block={block}, "
                    f"shared={shared}, cluster={cluster} (whole clusters, whole warps, up to "
                    f"{_MOST_THREADS} threads, up to {_MOST_SHARED} bytes in steps of 16)"
                )
                raise EmulatorError(msg)
        address = ctypes.cast(getattr(self._library, kernel), ctypes.c_void_p)
        # The struct holds pointers and doubles, and bytes objects are aligned for them.
        message = self._launch(address, argument, grid, block, shared, cluster, int(backwards))
        if message is not None:
            raise EmulatorError(f"{kernel}: {message.decode()}")


def compile_kernels(
    parts: Sequence[tuple[str, str]],
    macros: Mapping[str, str] | None = None,
    *,
    options: Sequence[str] = (),
) -> Kernels:
    """Compile a source for the CPU, or take what was compiled of it before.

    Parameters
    ----------
    parts : sequence of (name, text)
        What is concatenated, ``DEVICE_SOURCE`` among it; the names are for messages.
    macros : mapping of str to str, optional
        Names that are defined.
    options : sequence of str
        More options of the compiler.
    """
    text = "".join(f'#line 1 "{name}"\n{part}\n' for name, part in parts)
    defined = [f"-D{name}={value}" for name, value in (macros or {}).items()]
    # A library of its own, found by its path: all kernels of a process share the threads' stacks.
    threads = _built(_THREADS, ["-shared", *options], [])
    return Kernels(_built(text, ["-shared", *options, *defined], [str(threads)]))


def _built(text: str, options: Sequence[str], beside: Sequence[str]) -> Path:
    """Return the library that the compiler made, now or earlier, of a source."""
    command = [compiler(), *_OPTIONS, *options]
    told = "\0".join([*command, *beside, _version(), _processor(), text])
    folder = Path(tempfile.gettempdir()) / f"softmax-variants-emulated-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    built = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.so"
    # Two processes of a test run often want the same: the second waits for the first.
    with built.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            source = built.with_suffix(".cpp")
            source.write_text(text)
            fresh = built.with_suffix(".new")
            full = [*command, str(source), *beside, "-o", str(fresh)]
            done = subprocess.run(full, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(full)} failed:\n{done.stderr[:8000]}")
            fresh.replace(built)
    return built


@cache
def compiler() -> str:
    """Return the path of the system's C++ compiler."""
    found = shutil.which("c++")
    if found is None:
        raise RuntimeError("the kernels run on a CPU here: install a C++ compiler named c++")
    return found


@cache
def _version() -> str:
    return subprocess.run([compiler(), "--version"], capture_output=True, text=True).stdout


@cache
def _processor() -> str:
    """Return what -march=native depends on, for temporary folders that machines share."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
