"""The mask of all arguments, written out; attention by way of all of its weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

import softmax_variants as sv


def dense_mask(
    batch: int,
    heads: int,
    queries: int,
    keys: int,
    *,
    mask: Tensor | None = None,
    offset: int | None = None,
    cache_position: Tensor | None = None,
    key_lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    causal: bool = False,
    window: Any = None,
) -> Tensor:
    """Return the mask of all arguments, with all of its entries."""
    shown = torch.ones(batch, heads, queries, keys, dtype=torch.bool)
    query, key = torch.arange(queries)[:, None], torch.arange(keys)
    position = query + (keys - queries if offset is None else offset)
    if cu_seqlens is not None:
        document = (torch.arange(queries)[:, None] >= cu_seqlens[1:]).sum(1)
        shown &= document[:, None] == document
        position = query
    if cache_position is not None:
        position = cache_position.expand(batch, queries)[:, None, :, None]
    if causal:
        shown &= key <= position
    if window is not None:
        left, right = (window - 1, 0) if isinstance(window, int) else window
        shown &= left is None or key >= position - left
        shown &= right is None or key <= position + right
    if key_lengths is not None:
        shown &= key < key_lengths[:, None, None, None]
    if mask is not None and mask.dtype == torch.bool:
        shown &= mask
    elif mask is not None:
        shown &= ~((mask == -math.inf) | (mask < torch.finfo(mask.dtype).min / 2))
    return shown


def dense_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shown: Tensor,
    *,
    variant: str = "softmax",
    bias: Tensor | None = None,
    scale: float | None = None,
    **options: Any,
) -> Tensor:
    """Return attention by the variant's own function of the logits."""
    group = q.shape[1] // k.shape[1]
    scale = 1.0 / math.sqrt(q.shape[3]) if scale is None else scale
    logits = scale * q @ k.repeat_interleave(group, 1).mT
    if bias is not None:
        logits = logits + torch.where(shown, bias, 0.0)
    weights = getattr(sv, variant)(logits, where=shown, **options)
    return weights @ v.repeat_interleave(group, 1)
