"""The row kernels, if there is what compiles them."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._arrays import Arrays
    from ._rows import RowKernels

__all__ = ["load"]


def load(arrays: Arrays) -> RowKernels | None:
    """Return the kernels for the arrays of a library, None without Numba.

    Warns
    -----
    RuntimeWarning
        If there is a Numba that cannot be imported, such as one that is older than NumPy.
    """
    try:
        from ._rows import RowKernels
    except ImportError as error:
        if find_spec("numba") is not None:
            msg = f"Numba cannot be used, and slower operations compute softmax variants: {error}"
            warnings.warn(msg, RuntimeWarning, stacklevel=2)
        return None
    return RowKernels(arrays)
