"""Kernels compiled once, and kept on disk for other processes.

numba keeps what it compiles beside the source, or in the user's cache folder where that is not
writable, or where NUMBA_CACHE_DIR says. Its own key for a function made by another one holds
identities that change from process to process, and none of the files that the function calls; ours
is what the kernel is for, and a digest of all sources here.
"""

# mypy: allow-untyped-calls, allow-subclassing-any

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numba import njit, types
from numba.core.caching import FunctionCache

from ._layout import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, SA_SOFTMAX, SOFTMAX, SSMAX
from ._walk import rows_of_kind

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compiled"]

_STORAGES = {"float16": FLOAT16, "bfloat16": BFLOAT16, "float32": FLOAT32, "float64": FLOAT64}
_FUNCTIONS = {"softmax": SOFTMAX, "ssmax": SSMAX, "sa_softmax": SA_SOFTMAX}
_SIGNATURE = types.int64(
    types.int64,
    *(types.int64,) * 10,
    *(types.float64,) * 4,
    types.Array(types.int64, 1, "C"),
    *(types.int64,) * 3,
)


@cache
def _digest() -> str:
    """Return what identifies the sources."""
    found = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


class _Cache(FunctionCache):
    """A function's cache on disk; the function's name says what it is for."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), _digest()


@cache
def compiled(function: str, dtype: str, *, gradients: bool) -> Callable[..., int]:
    """Return a compiled kernel; see ``_kernels.py``."""
    rows = rows_of_kind(_STORAGES[dtype], _FUNCTIONS[function], gradients)
    rows.__qualname__ = f"{function}_{dtype}_{'gradients' if gradients else 'weights'}"
    dispatcher: Any = njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(rows)
    dispatcher._cache = _Cache(rows)
    dispatcher.compile(_SIGNATURE)
    dispatcher.disable_compile()
    found: Callable[..., int] = dispatcher
    return found
