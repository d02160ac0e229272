"""Loads and stores of vectors and numbers at addresses, and roundings to what is stored.

The caller answers for addresses. Formats of 16 bits go through memory as integers.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ._intrinsics import LANES, doubles, floats, masks, operation, picked, shorts

__all__ = [
    "copy_short",
    "fence",
    "load_bfloat",
    "load_bfloats",
    "load_byte",
    "load_double",
    "load_doubles",
    "load_float",
    "load_floats",
    "load_half",
    "load_halves",
    "load_long",
    "load_mask",
    "load_shorts",
    "load_some_doubles",
    "load_some_floats",
    "prefetch",
    "round_to_bfloats",
    "round_to_halves",
    "store_byte",
    "store_double",
    "store_doubles",
    "store_float",
    "store_floats",
    "store_long",
    "store_rounded",
    "store_shorts",
    "store_some_doubles",
    "store_some_floats",
    "stream_doubles",
    "stream_floats",
    "stream_rounded",
    "stream_shorts",
]

_BYTE, _SHORT, _INT, _LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_HALF, _FLOAT, _DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()
_SIZES = {_BYTE: 1, _SHORT: 2, _INT: 4, _LONG: 8, _HALF: 2, _FLOAT: 4, _DOUBLE: 8}
_STREAMED = 16
"""Bytes of a store past the caches; what arrays of all libraries are aligned to."""


def _size(kind: Any) -> int:
    return _SIZES[getattr(kind, "element", kind)]


def _load(builder: Any, address: Any, kind: Any) -> Any:
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = _size(kind)
    return value


def _store(builder: Any, address: Any, value: Any) -> Any:
    own = builder.store(value, builder.inttoptr(address, value.type.as_pointer()))
    own.align = _size(value.type)


def _vector(element: Any) -> Any:
    return ir.VectorType(element, LANES)


def _constant(kind: Any, value: float) -> Any:
    return ir.Constant(kind, [value] * LANES)


# Loads.


@operation(doubles, types.int64)
def load_doubles(builder: Any, address: Any) -> Any:
    return _load(builder, address, doubles.llvm)


@operation(shorts, types.int64)
def load_shorts(builder: Any, address: Any) -> Any:
    return _load(builder, address, shorts.llvm)


@operation(floats, types.int64)
def load_floats(builder: Any, address: Any) -> Any:
    return _load(builder, address, floats.llvm)


@operation(floats, types.int64)
def load_halves(builder: Any, address: Any) -> Any:
    """Numbers of binary16 as floats: exact."""
    return builder.fpext(_load(builder, address, _vector(_HALF)), floats.llvm)


@operation(floats, types.int64)
def load_bfloats(builder: Any, address: Any) -> Any:
    """Numbers of bfloat16, which are the upper halves of floats."""
    words = builder.zext(_load(builder, address, shorts.llvm), _vector(_INT))
    return builder.bitcast(builder.shl(words, _constant(words.type, 16)), floats.llvm)


@operation(masks, types.int64)
def load_mask(builder: Any, address: Any) -> Any:
    """Which of as many bytes are not 0."""
    own = _load(builder, address, _vector(_BYTE))
    return builder.icmp_unsigned("!=", own, _constant(own.type, 0))


@operation(types.float64, types.int64)
def load_double(builder: Any, address: Any) -> Any:
    return _load(builder, address, _DOUBLE)


@operation(types.float32, types.int64)
def load_float(builder: Any, address: Any) -> Any:
    return _load(builder, address, _FLOAT)


@operation(types.float32, types.int64)
def load_half(builder: Any, address: Any) -> Any:
    return builder.fpext(_load(builder, address, _HALF), _FLOAT)


@operation(types.float32, types.int64)
def load_bfloat(builder: Any, address: Any) -> Any:
    word = builder.zext(_load(builder, address, _SHORT), _INT)
    return builder.bitcast(builder.shl(word, _INT(16)), _FLOAT)


@operation(types.int64, types.int64)
def load_long(builder: Any, address: Any) -> Any:
    return _load(builder, address, _LONG)


@operation(types.int64, types.int64)
def load_byte(builder: Any, address: Any) -> Any:
    return builder.zext(_load(builder, address, _BYTE), _LONG)


def _first(builder: Any, lanes: Any) -> Any:
    """Which lanes are among the first ``lanes``."""
    kind = _vector(_INT)
    bound = builder.insert_element(
        ir.Constant(kind, ir.Undefined), builder.trunc(lanes, _INT), _INT(0)
    )
    numbers = ir.Constant(kind, list(range(LANES)))
    return builder.icmp_signed("<", numbers, picked(builder, bound, [0] * LANES))


def _load_some(builder: Any, vector: Any, address: Any, lanes: Any, fill: Any) -> Any:
    pointer = builder.inttoptr(address, vector.as_pointer())
    filled = builder.insert_element(ir.Constant(vector, ir.Undefined), fill, _INT(0))
    size = _size(vector)
    arguments = [pointer, _INT(size), _first(builder, lanes), picked(builder, filled, [0] * LANES)]
    signature = ir.FunctionType(vector, [own.type for own in arguments])
    name = f"llvm.masked.load.v{LANES}f{8 * size}.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), arguments)


def _store_some(builder: Any, address: Any, lanes: Any, value: Any) -> None:
    pointer = builder.inttoptr(address, value.type.as_pointer())
    size = _size(value.type)
    arguments = [value, pointer, _INT(size), _first(builder, lanes)]
    signature = ir.FunctionType(ir.VoidType(), [own.type for own in arguments])
    name = f"llvm.masked.store.v{LANES}f{8 * size}.p0"
    builder.call(cgutils.get_or_insert_function(builder.module, signature, name), arguments)


@operation(floats, types.int64, types.int64, types.float32)
def load_some_floats(builder: Any, address: Any, lanes: Any, fill: Any) -> Any:
    """Return the first ``lanes`` floats at an address, ``fill`` beyond: nothing is read there."""
    return _load_some(builder, floats.llvm, address, lanes, fill)


@operation(doubles, types.int64, types.int64, types.float64)
def load_some_doubles(builder: Any, address: Any, lanes: Any, fill: Any) -> Any:
    """Return the first ``lanes`` doubles at an address, ``fill`` beyond: nothing is read there."""
    return _load_some(builder, doubles.llvm, address, lanes, fill)


@operation(types.void, types.int64, types.int64, floats)
def store_some_floats(builder: Any, address: Any, lanes: Any, value: Any) -> None:
    """Store the first ``lanes`` floats; nothing is written beyond."""
    _store_some(builder, address, lanes, value)


@operation(types.void, types.int64, types.int64, doubles)
def store_some_doubles(builder: Any, address: Any, lanes: Any, value: Any) -> None:
    """Store the first ``lanes`` doubles; nothing is written beyond."""
    _store_some(builder, address, lanes, value)


# Roundings of doubles to 16 bits, once and to nearest, ties to even. Through float they would be
# rounded twice: here the double is first rounded to the format's own places, and what follows is
# exact, or an overflow to infinity.


def _round_to_places(builder: Any, a: Any, places: int, least_exponent: int) -> Any:
    """Round to so many binary places behind the first, below 2^least_exponent as there."""
    kind = _vector(_LONG)
    # The sum with 1.5 * 2^(e + 52 - places), e the number's exponent, has the last place wanted.
    exponent = builder.and_(builder.bitcast(a, kind), _constant(kind, 0x7FF << 52))
    large = builder.fmul(
        builder.bitcast(exponent, a.type), _constant(a.type, 1.5 * 2.0 ** (52 - places))
    )
    least = _constant(a.type, 1.5 * 2.0 ** (least_exponent + 52 - places))
    large = builder.select(builder.fcmp_ordered(">", large, least), large, least)
    # Far beyond the range the rest of the way rounds to infinity, which infinity has to reach, too.
    most = _constant(a.type, 2.0**1000)
    large = builder.select(builder.fcmp_ordered("<", large, most), large, most)
    return builder.fptrunc(builder.fsub(builder.fadd(a, large), large), floats.llvm)


@operation(shorts, doubles)
def round_to_halves(builder: Any, a: Any) -> Any:
    rounded = _round_to_places(builder, a, 10, -14)
    return builder.bitcast(builder.fptrunc(rounded, _vector(_HALF)), shorts.llvm)


@operation(shorts, doubles)
def round_to_bfloats(builder: Any, a: Any) -> Any:
    words = builder.bitcast(_round_to_places(builder, a, 7, -126), _vector(_INT))
    return builder.trunc(builder.lshr(words, _constant(words.type, 16)), shorts.llvm)


# Stores. Those that `stream` go past the caches, to addresses that are multiples of 16.


@operation(types.void, types.int64, doubles)
def store_doubles(builder: Any, address: Any, value: Any) -> None:
    _store(builder, address, value)


@operation(types.void, types.int64, floats)
def store_floats(builder: Any, address: Any, value: Any) -> None:
    _store(builder, address, value)


@operation(types.void, types.int64, shorts)
def store_shorts(builder: Any, address: Any, value: Any) -> None:
    _store(builder, address, value)


@operation(types.void, types.int64, doubles)
def store_rounded(builder: Any, address: Any, value: Any) -> None:
    """Store doubles rounded to float."""
    _store(builder, address, builder.fptrunc(value, floats.llvm))


def _stream(builder: Any, address: Any, value: Any) -> None:
    size = _size(value.type)
    lanes = _STREAMED // size
    kind = builder.module.add_metadata([_INT(1)])
    for first in range(0, LANES, lanes):
        part = picked(builder, value, list(range(first, first + lanes)))
        at = builder.add(address, _LONG(size * first))
        own = builder.store(part, builder.inttoptr(at, part.type.as_pointer()))
        own.align = _STREAMED
        own.set_metadata("nontemporal", kind)


@operation(types.void, types.int64, doubles)
def stream_rounded(builder: Any, address: Any, value: Any) -> None:
    """Store doubles rounded to float, past the caches."""
    _stream(builder, address, builder.fptrunc(value, floats.llvm))


@operation(types.void, types.int64, floats)
def stream_floats(builder: Any, address: Any, value: Any) -> None:
    _stream(builder, address, value)


@operation(types.void, types.int64, doubles)
def stream_doubles(builder: Any, address: Any, value: Any) -> None:
    _stream(builder, address, value)


@operation(types.void, types.int64, shorts)
def stream_shorts(builder: Any, address: Any, value: Any) -> None:
    _stream(builder, address, value)


@operation(types.void, types.int64, types.int64)
def store_long(builder: Any, address: Any, value: Any) -> None:
    _store(builder, address, value)


@operation(types.void, types.int64, types.int64)
def store_byte(builder: Any, address: Any, value: Any) -> None:
    _store(builder, address, builder.trunc(value, _BYTE))


@operation(types.void, types.int64, types.float64)
def store_double(builder: Any, address: Any, value: Any) -> None:
    _store(builder, address, value)


@operation(types.void, types.int64, types.float32)
def store_float(builder: Any, address: Any, value: Any) -> None:
    _store(builder, address, value)


@operation(types.void, types.int64, types.int64)
def copy_short(builder: Any, target: Any, source: Any) -> None:
    """Copy 16 bits, whatever they mean."""
    _store(builder, target, _load(builder, source, _SHORT))


@operation(types.void, types.int64)
def prefetch(builder: Any, address: Any) -> None:
    """Ask for a line of memory to be brought near; any address is allowed."""
    pointer = builder.inttoptr(address, _BYTE.as_pointer())
    arguments = [pointer, _INT(0), _INT(3), _INT(1)]
    kind = ir.FunctionType(ir.VoidType(), [own.type for own in arguments])
    builder.call(
        cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0"), arguments
    )


@operation(types.void)
def fence(builder: Any) -> None:
    """Let stores past the caches be seen before any later one: they are not ordered otherwise."""
    builder.fence("seq_cst")
