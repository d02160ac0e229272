"""Compiled functions, kept on disk for other processes.

numba keeps what it compiles beside the source, or in the user's cache folder where that is not
writable, or where NUMBA_CACHE_DIR says. Its own key for a function made by another one holds
identities that change from process to process, and none of the files that the function calls; ours
is a digest of the files that are compiled: the function's own, and what that imports from this
folder, and so on. Files that only call what is compiled are not among them.

What cannot be kept, or read again, is compiled in each process: nobody's call fails by that.
"""

# mypy: allow-untyped-calls, allow-subclassing-any

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llvmlite.binding import llvm_version_info
from numba import __version__, njit
from numba.core.caching import FunctionCache

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compile_kept", "digest", "sources"]

# Before 20, LLVM has no code for maxima that keep NaN on x86-64, and ends the process.
if llvm_version_info < (20,):
    msg = f"the kernels need Numba 0.62 or newer, for its LLVM, got {__version__}"
    raise ImportError(msg)

# numba's annotations leave out the last one: no entry is made for code in C.
_OPTIONS: Any = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_IMPORT = re.compile(r"^\s*from \.(\w+) import ", re.MULTILINE)


def sources(path: Path) -> list[Path]:
    """Return a file and the files beside it that it imports, and those that they import."""
    found, unread = {path}, [path]
    while unread:
        text = unread.pop().read_text(encoding="utf-8")
        new = {path.with_name(f"{name}.py") for name in _IMPORT.findall(text)} - found
        found |= new
        unread += new
    return sorted(found)


@cache
def digest(path: Path) -> str:
    """Return what identifies the sources of the functions in a file, and how they are compiled."""
    found = sha256()
    for own in (Path(__file__), *sources(path)):
        found.update(own.read_bytes())
    return found.hexdigest()


class _Cache(FunctionCache):
    """A function's cache on disk; the function's name says what it is for."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), digest(Path(self._py_func.__code__.co_filename))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            # Files that may not be read, that were cut off, that something else has written:
            # unpickling raises whatever it likes. They make room for what is compiled now.
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        # A full disk, a folder that may not be written any more, a file there that is not numba's.
        with suppress(Exception):
            super().save_overload(sig, data)


def compile_kept(function: Callable[..., Any], signature: Any) -> Callable[..., Any]:
    """Return a function compiled, or loaded, for arguments by position of just these types.

    It runs without the interpreter's lock. What is returned is the compiled function itself:
    numba's dispatcher, which first finds out what types there are, costs as much again as a call.
    """
    dispatcher: Any = njit(**_OPTIONS)(function)
    # numba says so if there is no folder to write to; nothing is kept then.
    with suppress(RuntimeError, OSError):
        dispatcher._cache = _Cache(function)
    compiled: Callable[..., Any] = dispatcher.compile(signature)
    return compiled
