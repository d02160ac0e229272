"""Softmax attention by PyTorch's scaled_dot_product_attention, without a (queries, keys) mask.

A causal mask is the kernels' own flag, a window a batch of blocks, packed documents one call each.
What is left, lengths and masks that only the device knows, becomes a boolean mask, of a block of
queries at a time where it is large. Queries that see nothing get 0 here: kernels differ in them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ._band import Band
from ._call import Call, zeros
from ._masked import Bias, masked_attention

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._attention_mask import AttentionMask

__all__ = ["dot_product_attention"]

SMALLEST_BLOCK, LARGEST_BLOCK = 64, 1024
"""Of queries, in a sliding window: fewer leave a GPU's tiles empty, more only hide more keys."""


def dot_product_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: AttentionMask,
    *,
    scale: float,
    bias: Tensor | None = None,
    bias_factor: Tensor | float | None = None,
    dropout_p: float = 0.0,
) -> Tensor:
    """Return sum_j p_ij v_j, with p_i the softmax of scale q_i k + factor_i bias_i, keys visible.

    ``bias`` is floating, of shape (batch or 1, heads or 1, queries or 1, keys), and read where
    keys are visible; ``bias_factor`` broadcasts to (batch, heads, queries, 1).
    """
    if 0 in (*q.shape[:3], k.shape[2]):
        return zeros(q, k, v)
    added = None if bias is None else Bias(bias, bias_factor)
    return _attention(q, k, v, mask, Call(scale, dropout_p), added)


def _attention(
    q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, call: Call, bias: Bias | None
) -> Tensor:
    if mask.documents is not None:
        return _documents(q, k, v, mask, call, bias)
    if bias is not None or not mask.is_band:
        return masked_attention(q, k, v, mask, call, bias)
    return _banded(q, k, v, mask, call)


def _documents(
    q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, call: Call, bias: Bias | None
) -> Tensor:
    lengths = [length for length in mask.documents or () if length]
    # The derivative of split is one concatenation; those of slices would be an array each.
    parts = zip(*(torch.split(x, lengths, dim=2) for x in (q, k, v)), strict=True)
    results, first = [], 0
    for length, (own_q, own_k, own_v) in zip(lengths, parts, strict=True):
        inside = slice(first, first + length)
        own_bias = None if bias is None else bias.block(inside, inside)
        own_mask = mask.document(first, length)
        results.append(_attention(own_q, own_k, own_v, own_mask, call, own_bias))
        first += length
    return torch.cat(results, dim=2)


def _banded(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, call: Call) -> Tensor:
    """Attention for a band: each kind of row in the way that is fastest for it."""
    if mask.band.sees_all():
        return call(q, k, v)
    first, middle, right, last, limited = mask.band.pieces()
    kinds: list[tuple[int, Callable[..., Tensor]]] = [
        (first, _empty),
        (middle - first, _causal),
        (right - middle, _sliding if limited else _unmasked),
        (last - right, masked_attention),
        (q.shape[2] - last, _empty),
    ]
    kinds = [kind for kind in kinds if kind[0] > 0]
    if len(kinds) == 1 and mask.band.keys_of(0, q.shape[2]) == (0, k.shape[2]):
        return kinds[0][1](q, k, v, mask, call)
    rows = torch.split(q, [size for size, _ in kinds], dim=2) if len(kinds) > 1 else (q,)
    results, row = [], 0
    for own, (size, attention) in zip(rows, kinds, strict=True):
        low, high = mask.band.keys_of(row, row + size)
        part = mask.part(slice(row, row + size), slice(low, high))
        if size == 1 and attention is not _empty:
            # These are its keys.
            attention = _unmasked
        results.append(attention(own, k[:, :, low:high], v[:, :, low:high], part, call))
        row += size
    return results[0] if len(results) == 1 else torch.cat(results, dim=2)


def _empty(q: Tensor, k: Tensor, v: Tensor, _: AttentionMask, __: Call) -> Tensor:
    return zeros(q, k, v)


def _unmasked(q: Tensor, k: Tensor, v: Tensor, _: AttentionMask, call: Call) -> Tensor:
    return call(q, k, v)


def _causal(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, call: Call) -> Tensor:
    """Attention where the last query sees all keys, and each before it one less."""
    queries, keys = q.shape[2], k.shape[2]
    if queries == keys:
        return call(q, k, v, is_causal=True)
    if call.has_lower_right(q, k, v):
        return call.lower_right(q, k, v)
    return masked_attention(q, k, v, mask, call)


def _sliding(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, call: Call) -> Tensor:
    """Attention where query i sees keys i ... i + width - 1: blocks of queries, as a batch.

    The keys of a block overlap with those of the next. With blocks about as long as the window,
    both the copies of keys and the hidden part of the products are about once what is needed.
    """
    batch, queries = q.shape[0], q.shape[2]
    width = k.shape[2] - queries + 1
    size = max(SMALLEST_BLOCK, min(LARGEST_BLOCK, width))
    blocks = queries // size
    if blocks < 2:
        return masked_attention(q, k, v, mask, call)
    rows, span = blocks * size, size + width - 1
    main = rows + width - 1
    block_q = torch.unflatten(q[:, :, :rows], 2, (blocks, size)).transpose(1, 2).flatten(0, 1)
    block_k, block_v = (
        x[:, :, :main].unfold(2, span, size).permute(0, 2, 1, 4, 3).flatten(0, 1) for x in (k, v)
    )
    band = Band(size, span, mask.band.low, mask.band.high)
    shown = replace(mask, band=band).visible().dense(0, size, 0, span)
    out = call(block_q, block_k, block_v, shown)
    out = torch.unflatten(out, 0, (batch, blocks)).transpose(1, 2).flatten(2, 3)
    if rows == queries:
        return out
    left = mask.part(slice(rows, queries), slice(rows, k.shape[2]))
    rest = masked_attention(q[:, :, rows:], k[:, :, rows:], v[:, :, rows:], left, call)
    return torch.cat((out, rest), dim=2)
