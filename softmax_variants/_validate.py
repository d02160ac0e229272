"""Checks of arguments: each failure names the argument, what it must be, and what came.

Backends take what passes here as it is. Nothing here looks at an element of an array (a GPU
would have to be waited for), so non-finite elements are the backends' matter; Python numbers are
looked at.
"""

from __future__ import annotations

import math
import sys
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from ._catalogue import FORMS
from ._libraries import (
    an_array_of,
    describe,
    device_of,
    dtype_name,
    has_bfloat16,
    is_usual_float,
    library_of,
    shape_of,
)

if TYPE_CHECKING:
    from ._typing import Array, ArrayT

__all__ = [
    "check_cotangent",
    "check_gate",
    "check_logits",
    "check_parameters",
    "same_library_and_device",
]

_FLOATS = ("float16", "float32", "float64")


def check_logits(x: ArrayT, axis: object, where: object) -> tuple[str, ArrayT, int, Array | None]:
    """Return the library of x, x, the axis counted from the first, and where."""
    library, logits = _array("x", x, "an array of logits")
    # What small arrays on the CPU are asked first: names of dtypes take longer.
    if not is_usual_float(library, logits.dtype):
        _check_floating("x", logits, library)
    ndim = len(logits.shape)
    if ndim == 0:
        msg = "x must have at least one dimension, got a 0-d array"
        raise ValueError(msg)
    position = _axis(axis, logits, ndim)
    return library, logits, position, None if where is None else _where(where, logits, library)


def check_cotangent(dy: ArrayT, x: ArrayT, library: str) -> ArrayT:
    """Return dy, an array like x in all but its elements."""
    if _is_alike(dy, x, library):
        return dy
    array: ArrayT = same_library_and_device("dy", dy, x, library, "an array like x")
    if array.dtype != x.dtype:
        msg = f"dy must have x's dtype {dtype_name(x.dtype)}, got {dtype_name(array.dtype)}"
        raise TypeError(msg)
    if array.shape != x.shape:
        msg = f"dy must have x's shape {shape_of(x)}, got {shape_of(array)}"
        raise ValueError(msg)
    return array


def _is_alike(dy: Any, x: Any, library: str) -> bool:
    """Return whether what has been found out of x holds for dy as well, and their shapes agree.

    A False means nothing: it is for those who say what is wrong.
    """
    if library == "torch":
        alike = type(dy) is type(x) and dy.layout is x.layout and not dy.is_nested
        alike = alike and dy.device == x.device
    else:
        alike = type(dy) is type(x) is np.ndarray
    return alike and dy.dtype == x.dtype and dy.shape == x.shape


def check_gate(form: object, *, detach_extrema: object) -> None:
    """Check the arguments that choose the gate of SA-Softmax."""
    if not isinstance(form, str):
        msg = f"form must be a str, one of {_listed(FORMS)}, got {describe(form)}"
        raise TypeError(msg)
    if form not in FORMS:
        msg = f"form must be one of {_listed(FORMS)}, got {form!r}"
        raise ValueError(msg)
    if not isinstance(detach_extrema, bool):
        msg = f"detach_extrema must be a bool, got {describe(detach_extrema)}"
        raise TypeError(msg)


def check_parameters(
    x: Array, axis: int, library: str, *, s: object, b: object, n: object
) -> tuple[Any, Any, Any]:
    """Return s, b and n, each a Python float or an array that broadcasts along the rows of x."""
    if n is None and type(s) is type(b) is float and -inf < s < inf and -inf < b < inf:
        return s, b, None
    return (
        _parameter("s", s, x, axis, library),
        _parameter("b", b, x, axis, library),
        None if n is None else _parameter("n", n, x, axis, library),
    )


def same_library_and_device(
    argument: str, value: object, x: Array, library: str, wanted: str
) -> Any:
    """Return an argument that is an array of x's library, on x's device."""
    own_library, array = _array(argument, value, wanted)
    if own_library != library:
        msg = f"{argument} must be {an_array_of(library)} like x, got {describe(value)}"
        raise TypeError(msg)
    device, own_device = device_of(library, x), device_of(library, array)
    if own_device != device:
        msg = f"{argument} must be on x's device {device}, got an array on {own_device}"
        raise ValueError(msg)
    return array


