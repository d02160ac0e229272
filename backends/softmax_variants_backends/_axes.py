"""Rows of strided arrays: their axes put in the order of memory, and merged where arrays agree."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_AXES", "Layout", "RowAxes", "broadcast_strides", "merge", "row_axes"]

MAX_AXES = 8
"""Axes that a kernel can walk, after merging."""


class Layout(NamedTuple):
    """An array without its memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements, not bytes."""
    dtype: str
    """Its name: float16, bfloat16, float32, float64, bool, int8 ... uint64."""


@dataclass(frozen=True)
class RowAxes:
    """The axes that a row's number is made of, the last one running fastest."""

    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    """Of each array, along these axes."""
    row_strides: tuple[int, ...]
    """How far a step along each axis of the logits moves the row's number; 0 along the row."""

    @property
    def rows(self) -> int:
        """Their number."""
        return prod(self.sizes)


def broadcast_strides(
    shape: Sequence[int], strides: Sequence[int], target: Sequence[int]
) -> tuple[int, ...]:
    """Return the strides of an array that broadcasts to the shape ``target``."""
    missing = len(target) - len(shape)
    return (0,) * missing + tuple(
        0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True)
    )


def row_axes(shape: Sequence[int], axis: int, arrays: Sequence[Sequence[int]]) -> RowAxes | None:
    """Return the rows along ``axis`` of arrays of one shape, given by their strides.

    The first array's memory gives the order, so that neighbouring rows are neighbours in memory
    where rows themselves are not contiguous. None if there are more axes than kernels can walk.
    """
    first = arrays[0]
    others = [i for i, size in enumerate(shape) if i != axis and size != 1]
    others.sort(key=lambda i: -abs(first[i]))
    row_strides = [0] * len(shape)
    step = 1
    for i in reversed(others):
        row_strides[i] = step
        step *= shape[i]
    merged = merge([shape[i] for i in others], [[own[i] for i in others] for own in arrays])
    if len(merged[0]) > MAX_AXES:
        return None
    sizes, strides = merged
    return RowAxes(sizes, strides, tuple(row_strides))


def merge(
    sizes: Sequence[int], arrays: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Return the sizes and strides after merging neighbouring axes where all arrays allow it.

    There is always one axis at least.
    """
    kept: list[int] = []
    strides: list[list[int]] = [[] for _ in arrays]
    for i, size in enumerate(sizes):
        if size == 1:
            continue
        if kept and all(own[-1] == new[i] * size for own, new in zip(strides, arrays, strict=True)):
            kept[-1] *= size
            for own, new in zip(strides, arrays, strict=True):
                own[-1] = new[i]
        else:
            kept.append(size)
            for own, new in zip(strides, arrays, strict=True):
                own.append(new[i])
    if not kept:
        return (1,), tuple((0,) for _ in arrays)
    return tuple(kept), tuple(tuple(own) for own in strides)
