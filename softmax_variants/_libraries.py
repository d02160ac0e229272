"""Array libraries: which one an array belongs to, and how its dtypes and devices are named.

Requirements, and why:

- Never import a library. The user has imported the one that made the array; any other may be
  missing, slow to load, or broken.
- Never look at an element. On a GPU it would wait for the device, under a tracer it would fail.
- PyTorch's tensors are recognised without array_api_compat, whose cached helpers make
  ``torch.compile`` warn when it traces them.
"""

from __future__ import annotations

import sys
from typing import Any

import array_api_compat
import numpy as np

__all__ = [
    "COMPAT_PREFIX",
    "NUMPY_DTYPE_NAMES",
    "an_array_of",
    "describe",
    "device_of",
    "dtype_name",
    "has_bfloat16",
    "is_usual_float",
    "library_of",
    "shape_of",
    "title",
]

COMPAT_PREFIX = "array_api_compat."
"""The wrapper of a library stands for the library."""

NUMPY_DTYPE_NAMES = {np.dtype(name): name for name in ("bool", "float16", "float32", "float64")}
"""The usual dtypes, by a lookup: ``numpy.dtype.name`` is computed anew, in microseconds."""

_USUAL_FLOATS_OF_NUMPY = {dtype for dtype, name in NUMPY_DTYPE_NAMES.items() if name != "bool"}

_TITLES = {
    "numpy": "NumPy",
    "torch": "PyTorch",
    "cupy": "CuPy",
    "jax.numpy": "JAX",
    "dask.array": "Dask",
}


def library_of(value: object) -> str | None:
    """Return the name of the library that a value is an array of, None if it is no array.

    ``"numpy"`` (its scalars included), ``"torch"``, ``"cupy"``, or the name of the array-API
    namespace of the value, such as ``"jax.numpy"``.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return "numpy"
    if _is_tensor(value):
        return "torch"
    if array_api_compat.is_cupy_array(value):
        return "cupy"
    # A class of arrays, passed by mistake, has the attributes that an array has.
    if isinstance(value, type) or not array_api_compat.is_array_api_obj(value):
        return None
    name: str = array_api_compat.array_namespace(value).__name__
    return name.removeprefix(COMPAT_PREFIX)


def _is_tensor(value: object) -> bool:
    """Return whether a value is a PyTorch tensor, without importing PyTorch."""
    # No class at all where PyTorch is absent, or where a stray folder has its name.
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))


def title(library: str) -> str:
    """Return a library's name as its users write it."""
    return _TITLES.get(library, library)


def an_array_of(library: str) -> str:
    """Return "a NumPy array", "an array_api_strict array" and the like, for messages."""
    article = "an" if title(library)[0] in "aeiou" else "a"
    return f"{article} {title(library)} array"


def dtype_name(dtype: Any) -> str:
    """Return a dtype's name, such as ``"float32"``, for a dtype of any library.

    NumPy's dtypes of foreign byte order hold the same numbers in bytes that no kernel can read;
    their name says so, and so matches none of the supported ones.
    """
    if not isinstance(dtype, np.dtype):
        return str(dtype).rpartition(".")[2]
    name = NUMPY_DTYPE_NAMES.get(dtype)
    if name is not None:
        return name
    return dtype.name if dtype.isnative else f"{dtype.name} of foreign byte order ({dtype.str})"


def is_usual_float(library: str, dtype: Any) -> bool:
    """Return whether a dtype is float16, float32, float64 or PyTorch's bfloat16.

    A False means nothing: it is for those whose names take time.
    """
    if library == "numpy":
        return dtype in _USUAL_FLOATS_OF_NUMPY
    if library != "torch":
        return False
    torch = sys.modules["torch"]
    return (
        dtype is torch.float32
        or dtype is torch.bfloat16
        or dtype is torch.float16
        or dtype is torch.float64
    )


def has_bfloat16(library: str, array: Any) -> bool:
    """Return whether bfloat16 is a dtype of the library itself.

    NumPy and CuPy only hold the one of ml_dtypes, which their functions do not know.
    """
    if library in ("numpy", "cupy"):
        return False
    return library == "torch" or hasattr(array_api_compat.array_namespace(array), "bfloat16")


def device_of(library: str, array: Any) -> object:
    """Return what arrays of one library must agree in to be used together; None: anything goes.

    JAX places arrays itself, over several devices too, and rejects what does not fit: its
    shardings may differ between arrays that belong together.
    """
    if library in ("numpy", "jax.numpy"):
        return None
    if library in ("torch", "cupy"):
        return array.device
    return array_api_compat.device(array)


def describe(value: object) -> str:
    """Return a value as the messages of errors show it: arrays by what they are, not hold."""
    library = library_of(value)
    if library is not None:
        array: Any = value
        dtype = dtype_name(array.dtype)
        return f"{an_array_of(library)} of shape {shape_of(array)} and dtype {dtype}"
    if value is None or isinstance(value, bool):
        return repr(value)
    kind = type(value).__name__
    if isinstance(value, int) and value.bit_length() > 64:
        return f"{kind} of {value.bit_length()} bits"
    if isinstance(value, int | float | complex | str):
        text = repr(value)
        return f"{kind} {text}" if len(text) <= 40 else f"{kind} {text[:37]}..."
    return kind


def shape_of(array: Any) -> tuple[Any, ...]:
    """Return an array's shape as a plain tuple (PyTorch's has its own type and repr)."""
    return tuple(array.shape)
