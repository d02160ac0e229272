# mypy: ignore-errors
"""Before the backward kernels: a few numbers a query, and the queries that see a block of keys."""

from __future__ import annotations

import triton
import triton.language as tl

from ._triton_tiles import block_range, load_tile, load_visible

__all__ = ["query_blocks_kernel", "rows_kernel"]

# Spread of a row's logits, in units of logits, below which its sums are taken anew.
_NARROW = tl.constexpr(4.0)


# Numbers whose value must not compile a kernel anew.
@triton.jit(do_not_specialize=["bounds_stride", "heads", "group", "queries"])
def rows_kernel(
    q,
    k,
    v,
    out,
    softmax_out,
    dout,
    statistics,
    numbers,
    start,
    stop,
    mask,
    q_strides,
    k_strides,
    v_strides,
    dout_strides,
    bounds_stride,
    mask_strides,
    heads,
    group,
    queries,
    scale,
    form: tl.constexpr,
    extrema: tl.constexpr,
    has_mask: tl.constexpr,
    dim: tl.constexpr,
    dim_v: tl.constexpr,
    block_dim: tl.constexpr,
    block_dim_v: tl.constexpr,
    block_m: tl.constexpr,
    block_n: tl.constexpr,
):
    """Write Delta / a of each query and, with ``extrema``, the gradients at its extremal keys.

    See ``_triton_backward`` for the symbols. With E = sum p dP and k tied entries, these are
    (Delta - E) g / k at the lower end and -Delta g / k at the upper; in the shifted form -E / k at
    the lower.

    Delta and E are products of dout with what the forward pass gave, whose weights and result were
    rounded to 16 bits: an error of 2^-9 of their size in bfloat16. Where g = 1 / D, with D the
    spread of the row's logits, the gradients above cancel against p g dP but for terms without
    1 / D (with one key or two, all of them), and the error would be left, times 1 / D. In rows
    with D < 4, then, Delta and E are summed over the keys in float32.
    """
    first = tl.program_id(0) * block_m
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    row = first + tl.arange(0, block_m)
    inside = row < queries
    base = tl.program_id(1).to(tl.int64) * queries
    plane = tl.num_programs(1).to(tl.int64) * queries
    dout += batch * dout_strides[0] + head * dout_strides[1]
    out += base * dim_v
    cotangent = load_tile(
        dout, first, 0, queries, dout_strides[2], block_m, dim_v, block_dim_v, checked=True
    )
    result = load_tile(out, first, 0, queries, dim_v, block_m, dim_v, block_dim_v, checked=True)
    delta = tl.sum(cotangent.to(tl.float32) * result.to(tl.float32), 1)
    statistics += base + row
    numbers += base + row
    if form == "plain" or form == "shifted":
        spread = 1.0 / scale
        derivative = 1.0
    else:
        low = tl.load(statistics + plane, mask=inside, other=0.0)
        high = tl.load(statistics + 2 * plane, mask=inside, other=0.0)
        spread = high - low
        derivative = tl.where(spread == 0.0, 0.0, 1.0 / (scale * spread))
    if extrema:
        softmax_out += base * dim_v
        result = load_tile(
            softmax_out, first, 0, queries, dim_v, block_m, dim_v, block_dim_v, checked=True
        )
        mean = tl.sum(cotangent.to(tl.float32) * result.to(tl.float32), 1)
        ties_top = tl.load(statistics + 3 * plane, mask=inside, other=1.0)
        ties_low = tl.load(statistics + 4 * plane, mask=inside, other=1.0)
        if form == "shifted":
            at_low = -mean / ties_low
            at_high = tl.zeros([block_m], tl.float32)
        else:
            narrow = inside & (spread > 0.0) & (spread * scale < _NARROW)
            logarithm = tl.load(statistics, mask=narrow, other=0.0)
            # Other rows see nothing here: in most blocks there is nothing to do.
            bounds = batch * bounds_stride + row
            row_start = tl.load(start + bounds, mask=narrow, other=0)
            row_stop = tl.load(stop + bounds, mask=narrow, other=0)
            key_low, key_high, begin, _, _, end = block_range(
                row_start, row_stop, block_n, has_mask=False
            )
            q += batch * q_strides[0] + head * q_strides[1]
            k += batch * k_strides[0] + (head // group) * k_strides[1]
            v += batch * v_strides[0] + (head // group) * v_strides[1]
            mask += batch * mask_strides[0] + head * mask_strides[1]
            needed = tl.where(end > begin, queries, 0)
            query = load_tile(
                q, first, 0, needed, q_strides[2], block_m, dim, block_dim, checked=True
            )
            weighted_sum = tl.zeros([block_m], tl.float32)
            softmax_sum = tl.zeros([block_m], tl.float32)
            for i in tl.range(begin, end):
                position = i * block_n
                key_tile = load_tile(
                    k,
                    position,
                    key_low,
                    key_high,
                    k_strides[2],
                    block_n,
                    dim,
                    block_dim,
                    checked=True,
                )
                value = load_tile(
                    v,
                    position,
                    key_low,
                    key_high,
                    v_strides[2],
                    block_n,
                    dim_v,
                    block_dim_v,
                    checked=True,
                )
                s = tl.dot(query, tl.trans(key_tile))
                dp = tl.dot(cotangent, tl.trans(value))
                key = position + tl.arange(0, block_n)
                visible = load_visible(
                    mask,
                    mask_strides,
                    row[:, None],
                    key[None, :],
                    row_start[:, None],
                    row_stop[:, None],
                    has_mask,
                )
                e = tl.math.exp2(s * (scale * 1.4426950408889634) - logarithm[:, None])
                product = tl.where(visible, e * dp, 0.0)
                softmax_sum += tl.sum(product, 1)
                lifted = tl.where(visible, s - low[:, None], 0.0)
                weighted_sum += tl.sum(product * lifted, 1)
            delta = tl.where(narrow, weighted_sum, delta)
            mean = tl.where(narrow, softmax_sum * spread, mean)
            at_low = (delta - mean) * derivative / ties_low
            at_high = -delta * derivative / ties_top
        tl.store(numbers + plane, at_low, mask=inside)
        tl.store(numbers + 2 * plane, at_high, mask=inside)
    tl.store(numbers, delta * spread, mask=inside)


# Numbers whose value must not compile a kernel anew.
@triton.jit(do_not_specialize=["bounds_stride", "queries"])
def query_blocks_kernel(
    start,
    stop,
    ranges,
    bounds_stride,
    queries,
    block_m: tl.constexpr,
    block_n: tl.constexpr,
    chunk: tl.constexpr,
):
    """Write which blocks of queries touch a block of keys, and which see all of it.

    Four numbers a block of keys, ``first, inner_first, inner_last, last``: all queries of the
    blocks in [inner_first, inner_last) see all its keys; none outside [first, last) sees any.
    Intervals need not be in order: then more blocks are looked at than touch it.
    """
    key_first = tl.program_id(0) * block_n
    key_end = key_first + block_n
    start += tl.program_id(1).to(tl.int64) * bounds_stride
    stop += tl.program_id(1).to(tl.int64) * bounds_stride
    blocks = (queries + block_m - 1) // block_m
    none: tl.constexpr = 2147483647
    first = tl.full([chunk], none, tl.int32)
    last = tl.zeros([chunk], tl.int32)
    inner_first = tl.full([chunk], none, tl.int32)
    for begin in tl.range(0, blocks, chunk):
        block = begin + tl.arange(0, chunk)
        row = block[:, None] * block_m + tl.arange(0, block_m)[None, :]
        row_start = tl.load(start + row, mask=row < queries, other=0)
        # A block with rows beyond the last does not count as inside.
        row_stop = tl.load(stop + row, mask=row < queries, other=0)
        touches = (row_start < key_end) & (row_stop > key_first) & (row_stop > row_start)
        inside = (row_start <= key_first) & (row_stop >= key_end)
        touched = tl.max(touches.to(tl.int32), 1) > 0
        first = tl.minimum(first, tl.where(touched, block, none))
        last = tl.maximum(last, tl.where(touched, block + 1, 0))
        inner = tl.min(inside.to(tl.int32), 1) > 0
        inner_first = tl.minimum(inner_first, tl.where(inner, block, none))
    last_block = tl.max(last, 0)
    first_block = tl.minimum(tl.min(first, 0), last_block)
    inner_begin = tl.minimum(tl.min(inner_first, 0), last_block)
    outer = tl.full([chunk], none, tl.int32)
    for begin in tl.range(inner_begin, last_block, chunk):
        block = begin + tl.arange(0, chunk)
        row = block[:, None] * block_m + tl.arange(0, block_m)[None, :]
        row_start = tl.load(start + row, mask=row < queries, other=0)
        row_stop = tl.load(stop + row, mask=row < queries, other=0)
        inside = (row_start <= key_first) & (row_stop >= key_end)
        inner = tl.min(inside.to(tl.int32), 1) > 0
        outer = tl.minimum(outer, tl.where(inner, none, block))
    inner_end = tl.minimum(tl.min(outer, 0), last_block)
    ranges += (tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)) * 4
    tl.store(ranges, first_block)
    tl.store(ranges + 1, inner_begin)
    tl.store(ranges + 2, inner_end)
    tl.store(ranges + 3, last_block)
