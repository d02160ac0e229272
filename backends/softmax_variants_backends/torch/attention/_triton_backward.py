# mypy: ignore-errors
"""SA-Softmax attention, backward: dq by blocks of queries, dk and dv by blocks of keys.

With weights y = p r, dP = dout . v and Delta = sum dout * out, every form has the gradient

    dx_j = p_j (r_j dP_j - Delta + g dP_j)  +  (at lower ends)  +  (at upper ends)

of its logits x = scale s, where g is the derivative of the gate. In terms of raw dot products
r_j = a (s_j - l) and g = a / scale, so that one base-2 logarithm L takes both the denominator of
the softmax and a: with c = scale / ln 2 and e_j = exp2(c s_j - L),

    y_j = e_j (s_j - l),        dx_j = e_j ((s_j - l + 1 / scale) dP_j - Delta / a) + ...

A row without weights has L = infinity, and all of it is 0. Each program owns what it writes and
adds in a fixed order: no atomics, so the same bits on every run.

Extremal keys are those whose recomputed dot product equals the saved extremum. A matrix unit adds
the products of a dot product in the order of the head dimension, whichever operand comes first:
``docs/results/attention_h100.py --check`` looks at that for every head dimension.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ._triton_tiles import block_range, load_tile, load_visible, outer_block, store_tile

__all__ = ["keys_kernel", "queries_kernel"]


@triton.jit
def _load_rows(statistics, numbers, plane, row, form: tl.constexpr, extrema: tl.constexpr):
    """Return L, Delta / a, the gate's ends and the gradients there, of a block of queries."""
    logarithm = tl.load(statistics + row)
    delta = tl.load(numbers + row)
    low = delta
    high = delta
    at_low = delta
    at_high = delta
    if form != "plain":
        low = tl.load(statistics + plane + row)
        if extrema:
            at_low = tl.load(numbers + plane + row)
            if form != "shifted":
                high = tl.load(statistics + 2 * plane + row)
                at_high = tl.load(numbers + 2 * plane + row)
    return logarithm, delta, low, high, at_low, at_high


@triton.jit
def _differentiate(
    s,
    dp,
    numbers,
    units,
    axis: tl.constexpr,
    form: tl.constexpr,
    extrema: tl.constexpr,
):
    """Return the weights of a tile and the gradient of its logits; queries lie along an axis."""
    logarithm, delta, low, high, at_low, at_high = numbers
    exponent_scale, inverse_scale = units
    e = tl.math.exp2(s * exponent_scale - tl.expand_dims(logarithm, 1 - axis))
    lifted = s
    if form != "plain":
        lifted = s - tl.expand_dims(low, 1 - axis)
    weights = e * lifted
    gradient = e * ((lifted + inverse_scale) * dp - tl.expand_dims(delta, 1 - axis))
    if extrema:
        at_upper = tl.zeros_like(s)
        if form != "shifted":
            upper = s == tl.expand_dims(high, 1 - axis)
            at_upper = tl.where(upper, tl.expand_dims(at_high, 1 - axis), 0.0)
        # Both at once only where both are 0: lifted is 0 exactly at the lower end.
        gradient += tl.where(lifted == 0.0, tl.expand_dims(at_low, 1 - axis), at_upper)
    return weights, gradient


@triton.jit
def _add_keys(
    total,
    query,
    cotangent,
    keys,
    values,
    mask,
    mask_strides,
    block,
    bounds,
    rows,
    numbers,
    units,
    form: tl.constexpr,
    extrema: tl.constexpr,
    has_mask: tl.constexpr,
    masked: tl.constexpr,
    dim: tl.constexpr,
    dim_v: tl.constexpr,
    block_dim: tl.constexpr,
    block_dim_v: tl.constexpr,
    block_n: tl.constexpr,
):
    """Add what one block of keys gives to dq."""
    k, k_row = keys
    v, v_row = values
    key_low, key_high = bounds
    first = block * block_n
    key_tile = load_tile(k, first, key_low, key_high, k_row, block_n, dim, block_dim, masked)
    value = load_tile(v, first, key_low, key_high, v_row, block_n, dim_v, block_dim_v, masked)
    s = tl.dot(query, tl.trans(key_tile))
    dp = tl.dot(cotangent, tl.trans(value))
    _, gradient = _differentiate(s, dp, numbers, units, 0, form, extrema)
    if masked:
        row, row_start, row_stop = rows
        key = first + tl.arange(0, block_n)
        visible = load_visible(
            mask,
            mask_strides,
            row[:, None],
            key[None, :],
            row_start[:, None],
            row_stop[:, None],
            has_mask,
        )
        gradient = tl.where(visible, gradient, 0.0)
        if has_mask:
            # What a key hidden from all these rows holds, NaN say, must not meet a gradient 0.
            shown = tl.max(visible.to(tl.int32), 0) > 0
            key_tile = tl.where(shown[:, None], key_tile, 0.0)
    return tl.dot(gradient.to(key_tile.dtype), key_tile, total)


