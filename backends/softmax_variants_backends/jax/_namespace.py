"""The namespace ``jax.numpy`` with casts that keep subnormal numbers, and arrays that are guarded.

XLA on a CPU treats subnormal numbers as 0 and flushes results to 0, its casts included. Casts
between binary32 and binary64 are spelled here in integers, so that binary64, where they are
ordinary numbers, sees them and gives them back.

A program compiled from many operations is not the program that was written: measured with JAX
0.10 on a CPU, XLA turns (a + 1.5) - 1.5 into a, (a * 3) * 5 into a * 15, (a / b) / c into
a / (b * c), and a * b + c into one fused multiply-add. Each loses the low word of two-word
arithmetic. Operations that run one at a time are as the standard says, so arrays are guarded
only while a program is traced.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Guarded", "guarded_namespace", "namespace", "reveal"]

_SMALLEST = 2.0**-149
_SMALLEST_NORMAL = 2.0**-126
_LARGEST = {
    "float16": 65504.0,
    "bfloat16": float.fromhex("0x1.fep127"),
    "float32": float.fromhex("0x1.fffffep127"),
    "float64": float.fromhex("0x1.fffffffffffffp1023"),
}


@jax.jit
def _widen(x: Any) -> Any:
    """Return binary32 numbers as binary64."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    magnitude = bits & 0x7FFFFFFF
    # Below the normal range the bits are a multiple of the smallest number; exact in binary64.
    small = magnitude.astype(jnp.float64) * _SMALLEST
    small = jnp.where(bits < 0, -small, small)
    return jnp.where(magnitude < 0x00800000, small, x.astype(jnp.float64))


@jax.jit
def _narrow(x: Any) -> Any:
    """Return binary64 numbers rounded once to binary32."""
    size = jnp.abs(x)
    tiny = size < _SMALLEST_NORMAL
    # The product is exact, round is to nearest and ties to even; 2**23, the count of what rounds
    # up to the normal range, has the bits of its smallest number.
    count = jnp.round(jnp.where(tiny, size, 0.0) * (1.0 / _SMALLEST)).astype(jnp.int32)
    bits = jnp.where(x < 0.0, count | jnp.int32(-(2**31)), count)
    return jnp.where(tiny, lax.bitcast_convert_type(bits, jnp.float32), x.astype(jnp.float32))


def _astype(x: Any, dtype: Any) -> Any:
    source, target = x.dtype, jnp.dtype(dtype)
    if target == jnp.float64 and source in (jnp.float32, jnp.bfloat16):
        return _widen(x.astype(jnp.float32))
    if target == jnp.float32 and source == jnp.float64:
        return _narrow(x)
    return x.astype(target)


class Guarded:
    """An array of a traced program whose arithmetic is done as written.

    What a floating operation returns passes through a selection, through which XLA rewrites
    nothing and no compiler fuses a product with a sum.
    """

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(self.array.shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return int(self.array.ndim)

    @property
    def dtype(self) -> Any:
        """The array's dtype."""
        return self.array.dtype

    @property
    def device(self) -> None:
        """No device: a traced program is placed as a whole."""

    def __getitem__(self, key: Any) -> Guarded:
        return Guarded(self.array[key])


def reveal(value: Any) -> Any:
    """Return guarded arrays, also those of a list or tuple, as JAX knows them."""
    if isinstance(value, Guarded):
        return value.array
    return [reveal(one) for one in value] if isinstance(value, list | tuple) else value


def _kept(value: Any) -> Any:
    """Return a result that is rounded before anything else is done with it.

    The selection changes no value: beyond the largest finite number there is infinity only.
    """
    if not jnp.issubdtype(value.dtype, jnp.floating):
        return value
    return jnp.where(value > _LARGEST[value.dtype.name], jnp.inf, value)


def _binary(function: Callable[[Any, Any], Any], *, swapped: bool = False) -> Any:
    def forward(self: Guarded, other: Any) -> Guarded:
        return Guarded(_kept(function(self.array, reveal(other))))

    def backward(self: Guarded, other: Any) -> Guarded:
        return Guarded(_kept(function(reveal(other), self.array)))

    return backward if swapped else forward


def _unary(function: Callable[[Any], Any]) -> Any:
    return lambda self: Guarded(function(self.array))


for _name in ("add", "sub", "mul", "truediv", "and", "or", "lshift", "rshift"):
    _function = getattr(operator, f"__{_name}__")
    setattr(Guarded, f"__{_name}__", _binary(_function))
    setattr(Guarded, f"__r{_name}__", _binary(_function, swapped=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Guarded, f"__{_name}__", _binary(getattr(operator, f"__{_name}__")))
for _name in ("neg", "invert"):
    setattr(Guarded, f"__{_name}__", _unary(getattr(operator, f"__{_name}__")))


class _Namespace:
    """The functions of ``jax.numpy``, with another ``astype``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(jnp, name)

    @staticmethod
    def astype(x: Any, dtype: Any) -> Any:
        """Return ``x`` as ``dtype``, rounded once, subnormal numbers kept."""
        return _astype(x, dtype)


class _GuardedNamespace(_Namespace):
    """The same functions on guarded arrays."""

    _FUNCTIONS = frozenset(
        {"abs", "any", "astype", "concat", "full", "isfinite", "max", "maximum", "min", "reshape"}
        | {"round", "sign", "sum", "where", "zeros", "zeros_like"}
    )

    def __getattribute__(self, name: str) -> Any:
        if name not in _GuardedNamespace._FUNCTIONS:
            return super().__getattribute__(name)
        function = _astype if name == "astype" else getattr(jnp, name)

        def lifted(*arguments: Any, **options: Any) -> Guarded:
            return Guarded(function(*map(reveal, arguments), **options))

        return lifted


namespace = _Namespace()
guarded_namespace = _GuardedNamespace()
