"""Arrays of the judged library from NumPy's, and back, without changing a value."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Library", "Unrepresentable", "library"]

FORMATS = ("float16", "bfloat16", "float32", "float64")


class Unrepresentable(Exception):  # noqa: N818  (nothing is wrong, the library is as it is)
    """The library has no array of these values."""


class Library:
    """An array library as the suite sees it: make arrays of it, read them, name their dtypes.

    Values cross on the host in binary64 or in their own format: libraries may flush subnormal
    numbers or round twice when they cast.
    """

    def __init__(self, name: str, namespace: Any, device: str | None) -> None:
        self.name, self.namespace, self.device = name, namespace, device

    def formats(self) -> tuple[str, ...]:
        """Return the floating formats that the library has."""
        return tuple(name for name in FORMATS if hasattr(self.namespace, name))

    def asarray(self, values: npt.NDArray[Any], dtype: str | None = None) -> Any:
        """Return an array of the library; ``dtype`` names a floating format or is kept."""
        host = values if dtype is None else values.astype(dtype)
        return self._from_host(host)

    def _from_host(self, host: npt.NDArray[Any]) -> Any:
        if self.device is None:
            return self.namespace.asarray(host)
        return self.namespace.asarray(host, device=self.device)

    def values(self, array: Any) -> npt.NDArray[np.float64]:
        """Return the values of a floating array as binary64, exact."""
        return np.asarray(self._to_host(array)).astype(np.float64)

    def _to_host(self, array: Any) -> Any:
        return np.asarray(array)

    def is_array(self, value: Any) -> bool:
        """Return whether the value is an array of this library."""
        return isinstance(value, type(self.asarray(np.zeros(1))))

    def dtype_name(self, array: Any) -> str:
        """Return the name of the array's dtype, as NumPy would."""
        return str(array.dtype).rsplit(".", maxsplit=1)[-1]

    def describe_device(self) -> str:
        """Return the device in words; "" for the processor."""
        return self.device or ""

    def literal(self, values: str, dtype: str | None = None) -> str:
        """Return source code for an array of these values (source code, too)."""
        kind = "" if dtype is None else f", dtype=xp.{dtype}"
        device = f", device={self.device!r}" if self.device else ""
        return f"xp.asarray({values}{kind}{device})"


class _Torch(Library):
    def _from_host(self, host: npt.NDArray[Any]) -> Any:
        # A copy in C order: from_numpy takes neither negative strides nor read-only arrays.
        return self.namespace.from_numpy(np.array(host, order="C")).to(self.device or "cpu")

    def asarray(self, values: npt.NDArray[Any], dtype: str | None = None) -> Any:
        if dtype == "bfloat16":
            # One step: every bfloat16 is a binary32.
            return super().asarray(values, "float32").to(self.namespace.bfloat16)
        return super().asarray(values, dtype)

    def describe_device(self) -> str:
        if str(self.device).startswith("cuda"):
            return f"{self.device} ({self.namespace.cuda.get_device_name(self.device)})"
        return super().describe_device()

    def _to_host(self, array: Any) -> Any:
        host = array.detach().cpu()
        return (host.float() if self.dtype_name(array) == "bfloat16" else host).numpy()


class _CuPy(Library):
    def describe_device(self) -> str:
        runtime = self.namespace.cuda.runtime
        return str(runtime.getDeviceProperties(runtime.getDevice())["name"].decode())

    def _from_host(self, host: npt.NDArray[Any]) -> Any:
        return self.namespace.asarray(host)

    def _to_host(self, array: Any) -> Any:
        return array.get()


class _Jax(Library):
    """JAX: without 64 bits enabled it would turn what needs them into 32 bits without a word."""

    def formats(self) -> tuple[str, ...]:
        return tuple(name for name in super().formats() if name != "float64" or self._has_64_bits())

    def _has_64_bits(self) -> bool:
        return str(self.namespace.asarray(0.0).dtype) == "float64"

    def _from_host(self, host: npt.NDArray[Any]) -> Any:
        narrow = {"int64": np.int32, "float64": np.float32}.get(host.dtype.name)
        if narrow is not None and not self._has_64_bits():
            with np.errstate(over="ignore"):
                kept = host.astype(narrow)
            if not np.array_equal(kept, host, equal_nan=True):
                msg = f"an array of {host.dtype} is needed, and JAX has its 64 bits disabled"
                raise Unrepresentable(msg)
            host = kept
        return super()._from_host(host)

    def describe_device(self) -> str:
        kind = self.asarray(np.zeros(1)).device.device_kind
        return "" if kind == "cpu" else str(kind)


class _Dask(Library):
    """Dask: arrays of NumPy in chunks, computed when they are read."""

    def _from_host(self, host: npt.NDArray[Any]) -> Any:
        return self.namespace.from_array(host, chunks=_chunks(host.shape))

    def _to_host(self, array: Any) -> Any:
        # In this thread, where NumPy can be kept from warning of what the backend replaces.
        with np.errstate(all="ignore"):
            return array.compute(scheduler="synchronous")


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return lengths of chunks that cut every axis in two or more, the last one short."""
    return tuple(max(1, 2 * length // 3) for length in shape)


_KINDS: dict[str, type[Library]] = {"torch": _Torch, "cupy": _CuPy, "jax": _Jax, "dask": _Dask}


def library(name: str, device: str | None = None) -> Library:
    """Return the library of that import name; raises ImportError where it is not installed."""
    root = name.split(".", maxsplit=1)[0]
    return _KINDS.get(root, Library)(root, importlib.import_module(name), device)
