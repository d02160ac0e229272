# mypy: ignore-errors
"""A scale for each row, and its gradient, in one pass over memory each.

Both walk from the last row to the first. What was written last, dq' by an attention's backward
pass, is then found in the cache; and so is the start of q', by the attention that reads it next.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["scale_backward_kernel", "scale_kernel"]


@triton.jit
def _split(shape, block: tl.constexpr):
    """Return the batch, head and query of the rows of a block, and whether there is such a row."""
    heads, queries, rows = shape
    last = tl.num_programs(0) - 1
    row = (last - tl.program_id(0)).to(tl.int64) * block + tl.arange(0, block)
    return (row // queries // heads, row // queries % heads, row % queries), row, row < rows


@triton.jit
def _places(index, strides):
    """Return where rows begin."""
    return index[0] * strides[0] + index[1] * strides[1] + index[2] * strides[2]


@triton.jit
def _load_factor(c, index, strides, inside):
    """Load the factors of rows, NaN for infinities: a row of -inf would count as hidden."""
    factor = tl.load(c + _places(index, strides), mask=inside, other=0.0).to(tl.float32)
    return tl.where(tl.abs(factor) < float("inf"), factor, float("nan"))


@triton.jit
def scale_kernel(
    q,
    c,
    out,
    shape,
    q_strides,
    c_strides,
    out_strides,
    dim: tl.constexpr,
    block_dim: tl.constexpr,
    block: tl.constexpr,
):
    """Write c q, rounded once."""
    index, _, inside = _split(shape, block)
    column = tl.arange(0, block_dim)[None, :]
    mask = inside[:, None] & (column < dim)
    x = tl.load(q + _places(index, q_strides)[:, None] + column, mask=mask, other=0.0)
    factor = _load_factor(c, index, c_strides, inside)
    scaled = (x.to(tl.float32) * factor[:, None]).to(out.dtype.element_ty)
    tl.store(out + _places(index, out_strides)[:, None] + column, scaled, mask=mask)


@triton.jit
def scale_backward_kernel(
    q,
    dout,
    c,
    dq,
    sums,
    shape,
    q_strides,
    dout_strides,
    c_strides,
    dq_strides,
    need_dq: tl.constexpr,
    need_sums: tl.constexpr,
    dim: tl.constexpr,
    block_dim: tl.constexpr,
    block: tl.constexpr,
):
    """Write c dout, rounded once, and the sum of q dout over each row."""
    index, row, inside = _split(shape, block)
    column = tl.arange(0, block_dim)[None, :]
    mask = inside[:, None] & (column < dim)
    dy = tl.load(dout + _places(index, dout_strides)[:, None] + column, mask=mask, other=0.0)
    dy = dy.to(tl.float32)
    if need_sums:
        x = tl.load(q + _places(index, q_strides)[:, None] + column, mask=mask, other=0.0)
        tl.store(sums + row, tl.sum(x.to(tl.float32) * dy, 1), mask=inside)
    if need_dq:
        factor = _load_factor(c, index, c_strides, inside)
        scaled = (dy * factor[:, None]).to(dq.dtype.element_ty)
        tl.store(dq + _places(index, dq_strides)[:, None] + column, scaled, mask=mask)
