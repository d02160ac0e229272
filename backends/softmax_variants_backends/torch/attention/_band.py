"""Bands: what causal masks and sliding windows show, known on the host as four integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Band", "Pieces"]


class Pieces(NamedTuple):
    """Where the rows of a band change kind: each entry is the first row of the next kind."""

    first: int
    """Rows before it see nothing: all keys come after them."""

    middle: int
    """Rows before it have a limit on the right only; from here on, see ``limited``."""

    right: int
    """Rows from here on have a limit on the left only."""

    last: int
    """Rows from here on see nothing: all keys come before them."""

    limited: bool
    """Whether rows from ``middle`` to ``right`` have both limits; if not, they have none."""


@dataclass(frozen=True, eq=False)
class Band:
    """Query i sees keys i + low <= j < i + high; None stands for no limit on that side."""

    queries: int
    keys: int
    low: int | None = None
    high: int | None = None

    def bounds(
        self, device: torch.device, dtype: torch.dtype
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the first key of each query and one past its last, clipped to the keys.

        Of shape (queries,); None for 0 and for the number of keys, in all queries.
        """
        start = None if self.low is None else self._edge(self.low, device, dtype)
        stop = None if self.high is None else self._edge(self.high, device, dtype)
        return start, stop

    def counts(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Return the number of keys that each query sees, of shape (queries,)."""
        start, stop = self.bounds(device, dtype)
        if start is None:
            full = torch.full((self.queries,), self.keys, device=device, dtype=dtype)
            return full if stop is None else stop
        # A low beyond high is no band that the front end makes, so that nothing is below 0 here.
        return (self.keys if stop is None else stop) - start

    def sees_all(self) -> bool:
        """Return whether every query sees every key."""
        low, high = self.low, self.high
        return (low is None or low + self.queries <= 1) and (high is None or high >= self.keys)

    def has_empty_rows(self) -> bool:
        """Return whether some query sees nothing."""
        pieces = self.pieces()
        return self.keys == 0 or pieces.first > 0 or pieces.last < self.queries

    def keys_of(self, row: int, row_stop: int) -> tuple[int, int]:
        """Return the interval of keys that a block of rows sees between them."""
        low = 0 if self.low is None else self._clip(row + self.low, 0, self.keys)
        high = self.keys
        if self.high is not None:
            high = self._clip(row_stop - 1 + self.high, 0, self.keys)
        return low, max(low, high)

    def part(self, queries: slice, keys: slice) -> Band:
        """Return the band of some queries and keys."""
        shift = queries.start - keys.start
        low, high = (None if edge is None else edge + shift for edge in (self.low, self.high))
        return Band(queries.stop - queries.start, keys.stop - keys.start, low, high)

    def pieces(self) -> Pieces:
        """Return where rows change kind."""
        queries, keys, low, high = self.queries, self.keys, self.low, self.high
        first = 0 if high is None else self._clip(1 - high, 0, queries)
        last = queries if low is None else self._clip(keys - low, first, queries)
        # Rows before `left` are cut by the first key, rows from `right` on by the last. Where the
        # band is as wide as the keys, each row is one or the other, or sees all.
        right = first if high is None else self._clip(keys - high + 1, first, last)
        if low is not None and high is not None and high - low < keys:
            return Pieces(first, self._clip(-low, first, last), right, last, limited=True)
        left = last if low is None else self._clip(1 - low, first, last)
        return Pieces(first, right, left, last, limited=False)

    def _edge(self, edge: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        position = torch.arange(edge, edge + self.queries, device=device, dtype=dtype)
        # A kernel less for the usual causal mask.
        inside = edge >= 0 and edge + self.queries <= self.keys + 1
        return position if inside else position.clamp(0, self.keys)

    @staticmethod
    def _clip(value: int, least: int, most: int) -> int:
        return max(least, min(value, most))
