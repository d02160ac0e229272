"""The row kernels for NumPy's arrays, loaded at the first call."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from softmax_variants_backends._cpu._load import load

if TYPE_CHECKING:
    from softmax_variants_backends._cpu._rows import RowKernels

__all__ = ["kernels"]


@cache
def kernels() -> RowKernels | None:
    """Return the kernels, None if they cannot be had."""
    from softmax_variants_backends._cpu._numpy_arrays import NumpyArrays

    return load(NumpyArrays())