# Numbers whose value must not compile a kernel anew.
@triton.jit(do_not_specialize=["bounds_stride", "heads", "group", "queries"])
def queries_kernel(
    q,
    k,
    v,
    dout,
    dq,
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
    """Write dq of a block of queries of one head."""
    # Under a causal mask the last queries see the most keys: they start first.
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    q += batch * q_strides[0] + head * q_strides[1]
    k += batch * k_strides[0] + (head // group) * k_strides[1]
    v += batch * v_strides[0] + (head // group) * v_strides[1]
    dout += batch * dout_strides[0] + head * dout_strides[1]
    mask += batch * mask_strides[0] + head * mask_strides[1]
    first = block * block_m
    # Rows beyond the last are copies of it, which are not stored.
    row = tl.minimum(first + tl.arange(0, block_m), queries - 1)
    row_start = tl.load(start + batch * bounds_stride + row)
    row_stop = tl.load(stop + batch * bounds_stride + row)
    key_low, key_high, begin, inner_begin, inner_end, end = block_range(
        row_start, row_stop, block_n, has_mask
    )
    units = (scale * 1.4426950408889634, 1.0 / scale)
    plane = tl.num_programs(1).to(tl.int64) * queries
    base = tl.program_id(1).to(tl.int64) * queries
    row_numbers = _load_rows(statistics + base, numbers + base, plane, row, form, extrema)
    query = load_tile(q, first, 0, queries, q_strides[2], block_m, dim, block_dim, checked=True)
    cotangent = load_tile(
        dout, first, 0, queries, dout_strides[2], block_m, dim_v, block_dim_v, checked=True
    )
    total = tl.zeros([block_m, block_dim], tl.float32)
    for i in tl.range(inner_begin, inner_end):
        total = _add_keys(
            total,
            query,
            cotangent,
            (k, k_strides[2]),
            (v, v_strides[2]),
            mask,
            mask_strides,
            i,
            (key_low, key_high),
            (row, row_start, row_stop),
            row_numbers,
            units,
            form,
            extrema,
            has_mask,
            masked=False,
            dim=dim,
            dim_v=dim_v,
            block_dim=block_dim,
            block_dim_v=block_dim_v,
            block_n=block_n,
        )
    for i in tl.range(0, inner_begin - begin + end - inner_end):
        total = _add_keys(
            total,
            query,
            cotangent,
            (k, k_strides[2]),
            (v, v_strides[2]),
            mask,
            mask_strides,
            outer_block(i, begin, inner_begin, inner_end),
            (key_low, key_high),
            (row, row_start, row_stop),
            row_numbers,
            units,
            form,
            extrema,
            has_mask,
            masked=True,
            dim=dim,
            dim_v=dim_v,
            block_dim=block_dim,
            block_dim_v=block_dim_v,
            block_n=block_n,
        )
    # A row that sees no key has no gradient, whatever its q and dout hold.
    total = tl.where((row_stop > row_start)[:, None], total * scale, 0.0)
    store_tile(dq + base * dim, total, first, queries, block_m, dim, block_dim)


@triton.jit
def _add_queries(
    total_k,
    total_v,
    key_tile,
    value,
    rows,
    cotangents,
    statistics,
    numbers,
    plane,
    start,
    stop,
    mask,
    mask_strides,
    block,
    key_first,
    queries,
    units,
    form: tl.constexpr,
    extrema: tl.constexpr,
    has_mask: tl.constexpr,
    masked: tl.constexpr,
    dim: tl.constexpr,
    dim_v: tl.constexpr,
    block_dim: tl.constexpr,
    block_dim_v: tl.constexpr,
    block_m: tl.constexpr,
    block_n: tl.constexpr,
):
    """Add what one block of queries gives to dk and dv; tiles are (keys, queries)."""
    q, q_row = rows
    dout, dout_row = cotangents
    first = block * block_m
    row = first + tl.arange(0, block_m)
    query = load_tile(q, first, 0, queries, q_row, block_m, dim, block_dim, masked)
    cotangent = load_tile(dout, first, 0, queries, dout_row, block_m, dim_v, block_dim_v, masked)
    if masked:
        # Rows beyond the last are copies of it, with q and dout 0.
        row = tl.minimum(row, queries - 1)
        row_start = tl.load(start + row)
        row_stop = tl.load(stop + row)
        # What a row that sees none of these keys holds, NaN say, must not meet a weight 0.
        sees = (row_start < key_first + block_n) & (row_stop > key_first) & (row_stop > row_start)
        query = tl.where(sees[:, None], query, 0.0)
        cotangent = tl.where(sees[:, None], cotangent, 0.0)
    s = tl.dot(key_tile, tl.trans(query))
    dp = tl.dot(value, tl.trans(cotangent))
    row_numbers = _load_rows(statistics, numbers, plane, row, form, extrema)
    weights, gradient = _differentiate(s, dp, row_numbers, units, 1, form, extrema)
    if masked:
        key = key_first + tl.arange(0, block_n)
        visible = load_visible(
            mask,
            mask_strides,
            row[None, :],
            key[:, None],
            row_start[None, :],
            row_stop[None, :],
            has_mask,
        )
        weights = tl.where(visible, weights, 0.0)
        gradient = tl.where(visible, gradient, 0.0)
    total_v = tl.dot(weights.to(cotangent.dtype), cotangent, total_v)
    total_k = tl.dot(gradient.to(query.dtype), query, total_k)
    return total_k, total_v


# Numbers whose value must not compile a kernel anew.
@triton.jit(do_not_specialize=["bounds_stride", "ranges_stride", "kv_heads", "queries", "keys"])
def keys_kernel(
    q,
    k,
    v,
    dout,
    dk,
    dv,
    statistics,
    numbers,
    ranges,
    start,
    stop,
    mask,
    q_strides,
    k_strides,
    v_strides,
    dout_strides,
    bounds_stride,
    ranges_stride,
    mask_strides,
    kv_heads,
    queries,
    keys,
    scale,
    group: tl.constexpr,
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
    """Write dk and dv of a block of keys of one head of k and v."""
    batch = (tl.program_id(1) // kv_heads).to(tl.int64)
    kv_head = (tl.program_id(1) % kv_heads).to(tl.int64)
    k += batch * k_strides[0] + kv_head * k_strides[1]
    v += batch * v_strides[0] + kv_head * v_strides[1]
    start += batch * bounds_stride
    stop += batch * bounds_stride
    key_first = tl.program_id(0) * block_n
    ranges += batch * ranges_stride + tl.program_id(0) * 4
    begin = tl.load(ranges)
    inner_begin = tl.load(ranges + 1)
    inner_end = tl.load(ranges + 2)
    end = tl.load(ranges + 3)
    if has_mask:
        inner_begin = end
        inner_end = end
    units = (scale * 1.4426950408889634, 1.0 / scale)
    plane = tl.num_programs(1).to(tl.int64) * group * queries
    key_tile = load_tile(k, key_first, 0, keys, k_strides[2], block_n, dim, block_dim, checked=True)
    value = load_tile(
        v, key_first, 0, keys, v_strides[2], block_n, dim_v, block_dim_v, checked=True
    )
    total_k = tl.zeros([block_n, block_dim], tl.float32)
    total_v = tl.zeros([block_n, block_dim_v], tl.float32)
    for member in range(group):
        head = kv_head * group + member
        head_q = q + batch * q_strides[0] + head * q_strides[1]
        head_dout = dout + batch * dout_strides[0] + head * dout_strides[1]
        head_mask = mask + batch * mask_strides[0] + head * mask_strides[1]
        base = (batch * kv_heads * group + head) * queries
        for i in tl.range(inner_begin, inner_end):
            total_k, total_v = _add_queries(
                total_k,
                total_v,
                key_tile,
                value,
                (head_q, q_strides[2]),
                (head_dout, dout_strides[2]),
                statistics + base,
                numbers + base,
                plane,
                start,
                stop,
                head_mask,
                mask_strides,
                i,
                key_first,
                queries,
                units,
                form,
                extrema,
                has_mask,
                masked=False,
                dim=dim,
                dim_v=dim_v,
                block_dim=block_dim,
                block_dim_v=block_dim_v,
                block_m=block_m,
                block_n=block_n,
            )
        for i in tl.range(0, inner_begin - begin + end - inner_end):
            total_k, total_v = _add_queries(
                total_k,
                total_v,
                key_tile,
                value,
                (head_q, q_strides[2]),
                (head_dout, dout_strides[2]),
                statistics + base,
                numbers + base,
                plane,
                start,
                stop,
                head_mask,
                mask_strides,
                outer_block(i, begin, inner_begin, inner_end),
                key_first,
                queries,
                units,
                form,
                extrema,
                has_mask,
                masked=True,
                dim=dim,
                dim_v=dim_v,
                block_dim=block_dim,
                block_dim_v=block_dim_v,
                block_m=block_m,
                block_n=block_n,
            )
    rows = tl.program_id(1).to(tl.int64) * keys
    store_tile(dk + rows * dim, total_k * scale, key_first, keys, block_n, dim, block_dim)
    store_tile(dv + rows * dim_v, total_v, key_first, keys, block_n, dim_v, block_dim_v)
