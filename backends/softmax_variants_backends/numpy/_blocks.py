"""Blocks of whole rows, small enough that the temporaries of one stay in the cache."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

__all__ = ["blocks", "part"]

Index = tuple[slice, ...]


def blocks(shape: tuple[int, ...], axis: int, limit: int) -> Iterator[Index]:
    """Yield slices that cut ``shape``, never along ``axis``, into blocks of about ``limit``."""
    whole = [slice(0, length) for length in shape]
    yield from _cut(whole, axis, limit)


def _cut(box: list[slice], axis: int, limit: int) -> Iterator[Index]:
    lengths = [part.stop - part.start for part in box]
    size = prod(lengths)
    cuttable = [i for i, length in enumerate(lengths) if i != axis and length > 1]
    if size <= limit or not cuttable:
        yield tuple(box)
        return
    first = cuttable[0]
    step = max(1, limit * lengths[first] // size)
    for start in range(box[first].start, box[first].stop, step):
        inner = list(box)
        inner[first] = slice(start, min(start + step, box[first].stop))
        yield from _cut(inner, axis, limit)


def part(array: Any, index: Index) -> Any:
    """Return the part of an operand that broadcasts to the block; other operands as they are."""
    if array is None or isinstance(array, (int, float)):
        return array
    operand: npt.NDArray[Any] = array
    trailing = index[len(index) - operand.ndim :]
    cut = (
        slice(None) if length == 1 else one
        for length, one in zip(operand.shape, trailing, strict=True)
    )
    # The ellipsis keeps an array without dimensions an array: as a scalar it would be taken for a
    # Python number, which is never infinite.
    chosen: tuple[Any, ...] = (..., *cut)
    return operand[chosen]