def _array(argument: str, value: object, wanted: str) -> tuple[str, Any]:
    """Return the library of an argument, and it as a plain, dense array."""
    if type(value) is np.ndarray:
        return "numpy", value
    library = library_of(value)
    if library is None:
        msg = f"{argument} must be {wanted}, got {describe(value)}"
        raise TypeError(msg)
    array: Any = value
    if library == "torch":
        _check_dense(argument, array)
    elif library == "numpy":
        if isinstance(value, np.ma.MaskedArray):
            msg = (
                f"{argument} must be a plain array, got a masked array, whose mask would be "
                f"ignored: pass its data, and as where= what it does not mask"
            )
            raise TypeError(msg)
        # A scalar is a 0-d array; of a subclass, only the elements matter.
        array = np.asarray(value)
    return library, array


def _check_dense(argument: str, tensor: Any) -> None:
    """Check that a tensor's elements are what it shows, one by one."""
    if tensor.is_nested:
        got, remedy = "a nested one", "pad it with -inf: its to_padded_tensor(-torch.inf)"
    elif tensor.layout is not sys.modules["torch"].strided:
        got, remedy = f"one of layout {tensor.layout}", "call its to_dense() first"
    elif tensor.is_quantized:
        got, remedy = "a quantized one", "call its dequantize() first"
    elif type(tensor).__name__ == "MaskedTensor":
        got = "a MaskedTensor, whose mask would be ignored"
        remedy = "pass its get_data(), and as where= its get_mask()"
    else:
        return
    msg = f"{argument} must be a dense tensor, got {got}: {remedy}"
    raise TypeError(msg)


def _check_floating(argument: str, array: Array, library: str, *, or_integer: bool = False) -> None:
    name = dtype_name(array.dtype)
    if name in _FLOATS or (name == "bfloat16" and has_bfloat16(library, array)):
        return
    if or_integer and name.startswith(("int", "uint")):
        return
    *wanted, last = (*_FLOATS, "bfloat16") if has_bfloat16(library, array) else _FLOATS
    if or_integer:
        wanted, last = [*wanted, last], "an integer one"
    msg = f"{argument} must have dtype {', '.join(wanted)} or {last}, got {name}"
    raise TypeError(msg)


def _axis(axis: object, x: Array, ndim: int) -> int:
    if type(axis) is int and -ndim <= axis < ndim:
        return axis % ndim
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        msg = f"axis must be an int, got {describe(axis)}"
        raise TypeError(msg)
    position = int(axis)
    if not -ndim <= position < ndim:
        msg = f"axis must be in [{-ndim}, {ndim - 1}] for x of shape {shape_of(x)}, got {axis}"
        raise ValueError(msg)
    return position % ndim


def _where(where: object, x: Array, library: str) -> Array:
    array: Array = same_library_and_device("where", where, x, library, "a boolean array or None")
    name = dtype_name(array.dtype)
    if name != "bool":
        msg = f"where must have dtype bool, got {name}"
        raise TypeError(msg)
    if not _broadcasts(array.shape, x.shape):
        msg = (
            f"where must broadcast to x's shape {shape_of(x)} without enlarging it, "
            f"got shape {shape_of(array)}"
        )
        raise ValueError(msg)
    return array


def _parameter(argument: str, value: Any, x: Array, axis: int, library: str) -> Any:
    # NumPy's functions return scalars where an array has no dimension left. So they are arrays
    # beside a NumPy x (s - rate * ds stays the parameter it was, of its dtype), and elsewhere
    # numbers.
    if isinstance(value, np.generic) and library != "numpy":
        value = value.item()
    if isinstance(value, (int, float)) and not isinstance(value, (bool, np.generic)):
        return _number(argument, value)
    array: Array = same_library_and_device(argument, value, x, library, "a number or an array")
    _check_floating(argument, array, library, or_integer=argument == "n")
    rows = list(x.shape)
    rows[axis] = 1
    if not _broadcasts(array.shape, rows):
        msg = (
            f"{argument} must broadcast to {tuple(rows)}, x's shape with axis {axis} of length 1, "
            f"without enlarging it, got shape {shape_of(array)}"
        )
        raise ValueError(msg)
    return array


def _number(argument: str, value: float) -> float:
    """Return a Python number exactly: as a float, or an integer that no float equals as it is."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    # Comparisons, false for NaN: torch.compile traces them where a float varies between calls.
    smallest = 0.0 if argument == "n" else -math.inf
    if not smallest < number < math.inf:
        wanted = "positive and finite" if argument == "n" else "finite"
        msg = f"{argument} must be {wanted}, got {describe(value)}"
        raise ValueError(msg)
    return number if number == value else value


def _broadcasts(shape: Any, target: Any) -> bool:
    """Return whether a shape broadcasts to the target without enlarging it."""
    # Comparisons: torch.compile takes "own in (1, full)" for False where a length varies.
    return len(shape) <= len(target) and all(
        own == 1 or own == full
        for own, full in zip(reversed(shape), reversed(target), strict=False)
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names)
