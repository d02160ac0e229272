"""Checks of ``out=``: who may be written into, and what it may share memory with.

Memory is compared by address, exactly, and never read, so the check is the same for arrays on a
CPU and on a GPU.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ._libraries import an_array_of, describe, dtype_name, shape_of, title
from ._validate import same_library_and_device

if TYPE_CHECKING:
    from ._typing import Array

__all__ = ["check_out"]

_WRITABLE_LIBRARIES = ("numpy", "cupy", "torch")


def check_out(out: Array, x: Array, library: str, **others: object) -> None:
    """Check ``out`` against x and the other arguments (by name; those without memory too)."""
    if library not in _WRITABLE_LIBRARIES:
        msg = (
            f"out must be None where x is of {title(library)} (only NumPy, CuPy and PyTorch "
            f"arrays are written into), got {describe(out)}"
        )
        raise TypeError(msg)
    same_library_and_device("out", out, x, library, f"{an_array_of(library)} or None")
    if out.dtype != x.dtype:
        msg = f"out must have x's dtype {dtype_name(x.dtype)}, got {dtype_name(out.dtype)}"
        raise TypeError(msg)
    if out.shape != x.shape:
        msg = f"out must have x's shape {shape_of(x)}, got {shape_of(out)}"
        raise ValueError(msg)
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        msg = "out must be writable, got a read-only array"
        raise ValueError(msg)
    if library == "torch":
        _check_outside_autograd(out, {"x": x, **others})
    fault = _overlap(out, x, library, others)
    if fault is not None:
        raise ValueError(fault)


def _check_outside_autograd(out: Any, inputs: dict[str, Any]) -> None:
    torch = sys.modules["torch"]
    if out.requires_grad:
        msg = "out must not require grad, got a tensor with requires_grad=True"
        raise ValueError(msg)
    for argument, value in inputs.items():
        if not isinstance(value, torch.Tensor):
            continue
        if value.requires_grad and torch.is_grad_enabled():
            reason = "requires grad (use torch.no_grad())"
        elif torch.autograd.forward_ad.unpack_dual(value).tangent is not None:
            reason = "has a forward-mode tangent"
        else:
            continue
        msg = (
            f"out must be None where derivatives are recorded, got a tensor and {argument} {reason}"
        )
        raise ValueError(msg)


def _overlap(out: Any, x: Any, library: str, others: dict[str, object]) -> str | None:
    """Return what is wrong with the memory of ``out``, None if nothing is.

    It is for the caller to raise: tracebacks and debuggers print the variables of every frame, and
    to print the arrays that stand for addresses would be to read them.
    """
    target = _addresses(out, library)
    if target is None:
        return None
    if _overlaps_itself(target):
        return "out must not overlap itself, got an array in which elements share memory"
    source = _addresses(x, library)
    if source is not None and np.shares_memory(target, source) and not _same(target, source):
        return "out must be x itself or disjoint from it, got an array that overlaps x in part"
    for argument, value in others.items():
        # None and Python numbers have no memory.
        if value is None or isinstance(value, (int, float)):
            continue
        source = _addresses(value, library)
        if source is not None and np.shares_memory(target, source):
            return f"out must not overlap {argument}, got an array that shares memory with it"
    return None


class _Strided:
    """Addresses for NumPy to compare: it makes an array of them without touching the memory."""

    def __init__(
        self, pointer: int, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int
    ) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (pointer, True),
            "shape": shape,
            "strides": strides,
            "typestr": f"|V{itemsize}",
        }


def _addresses(array: Any, library: str) -> np.ndarray[Any, Any] | None:
    """Return an array at the same addresses, never to be read; None if there are none.

    Zero-size arrays have none. Nor have tensors that stand for others: on the meta device, under
    ``torch.compile`` and ``torch.func``, and those of subclasses (fake, distributed tensors).
    """
    if library == "numpy":
        return np.asarray(array)
    if 0 in array.shape:
        return None
    if library == "cupy":
        return np.asarray(
            _Strided(array.data.ptr, array.shape, array.strides, array.dtype.itemsize)
        )
    torch = sys.modules["torch"]
    if torch.compiler.is_compiling() or type(array) not in (torch.Tensor, torch.nn.Parameter):
        return None
    try:
        pointer = array.data_ptr()
    except RuntimeError:
        return None
    size = array.element_size()
    strides = tuple(stride * size for stride in array.stride())
    return np.asarray(_Strided(pointer, tuple(array.shape), strides, size)) if pointer else None


def _same(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Return whether two arrays of one shape have each element at the same address."""
    return a.__array_interface__["data"][0] == b.__array_interface__["data"][0] and all(
        own == other or length == 1
        for own, other, length in zip(a.strides, b.strides, a.shape, strict=True)
    )


def _overlaps_itself(a: np.ndarray[Any, Any]) -> bool:
    """Return whether two elements share memory.

    Two elements lie on different sides of a cut through the longest axis, or on the same side;
    the sides look alike, so that the longer one stands for both.
    """
    if a.flags.forc or a.size == 0:
        return False
    axis = int(np.argmax(a.shape))
    before, after = np.array_split(a, 2, axis=axis)
    return bool(np.shares_memory(before, after)) or _overlaps_itself(before)
