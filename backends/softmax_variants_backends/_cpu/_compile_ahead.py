"""The kernels compiled, and kept on disk, before anyone calls them."""

from __future__ import annotations

from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING

from ._kernels import kernel
from ._sums import summing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["compile_ahead"]


def compile_ahead(functions: Sequence[str], dtypes: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Compile the kernels of some functions and dtypes; yield each one's name, and its seconds."""
    for function, dtype, gradients in product(functions, dtypes, (False, True)):
        begin = perf_counter()
        kernel(function, dtype, gradients=gradients)
        if function == "ssmax" and gradients:
            summing()
        name = f"{function}_vjp" if gradients else function
        yield f"{name} {dtype}", perf_counter() - begin
