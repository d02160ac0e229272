"""Decorators of functions that are compiled into kernels.

Division by zero gives infinity or NaN, as in hardware; nothing raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["INLINED", "called", "called_of_kind", "inlined"]

# numba's annotations leave out the options about its entries.
INLINED: Any = {
    "forceinline": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_CALLED: Any = {"error_model": "numpy", "no_cfunc_wrapper": True}


def inlined(function: Callable[..., Any]) -> Any:
    """Let a function be compiled into each that calls it, where what is constant is seen.

    It cannot be called by the interpreter: each of the entries for that would hold a copy of it.
    """
    return njit(**INLINED)(function)


def called(function: Callable[..., Any]) -> Any:
    """Let a function be compiled by itself: rare, or long; once for all kernels, if it can be."""
    return njit(**_CALLED)(function)


def called_of_kind(
    function: Callable[..., Any],
    storage: int,
    variant: int,
    *,
    gradients: bool,
) -> Any:
    """Let a function that is made for each kind of kernel be compiled by itself.

    Its name, which is that of its code, says what it is for. Kernels are compiled by different
    processes and loaded from the disk by one: of code with the same name the first one would serve
    them all.
    """
    kind = "gradients" if gradients else "weights"
    function.__qualname__ = f"{function.__name__}_{variant}_{storage}_{kind}"
    return called(function)
