"""Kernels compiled once, each for a function, a dtype and a direction."""

# mypy: allow-untyped-calls

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from numba import types

from ._cache import compile_kept
from ._layout import SA_SOFTMAX, SOFTMAX, SSMAX, STORAGES
from ._walk import rows_of_kind

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compiled"]

_FUNCTIONS = {"softmax": SOFTMAX, "ssmax": SSMAX, "sa_softmax": SA_SOFTMAX}
_SIGNATURE = types.int64(
    types.int64,
    *(types.int64,) * 10,
    *(types.float64,) * 4,
    types.Array(types.int64, 1, "C"),
    *(types.int64,) * 3,
)


@cache
def compiled(function: str, dtype: str, *, gradients: bool) -> Callable[..., int]:
    """Return a compiled kernel; see ``_kernels.py``."""
    rows = rows_of_kind(STORAGES[dtype], _FUNCTIONS[function], gradients)
    # The files on disk are named after it.
    rows.__qualname__ = f"{function}_{dtype}_{'gradients' if gradients else 'weights'}"
    return compile_kept(rows, _SIGNATURE)
