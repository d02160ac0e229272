"""What hides keys from queries, in the form that costs least to use.

Bands and documents are integers on the host, so that the fastest kernel can be chosen without
waiting for a device. Lengths, positions and masks are tensors, never looked at here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ._band import Band
from ._visible import Visible

__all__ = ["AttentionMask"]


@dataclass(frozen=True, eq=False)
class AttentionMask:
    """Query i sees key j if everything given here lets it."""

    band: Band
    """About the index of the query, or of its ``positions``."""

    device: torch.device

    positions: Tensor | None = None
    """int64 of shape (batch or 1, queries): stands in for the index of the query in the band."""

    lengths: Tensor | None = None
    """int64 of shape (batch,): keys before it are real."""

    documents: tuple[int, ...] | None = None
    """Lengths of the documents that queries and keys, equally many, are divided into; each query
    sees its own."""

    mask: Tensor | None = None
    """bool of shape (batch or 1, heads or 1, queries or 1, keys)."""

    @property
    def is_band(self) -> bool:
        """Whether there is nothing but the band."""
        extras = (self.positions, self.lengths, self.documents, self.mask)
        return all(extra is None for extra in extras)

    @property
    def of_keys(self) -> bool:
        """Whether all queries of a batch entry and head see the same keys."""
        unlimited = self.band.low is None and self.band.high is None
        unlimited = unlimited or (self.positions is None and self.band.sees_all())
        rows = self.documents is None and (self.mask is None or self.mask.shape[2] == 1)
        return unlimited and rows

    def visible(self) -> Visible:
        """Return intervals of keys, and the mask."""
        start, stop = (bound.int() for bound in self._bounds())
        return Visible(self.band.keys, start, stop, self.mask)

    def counts(self, dtype: torch.dtype, *, least: int = 0) -> Tensor:
        """Return the number of visible keys, (batch or 1, heads or 1, queries or 1, 1).

        Where it is less than ``least``, 0 or 1, that is returned.
        """
        if self.is_band:
            counts = self.band.counts(self.device, dtype)[None, None, :, None]
            return counts.clamp(min=least) if least and self.band.has_empty_rows() else counts
        own = self.of_one_query() if self.of_keys else self
        counts = own.visible().counts()
        return (counts.clamp(min=least) if least else counts).to(dtype)

    def of_one_query(self) -> AttentionMask:
        """Return the same for the first query alone: where all see the same keys, for all."""
        return replace(self, band=Band(1, self.band.keys), positions=None)

    def keys_of(self, row: int, row_stop: int) -> tuple[int, int]:
        """Return an interval with all keys that some rows see, as far as the host knows."""
        return self.band.keys_of(row, row_stop) if self.positions is None else (0, self.band.keys)

    def part(self, queries: slice, keys: slice) -> AttentionMask:
        """Return what some queries see of some keys, where there is nothing but the band."""
        return AttentionMask(self.band.part(queries, keys), self.device)

    def document(self, first: int, length: int) -> AttentionMask:
        """Return what queries and keys of one document see of each other."""
        inside = slice(first, first + length)
        mask = self.mask
        if mask is not None:
            mask = mask[:, :, slice(None) if mask.shape[2] == 1 else inside, inside]
        return AttentionMask(
            self.band.part(inside, inside),
            self.device,
            lengths=None if self.lengths is None else self.lengths - first,
            mask=mask,
        )

    def _bounds(self) -> tuple[Tensor, Tensor]:
        """Return start and stop: int64, (batch or 1, queries)."""
        band = self.band
        start, stop = self._limits()
        batch = stop.shape[0] if start.shape[0] == 1 else start.shape[0]
        start, stop = (bound.expand(batch, self.band.queries) for bound in (start, stop))
        return start.clamp(0, band.keys), stop.clamp(0, band.keys)

    def _limits(self) -> tuple[Tensor, Tensor]:
        band = self.band
        if self.positions is None:
            low, high = band.bounds(self.device, torch.int64)
        else:
            low, high = (
                None if edge is None else self.positions + edge for edge in (band.low, band.high)
            )
        start = torch.zeros((1, 1), dtype=torch.int64, device=self.device)
        stop = start + band.keys
        if low is not None:
            start = torch.maximum(start, low)
        if high is not None:
            stop = torch.minimum(stop, high)
        if self.lengths is not None:
            stop = torch.minimum(stop, self.lengths[:, None])
        if self.documents is not None:
            sizes = torch.tensor(self.documents, dtype=torch.int64)
            ends = sizes.cumsum(0)
            # A copy to a GPU, small as it is, would be waited for otherwise.
            first, last = (
                edge.repeat_interleave(sizes).to(self.device, non_blocking=True)
                for edge in (ends - sizes, ends)
            )
            start, stop = torch.maximum(start, first), torch.minimum(stop, last)
        return start, stop
