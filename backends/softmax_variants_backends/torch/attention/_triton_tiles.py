# mypy: ignore-errors
"""What the attention kernels share: tiles of rows, intervals of keys, masks."""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["block_range", "load_tile", "load_visible", "outer_block", "store_tile"]


@triton.jit
def load_tile(
    base,
    first,
    low,
    high,
    stride,
    rows: tl.constexpr,
    width: tl.constexpr,
    block_width: tl.constexpr,
    checked: tl.constexpr,
):
    """Load ``rows`` rows from row ``first``; with ``checked``, rows outside [low, high) are 0."""
    row = tl.arange(0, rows)
    column = tl.arange(0, block_width)
    # The first row in 64 bits, the rest in 32: a long sequence may pass 2^31 elements, a tile not.
    pointers = base + first.to(tl.int64) * stride + (row[:, None] * stride + column[None, :])
    if checked:
        inside = ((first + row >= low) & (first + row < high))[:, None]
        if width != block_width:
            inside = inside & (column < width)[None, :]
        return tl.load(pointers, mask=inside, other=0.0)
    if width != block_width:
        return tl.load(pointers, mask=(column < width)[None, :], other=0.0)
    return tl.load(pointers)


@triton.jit
def store_tile(
    base, tile, first, high, rows: tl.constexpr, width: tl.constexpr, block_width: tl.constexpr
):
    """Store the rows below ``high`` of a tile into contiguous rows of ``width``."""
    row = tl.arange(0, rows)
    column = tl.arange(0, block_width)
    pointers = base + first.to(tl.int64) * width + (row[:, None] * width + column[None, :])
    inside = (first + row < high)[:, None]
    if width != block_width:
        inside = inside & (column < width)[None, :]
    tl.store(pointers, tile.to(base.dtype.element_ty), mask=inside)


@triton.jit
def load_visible(mask, strides, row, key, row_start, row_stop, has_mask: tl.constexpr):
    """Return which keys the rows see, given their intervals; ``row`` and ``key`` broadcast."""
    visible = (key >= row_start) & (key < row_stop)
    if has_mask:
        # An interval ends at or before the last key, so this never reads beyond the mask.
        pointers = mask + row.to(tl.int64) * strides[2] + key.to(tl.int64) * strides[3]
        visible = visible & (tl.load(pointers, mask=visible, other=0) != 0)
    return visible


@triton.jit
def block_range(row_start, row_stop, block_n: tl.constexpr, has_mask: tl.constexpr):
    """Return the bounds of the keys seen by any row and by all rows.

    ``(low, high, first, inner_first, inner_last, last)``, all but the first two in blocks: blocks
    in [inner_first, inner_last) lie inside the intervals of all rows, the others of [first, last)
    do not. Under a mask, no block counts as inside.
    """
    seen = row_stop > row_start
    high = tl.max(tl.where(seen, row_stop, 0), 0)
    low = tl.minimum(tl.min(tl.where(seen, row_start, 2147483647), 0), high)
    first = low // block_n
    last = (high + block_n - 1) // block_n
    inner_first = tl.minimum((tl.max(row_start, 0) + block_n - 1) // block_n, last)
    inner_first = tl.maximum(inner_first, first)
    inner_last = tl.minimum(tl.maximum(tl.min(row_stop, 0) // block_n, inner_first), last)
    if has_mask:
        inner_first = last
        inner_last = last
    return low, high, first, inner_first, inner_last, last


@triton.jit
def outer_block(i, first, inner_first, inner_last):
    """Return the i-th block of [first, inner_first) followed by [inner_last, ...)."""
    before = inner_first - first
    return tl.where(i < before, first + i, inner_last + i - before)
