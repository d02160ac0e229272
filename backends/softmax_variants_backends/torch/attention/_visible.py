"""Which keys each query sees: an interval of keys for each query, and a mask within it.

Causal masks, sliding windows, padding on the right, packed documents and positions in a cache are
all intervals, so that they need no (queries, keys) mask, nor do the counts of visible keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Visible"]


@dataclass(frozen=True, eq=False)
class Visible:
    """Key j is visible to query i if start_i <= j < stop_i and the mask, if any, is True there."""

    keys: int
    """Number of keys."""

    start: Tensor
    """int32 of shape (batch or 1, queries): the first key in the interval, in [0, keys]."""

    stop: Tensor
    """int32 of shape (batch or 1, queries): one past the last, in [0, keys]; at or before start
    for a query that sees nothing."""

    mask: Tensor | None = None
    """bool of shape (batch or 1, heads or 1, queries or 1, keys)."""

    @property
    def queries(self) -> int:
        """Number of queries."""
        return self.start.shape[1]

    def counts(self) -> Tensor:
        """Return the number of visible keys: int64 of shape (batch or 1, heads or 1, queries, 1).

        Only a mask with a row for each query is looked at in full.
        """
        start, stop = (bound.long()[:, None, :, None] for bound in (self.start, self.stop))
        if self.mask is None:
            return (stop - start).clamp(min=0)
        if self.mask.shape[2] == 1:
            # Visible keys before each position: (batch, heads, 1, keys + 1).
            before = torch.nn.functional.pad(self.mask.long().cumsum(-1), (1, 0))
            shape = (max(before.shape[0], start.shape[0]), before.shape[1])
            before = before.expand(*shape, 1, self.keys + 1)[:, :, 0]
            inside = [
                before.gather(-1, bound[..., 0].expand(*shape, self.queries))
                for bound in (start, torch.maximum(start, stop))
            ]
            return (inside[1] - inside[0])[..., None]
        return self.dense(0, self.queries, 0, self.keys).sum(-1, keepdim=True)

    def dense(self, query: int, query_stop: int, key: int, key_stop: int) -> Tensor:
        """Return the mask of a block: bool, (batch or 1, heads or 1, its queries, its keys)."""
        position = torch.arange(key, key_stop, device=self.start.device, dtype=torch.int32)
        start, stop = (bound[:, None, query:query_stop, None] for bound in (self.start, self.stop))
        inside = (position >= start) & (position < stop)
        if self.mask is None:
            return inside
        rows = slice(None) if self.mask.shape[2] == 1 else slice(query, query_stop)
        return inside & self.mask[:, :, rows, key:key_stop]

    def block_bounds(self, block: int) -> list[tuple[int, int]]:
        """Return, for each block of queries, the interval of keys that all its queries' lie in.

        Waits for the device; where that is not allowed, as a CUDA graph is captured, they are all
        keys.
        """
        if self.start.is_cuda and torch.cuda.is_current_stream_capturing():
            return [(0, self.keys)] * -(-self.queries // block)
        start, stop = self.start.cpu(), self.stop.cpu()
        bounds = []
        for query in range(0, self.queries, block):
            low = start[:, query : query + block]
            high = stop[:, query : query + block]
            seen = high > low
            bounds.append((int(low[seen].min()), int(high[seen].max())) if seen.any() else (0, 0))
        return bounds
