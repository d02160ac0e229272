"""Softmax attention with a mask that is written out, a block of queries at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ._call import Call, zeros

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._attention_mask import AttentionMask
    from ._visible import Visible

__all__ = ["Bias", "masked_attention"]

MASK_ENTRIES = 2**26
"""Entries of a mask that exist at a time, 64 MiB as booleans."""


class Bias:
    """What is added to the logits: factor * values, in the dtype that the kernels take.

    Parameters
    ----------
    values : Tensor
        Floating, of shape (batch or 1, heads or 1, queries or 1, keys). Hidden keys' are ignored.
    factor : Tensor or float, optional
        Broadcasts to (batch, heads, queries, 1).
    """

    def __init__(self, values: Tensor, factor: Tensor | float | None = None) -> None:
        self.values, self.factor = values, factor

    def block(self, queries: slice, keys: slice) -> Bias:
        """Return the bias of some queries and keys."""
        values, factor = self.values, self.factor
        values = values[:, :, slice(None) if values.shape[2] == 1 else queries, keys]
        if isinstance(factor, Tensor) and factor.ndim > 1 and factor.shape[-2] != 1:
            factor = factor[..., queries, :]
        return Bias(values, factor)

    def logits(self, present: Tensor, q: Tensor) -> Tensor:
        """Return it where ``present``; elsewhere, anything."""
        values = self.values
        if self.factor is None and values.dtype == q.dtype:
            return values
        values = values.to(torch.float64 if q.dtype == torch.float64 else torch.float32)
        if self.factor is not None:
            # Hidden entries may hold -inf, whose product with a factor or a gradient of 0 is NaN.
            factor = self.factor
            factor = factor.to(values.dtype) if isinstance(factor, Tensor) else factor
            values = torch.where(present, values, 0.0) * factor
        # Kernels of the CPU take float32 beside 16-bit queries; those of CUDA the same dtype only.
        return values if q.device.type == "cpu" else values.to(q.dtype)


def masked_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, call: Call, bias: Bias | None = None
) -> Tensor:
    """Return softmax attention for any mask but one of documents."""
    if bias is None and mask.of_keys:
        one = mask.of_one_query()
        return _attention(q, k, v, one.visible().dense(0, 1, 0, k.shape[2]), None, call)
    visible = mask.visible()
    blocks = list(_blocks(q, mask, visible, bias))
    if len(blocks) == 1:
        queries: tuple[Tensor, ...] = (q,)
    else:
        # The derivative of split is one concatenation; those of slices would be an array each.
        queries = torch.split(q, [rows.stop - rows.start for rows, _ in blocks], dim=2)
    results = []
    for own, (rows, keys) in zip(queries, blocks, strict=True):
        present = visible.dense(rows.start, rows.stop, keys.start, keys.stop)
        own_bias = None if bias is None else bias.block(rows, keys)
        results.append(_attention(own, k[:, :, keys], v[:, :, keys], present, own_bias, call))
    return results[0] if len(results) == 1 else torch.cat(results, dim=2)


def _blocks(
    q: Tensor, mask: AttentionMask, visible: Visible, bias: Bias | None
) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of queries, and the keys that they may see as far as the host knows."""
    shapes = [(*visible.start.shape[:1], 1)]
    shapes += [] if visible.mask is None else [visible.mask.shape[:2]]
    shapes += [] if bias is None else [bias.values.shape[:2]]
    batch, heads = (max(sizes) for sizes in zip(*shapes, strict=True))
    queries = q.shape[2]
    size = max(16, MASK_ENTRIES // (batch * heads * mask.band.keys))
    if size >= queries:
        yield slice(0, queries), slice(*mask.keys_of(0, queries))
        return
    for row in range(0, queries, size):
        stop = min(row + size, queries)
        yield slice(row, stop), slice(*mask.keys_of(row, stop))


def _attention(
    q: Tensor, k: Tensor, v: Tensor, present: Tensor, bias: Bias | None, call: Call
) -> Tensor:
    if k.shape[2] == 0:
        return zeros(q, k, v)
    # Rows that see nothing are shown everything, and set to 0 afterwards, which stops their
    # gradients too: what kernels make of a row without a key differs, down to NaN.
    seen = present.any(-1, keepdim=True)
    if bias is None:
        out = call(q, k, v, present | ~seen)
    else:
        logits = bias.logits(present, q)
        hidden = torch.where(seen, -torch.inf, 0.0).to(logits.dtype)
        out = call(q, k, v, torch.where(present, logits, hidden))
    return out.masked_fill(~seen, 0.0)
