"""Decorators of functions that are compiled into kernels.

Division by zero gives infinity or NaN, as in hardware; nothing raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["called", "inlined"]


def inlined(function: Callable[..., Any]) -> Any:
    """Let a function be compiled into each that calls it, where what is constant is seen."""
    return njit(forceinline=True, error_model="numpy")(function)


def called(function: Callable[..., Any]) -> Any:
    """Let a function be compiled by itself: rare, or long."""
    return njit(error_model="numpy")(function)
