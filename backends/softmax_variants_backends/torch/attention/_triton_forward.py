# mypy: ignore-errors
"""SA-Softmax attention, forward: one pass over the keys that never writes the weights.

With raw dot products s = q . k, c the scale, a running maximum M and a running lower end l of the
gate (0 or the minimum), two sums are kept for each query,

    A = sum_j exp(c (s_j - M)) v_j        and        B = sum_j exp(c (s_j - M)) (s_j - l) v_j,

and when l falls by d, B grows by d A. No weight in either is negative, and none is the difference
of two that have been rounded to 16 bits: the relative error of a weight stays that of one
rounding. A over the denominator is softmax attention, which the gradient through the minimum
needs.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ._triton_tiles import block_range, load_tile, load_visible, outer_block, store_tile

__all__ = ["forward_kernel"]


@triton.jit
def _attend(
    state,
    query,
    keys,
    values,
    mask,
    mask_strides,
    block,
    bounds,
    rows,
    units,
    form: tl.constexpr,
    ties: tl.constexpr,
    has_mask: tl.constexpr,
    masked: tl.constexpr,
    dim: tl.constexpr,
    dim_v: tl.constexpr,
    block_dim: tl.constexpr,
    block_dim_v: tl.constexpr,
    block_n: tl.constexpr,
):
    """Take one block of keys into the running sums."""
    weighted, softmax, top, low, total, ties_top, ties_low = state
    k, k_row = keys
    v, v_row = values
    key_low, key_high = bounds
    unit, exponent_scale = units
    first = block * block_n
    key_tile = load_tile(k, first, key_low, key_high, k_row, block_n, dim, block_dim, masked)
    value = load_tile(v, first, key_low, key_high, v_row, block_n, dim_v, block_dim_v, masked)
    s = tl.dot(query, tl.trans(key_tile))
    above = s
    below = s
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
        if has_mask:
            # What a key hidden from all these rows holds, NaN say, must not meet a weight 0.
            shown = tl.max(visible.to(tl.int32), 0) > 0
            value = tl.where(shown[:, None], value, 0.0)
        above = tl.where(visible, s, -float("inf"))
        below = tl.where(visible, s, float("inf"))
    new_top = tl.maximum(top, tl.max(above, 1))
    if ties:
        ties_top = tl.where(new_top == top, ties_top, 0.0)
        ties_top += tl.sum(tl.where(above == new_top[:, None], 1.0, 0.0), 1)
    # A row that has seen no key yet has an infinite extremum: 0 stands for it.
    safe_top = tl.where(new_top == -float("inf"), 0.0, new_top)
    decay = tl.math.exp2((top - safe_top) * exponent_scale)
    p = tl.math.exp2(s * exponent_scale - (safe_top * exponent_scale)[:, None])
    if form == "plain":
        w = p * (s * unit)
        if masked:
            p = tl.where(visible, p, 0.0)
            w = tl.where(visible, w, 0.0)
        weighted = weighted * decay[:, None]
    else:
        new_low = tl.minimum(low, tl.min(below, 1))
        if ties:
            ties_low = tl.where(new_low == low, ties_low, 0.0)
            ties_low += tl.sum(tl.where(below == new_low[:, None], 1.0, 0.0), 1)
        safe_low = tl.where(new_low == float("inf"), 0.0, new_low)
        fall = tl.where(low == float("inf"), 0.0, low - safe_low)
        w = p * ((s - safe_low[:, None]) * unit)
        if masked:
            p = tl.where(visible, p, 0.0)
            w = tl.where(visible, w, 0.0)
        softmax = softmax * decay[:, None]
        weighted = weighted * decay[:, None] + softmax * (fall * unit)[:, None]
        softmax = tl.dot(p.to(value.dtype), value, softmax)
        low = new_low
    total = total * decay + tl.sum(p, 1)
    weighted = tl.dot(w.to(value.dtype), value, weighted)
    return weighted, softmax, new_top, low, total, ties_top, ties_low


# Numbers whose value must not compile a kernel anew.
@triton.jit(do_not_specialize=["bounds_stride", "heads", "group", "queries"])
def forward_kernel(
    q,
    k,
    v,
    out,
    softmax_out,
    statistics,
    start,
    stop,
    mask,
    q_strides,
    k_strides,
    v_strides,
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
    """Attend from a block of queries of one head.

    ``statistics`` holds up to five numbers a query: the base-2 logarithm of what divides
    exp(c s_j) (s_j - l) in the weight, the gate's lower and upper end among raw dot products, and
    with ``extrema`` how many entries attain the upper and the lower one.
    """
    # Under a causal mask the last queries see the most keys: they start first.
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    q += batch * q_strides[0] + head * q_strides[1]
    k += batch * k_strides[0] + (head // group) * k_strides[1]
    v += batch * v_strides[0] + (head // group) * v_strides[1]
    mask += batch * mask_strides[0] + head * mask_strides[1]
    first = block * block_m
    # Rows beyond the last are copies of it, which are not stored.
    row = tl.minimum(first + tl.arange(0, block_m), queries - 1)
    row_start = tl.load(start + batch * bounds_stride + row)
    row_stop = tl.load(stop + batch * bounds_stride + row)
    key_low, key_high, begin, inner_begin, inner_end, end = block_range(
        row_start, row_stop, block_n, has_mask
    )
    # float16 weights in raw units could overflow; in units of logits they do not before 65504.
    half: tl.constexpr = out.dtype.element_ty == tl.float16
    unit = scale if half else 1.0
    exponent_scale = scale * 1.4426950408889634
    query = load_tile(q, first, 0, queries, q_strides[2], block_m, dim, block_dim, checked=True)

    weighted = tl.zeros([block_m, block_dim_v], tl.float32)
    softmax = tl.zeros([block_m, block_dim_v], tl.float32)
    top = tl.full([block_m], -float("inf"), tl.float32)
    total = tl.zeros([block_m], tl.float32)
    ties_top = tl.zeros([block_m], tl.float32)
    # In the normalized form the appended 0 is there from the start.
    appended: tl.constexpr = 1.0 if form == "normalized" else 0.0
    low = tl.full([block_m], 0.0 if form == "normalized" else float("inf"), tl.float32)
    ties_low = tl.full([block_m], appended, tl.float32)

    for i in tl.range(inner_begin, inner_end):
        weighted, softmax, top, low, total, ties_top, ties_low = _attend(
            (weighted, softmax, top, low, total, ties_top, ties_low),
            query,
            (k, k_strides[2]),
            (v, v_strides[2]),
            mask,
            mask_strides,
            i,
            (key_low, key_high),
            (row, row_start, row_stop),
            (unit, exponent_scale),
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
        weighted, softmax, top, low, total, ties_top, ties_low = _attend(
            (weighted, softmax, top, low, total, ties_top, ties_low),
            query,
            (k, k_strides[2]),
            (v, v_strides[2]),
            mask,
            mask_strides,
            outer_block(i, begin, inner_begin, inner_end),
            (key_low, key_high),
            (row, row_start, row_stop),
            (unit, exponent_scale),
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

    empty = total == 0.0
    safe_total = tl.where(empty, 1.0, total)
    safe_top = tl.where(top == -float("inf"), 0.0, top)
    logarithm = safe_top * exponent_scale + tl.math.log2(safe_total)
    high = safe_top
    if form == "normalized":
        high = tl.maximum(safe_top, 0.0)
        # The appended 0 ties with keys at 0.
        ties_top += tl.where(top == 0.0, 1.0, 0.0)
    safe_low = tl.where(low == float("inf"), 0.0, low)
    if form == "normalized" or form == "minmax":
        spread = high - safe_low
        nothing = empty | (spread == 0.0)
        spread = tl.where(spread == 0.0, 1.0, spread)
        weight = tl.where(nothing, 0.0, 1.0 / (safe_total * (spread * unit)))
        logarithm += tl.math.log2(spread)
    else:
        nothing = empty
        weight = (scale / unit) / safe_total
        logarithm -= tl.math.log2(scale)
    # exp2 of minus infinity: no weight, no gradient.
    logarithm = tl.where(nothing, float("inf"), logarithm)

    plane = tl.num_programs(1).to(tl.int64) * queries
    statistics += tl.program_id(1).to(tl.int64) * queries + first + tl.arange(0, block_m)
    inside = first + tl.arange(0, block_m) < queries
    tl.store(statistics, logarithm, mask=inside)
    if form != "plain":
        tl.store(statistics + plane, safe_low, mask=inside)
        tl.store(statistics + 2 * plane, high, mask=inside)
    base = tl.program_id(1).to(tl.int64) * queries * dim_v
    # A row that sees no key may have met another row's NaN in a weight 0 times a value.
    result = tl.where(empty[:, None], 0.0, weighted * weight[:, None])
    store_tile(out + base, result, first, queries, block_m, dim_v, block_dim_v)
    if extrema:
        tl.store(statistics + 3 * plane, ties_top, mask=inside)
        tl.store(statistics + 4 * plane, ties_low, mask=inside)
        result = tl.where(empty[:, None], 0.0, softmax / safe_total[:, None])
        store_tile(softmax_out + base, result, first, queries, block_m, dim_v, block_dim_v)
