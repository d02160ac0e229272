"""Tiles of rows that are neighbours in memory: from entries side by side to rows, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import types

from ._intrinsics import LANES, operation

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "bfloats_to_rows",
    "doubles_to_columns",
    "doubles_to_rows",
    "floats_to_columns",
    "floats_to_rows",
    "halves_to_rows",
    "shorts_to_columns",
]

_SHORT, _INT, _LONG = (ir.IntType(bits) for bits in (16, 32, 64))
_HALF, _FLOAT, _DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()


def _transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    """Swap, for each bit, what differs in that bit of the vector's number and of the lane's."""
    width = len(vectors)
    mask = ir.VectorType(_INT, width)
    step = 1
    while step < width:
        low = [lane if not lane & step else width + (lane ^ step) for lane in range(width)]
        high = [lane | step if not lane & step else width + lane for lane in range(width)]
        for i in range(width):
            if not i & step:
                a, b = vectors[i], vectors[i + step]
                vectors[i] = builder.shuffle_vector(a, b, ir.Constant(mask, low))
                vectors[i + step] = builder.shuffle_vector(a, b, ir.Constant(mask, high))
        step *= 2
    return vectors


def _transpose(
    builder: Any,
    source: Any,
    source_pitch: Any,
    target: Any,
    target_pitch: Any,
    stored: tuple[Any, int],
    written: tuple[Any, int],
    convert: Callable[[Any], Any],
) -> None:
    """Transpose LANES x LANES entries, square by square.

    ``stored`` and ``written`` are the types in memory, and their bytes.
    """
    (kind, size), (to_kind, to_size) = stored, written
    width = 4 if size == 8 else 8
    for i in range(0, LANES, width):
        for j in range(0, LANES, width):
            vectors = []
            for k in range(width):
                at = builder.add(source, builder.mul(source_pitch, _LONG(i + k)))
                at = builder.add(at, _LONG(size * j))
                pointer = builder.inttoptr(at, ir.VectorType(kind, width).as_pointer())
                vector = builder.load(pointer)
                vector.align = size
                vectors.append(convert(vector))
            for k, vector in enumerate(_transposed(builder, vectors)):
                at = builder.add(target, builder.mul(target_pitch, _LONG(j + k)))
                at = builder.add(at, _LONG(to_size * i))
                pointer = builder.inttoptr(at, ir.VectorType(to_kind, width).as_pointer())
                builder.store(vector, pointer).align = to_size


def _same(value: Any) -> Any:
    return value


_ARGUMENTS = (types.int64, types.int64, types.int64, types.int64)


@operation(types.void, *_ARGUMENTS)
def floats_to_rows(builder: Any, a: Any, a_pitch: Any, b: Any, b_pitch: Any) -> None:
    _transpose(builder, a, a_pitch, b, b_pitch, (_FLOAT, 4), (_FLOAT, 4), _same)


@operation(types.void, *_ARGUMENTS)
def doubles_to_rows(builder: Any, a: Any, a_pitch: Any, b: Any, b_pitch: Any) -> None:
    _transpose(builder, a, a_pitch, b, b_pitch, (_DOUBLE, 8), (_DOUBLE, 8), _same)


@operation(types.void, *_ARGUMENTS)
def halves_to_rows(builder: Any, a: Any, a_pitch: Any, b: Any, b_pitch: Any) -> None:
    def widened(own: Any) -> Any:
        return builder.fpext(own, ir.VectorType(_FLOAT, own.type.count))

    _transpose(builder, a, a_pitch, b, b_pitch, (_HALF, 2), (_FLOAT, 4), widened)


@operation(types.void, *_ARGUMENTS)
def bfloats_to_rows(builder: Any, a: Any, a_pitch: Any, b: Any, b_pitch: Any) -> None:
    def widened(own: Any) -> Any:
        kind = ir.VectorType(_INT, own.type.count)
        words = builder.shl(builder.zext(own, kind), ir.Constant(kind, [16] * kind.count))
        return builder.bitcast(words, ir.VectorType(_FLOAT, kind.count))

    _transpose(builder, a, a_pitch, b, b_pitch, (_SHORT, 2), (_FLOAT, 4), widened)


@operation(types.void, *_ARGUMENTS)
def shorts_to_columns(builder: Any, a: Any, a_pitch: Any, b: Any, b_pitch: Any) -> None:
    _transpose(builder, a, a_pitch, b, b_pitch, (_SHORT, 2), (_SHORT, 2), _same)


floats_to_columns, doubles_to_columns = floats_to_rows, doubles_to_rows
