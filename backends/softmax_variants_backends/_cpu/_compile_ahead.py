"""The kernels compiled, and kept on disk, before anyone calls them."""

from __future__ import annotations

from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from ._kernels import kernel, split_kernel
from ._sums import sum_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["compile_ahead"]


def compile_ahead(functions: Sequence[str], dtypes: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Compile the kernels of some functions and dtypes; yield each one's name, and its seconds."""
    for function, dtype, gradients in product(functions, dtypes, (False, True)):
        begin = perf_counter()
        kernel(function, dtype, gradients=gradients)
        split_kernel(function, dtype, gradients=gradients)
        if function == "ssmax" and gradients:
            sum_words(np.zeros((2, 1, 1)), np.empty((2, 1)))
        name = f"{function}_vjp" if gradients else function
        yield f"{name} {dtype}", perf_counter() - begin
