"""Sums of the rows' terms over the rows that share an element of s or b: ``struct SumCall``.

The order of a sum follows from the shapes alone. Long sums are taken in chunks, and the chunks'
sums are added by a second launch.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from softmax_variants_backends._axes import MAX_AXES, merge

from ._call import TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._launch import Layout

__all__ = ["CALLS", "SUM_SHARED", "SUM_THREADS", "Sum", "sum_of"]

SUM_THREADS = 256
"""Threads of a block of the kernel; sums.cuh has the same number."""

SUM_SHARED = 16 * SUM_THREADS // 32
"""Shared memory of a block: two words a warp."""

CHUNK = 8192
"""Terms of a partial sum."""
TERMS_A_LANE = 4
"""Fewer are not worth another thread."""

_TAIL = struct.Struct(f"={11 + 4 * MAX_AXES}q")

CALLS = struct.Struct(f"=2Q{_TAIL.size}s2Q{_TAIL.size}s")
"""The sums of ds and of db, for each the addresses of the terms and of the sums, and the rest."""


@dataclass(frozen=True)
class Sum:
    """The sums that make one parameter's gradient."""

    dtype: str
    elements: int
    terms_each: int
    kept: tuple[tuple[int, ...], tuple[int, ...]]
    """Sizes and strides of the axes of an element's number."""
    summed: tuple[tuple[int, ...], tuple[int, ...]]
    """The same of a term's."""

    @property
    def chunks(self) -> int:
        """Partial sums of an element; if there is one, it is the sum."""
        return max(1, -(-self.terms_each // CHUNK))

    @property
    def partial_sums(self) -> int:
        """Partial sums that are kept between two launches."""
        return self.elements * self.chunks if self.chunks > 1 else 0

    @property
    def blocks(self) -> int:
        """Blocks of the first launch."""
        return _blocks(self.elements * self.chunks, _lanes(min(self.terms_each, CHUNK)))

    @property
    def last_blocks(self) -> int:
        """Blocks of the second launch, 0 if there is none."""
        return _blocks(self.elements, _lanes(self.chunks)) if self.chunks > 1 else 0

    def first(self, *, low: int) -> bytes:
        """Return what follows the addresses in the first launch.

        The low words of the terms are ``low`` doubles behind their high words, if it is not 0.
        """
        between = self.partial_sums
        return _TAIL.pack(
            TYPES["float64" if between else self.dtype],
            low,
            between,
            self.elements,
            self.terms_each,
            CHUNK,
            self.chunks,
            _lanes(min(self.terms_each, CHUNK)),
            self.blocks,
            *(len(sizes) for sizes, _ in (self.kept, self.summed)),
            *_padded(*self.kept),
            *_padded(*self.summed),
        )

    def last(self) -> bytes:
        """Return what follows the addresses in the second launch, which adds the partial sums."""
        return _TAIL.pack(
            TYPES[self.dtype],
            self.partial_sums,
            0,
            self.elements,
            self.chunks,
            self.chunks,
            1,
            _lanes(self.chunks),
            self.last_blocks,
            *(1, 1),
            *_padded((self.elements,), (self.chunks,)),
            *_padded((self.chunks,), (1,)),
        )


def sum_of(
    parameter: Layout, shape: Sequence[int], axis: int, row_strides: Sequence[int]
) -> Sum | None:
    """Return the sums of a parameter that broadcasts along the rows of ``shape``.

    ``row_strides`` tell how far a step along each axis moves a row's number. None if there are
    more axes than the kernel can walk.
    """
    own = (1,) * (len(shape) - len(parameter.shape)) + parameter.shape
    rows = [i for i in range(len(shape)) if i != axis]
    kept, summed = (
        _axes([i for i in rows if (own[i] == shape[i]) == belongs], shape, row_strides)
        for belongs in (True, False)
    )
    if max(len(kept[0]), len(summed[0])) > MAX_AXES:
        return None
    return Sum(parameter.dtype, prod(kept[0]), prod(summed[0]), kept, summed)


def _axes(
    axes: Sequence[int], shape: Sequence[int], row_strides: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sizes, (strides,) = merge([shape[i] for i in axes], [[row_strides[i] for i in axes]])
    return sizes, strides


def _lanes(terms: int) -> int:
    """Return how many threads share a sum: a power of two."""
    wanted = -(-terms // TERMS_A_LANE)
    return min(SUM_THREADS, 1 << (wanted - 1).bit_length()) if wanted > 1 else 1


def _blocks(sums: int, lanes: int) -> int:
    return -(-sums * lanes // SUM_THREADS)


def _padded(*lists: Sequence[int]) -> tuple[int, ...]:
    return tuple(value for own in lists for value in (*own, *(0,) * (MAX_AXES - len(own))))
