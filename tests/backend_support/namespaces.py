"""Array namespaces that a backend must work with: one without float64, and one that traces."""

from __future__ import annotations

import operator
from typing import Any

import array_api_strict

__all__ = ["Traced", "TracedNamespace", "WithoutFloat64"]


class WithoutFloat64:
    """An array namespace as its library would be on a device that has no float64."""

    _HIDDEN = ("float64", "double", "complex128")

    def __init__(self, namespace: Any) -> None:
        self._namespace = namespace

    def __getattr__(self, name: str) -> Any:
        if name in self._HIDDEN:
            msg = f"this namespace has no {name}"
            raise AttributeError(msg)
        return getattr(self._namespace, name)

    def __array_namespace_info__(self) -> Any:
        info = self._namespace.__array_namespace_info__()
        return _InfoWithoutFloat64(info, self._HIDDEN)


class _InfoWithoutFloat64:
    def __init__(self, info: Any, hidden: tuple[str, ...]) -> None:
        self._info, self._hidden = info, hidden

    def dtypes(self, **options: Any) -> dict[str, Any]:
        found = self._info.dtypes(**options)
        return {name: dtype for name, dtype in found.items() if name not in self._hidden}


class Traced:
    """An array whose elements cannot be looked at, as while a program is traced."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return TracedNamespace()

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._array.shape)

    @property
    def ndim(self) -> int:
        return int(self._array.ndim)

    @property
    def size(self) -> int:
        return int(self._array.size)

    @property
    def dtype(self) -> Any:
        return self._array.dtype

    @property
    def device(self) -> Any:
        return self._array.device

    def revealed(self) -> Any:
        """Return the array: for the test, at the end."""
        return self._array

    def __getitem__(self, key: Any) -> Traced:
        return Traced(self._array[key])


def _hide(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_hide, value))
    return Traced(value) if isinstance(value, array_api_strict._array_object.Array) else value


def _reveal(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_reveal, value))
    return value.revealed() if isinstance(value, Traced) else value


def _lifted(function: Any) -> Any:
    def lifted(*arguments: Any, **options: Any) -> Any:
        options = {name: _reveal(value) for name, value in options.items()}
        return _hide(function(*map(_reveal, arguments), **options))

    return lifted


def _refusal(name: str) -> Any:
    def refusal(self: Traced, *arguments: Any, **options: Any) -> Any:
        msg = f"{name} looks at the elements of a traced array"
        raise RuntimeError(msg)

    return refusal


_BINARY = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]
for _name in _BINARY:
    _function = getattr(operator, f"__{_name}__")
    setattr(Traced, f"__{_name}__", _lifted(_function))
    setattr(Traced, f"__r{_name}__", _lifted(lambda a, b, f=_function: f(b, a)))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"):
    setattr(Traced, f"__{_name}__", _lifted(getattr(operator, f"__{_name}__")))
for _name in [
    "__bool__",
    "__int__",
    "__float__",
    "__complex__",
    "__index__",
    "__len__",
    "__iter__",
    "__array__",
    "__dlpack__",
    "__buffer__",
    "__setitem__",
    "item",
    "tolist",
]:
    setattr(Traced, _name, _refusal(_name))


class TracedNamespace:
    """The functions of ``array_api_strict`` on arrays whose elements cannot be looked at."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(array_api_strict, name)
        # dtypes are instances here, and info has no arrays.
        return _lifted(found) if callable(found) and name != "__array_namespace_info__" else found
