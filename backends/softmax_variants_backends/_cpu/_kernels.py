"""The row kernels: weights and gradients of the family over a range of rows.

``kernel(function, dtype, gradients=...)`` compiles, or loads, and returns::

    left = rows(x, dy, out, mask, s, b, n, n_low, terms, left_rows,
                s_value, b_value, log_n, log_n_low, layout, begin, end)

The first ten are addresses (0 for none), the next four numbers, then there are an array of int64
and a range of rows. It runs without the interpreter's lock.

x, dy, out
    Elements of the dtype; dy of gradients only. ``out`` may be x itself, if laid out as x is.
mask
    Bytes, not 0 where an entry is present.
s, b
    Doubles; s_value and b_value hold where there are none.
n, n_low
    Doubles in two words, with the same strides: integers have up to 64 bits. n_low may be 0.
terms
    Of gradients of SSMax: double[4][rows], for each row's terms of ds and of db, in two words each.
left_rows
    Bytes. A row of float64 whose numbers come near the ends of the range is left to other numerics:
    its byte is set to 1, and neither its results nor its terms are written. Which rows these are
    follows from what they hold. Nothing else is written there, so they begin with 0.
log_n, log_n_low
    The logarithm of a number n in two words, or of the row's length where n is counted: for rows
    without absent entries.
layout
    The fields of ``_layout``; it is not written.

The number of rows that are left is returned. Rows do not depend on each other, and their bits on
nothing but what they hold: not on the range, the layout, or the rows beside them. Ranges of
multiples of ``TILE_ROWS`` are best where neighbouring rows are neighbours in memory.

A row's exponentials are kept in scratch space until its results are written: 8 bytes an entry, 16
of float64. For rows that no cache has room for, or few that threads are to share,
``split_kernel(function, dtype, gradients=...)`` returns::

    left = blocks(stage, <the same up to layout>, records, begin, end)

with the address of double[rows][blocks][RECORD], blocks = ceil(length / BLOCK). It is called with
stages 0, 1 and 2, each over all units [0, rows * blocks), cut in any way, and each after all of the
one before; unit u is block u // rows of row u % rows. The bits are those of ``rows``. Rows are left
at stage 2, by the units of their first blocks.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ._compile import compiled
from ._layout import BLOCK, RECORD, TILE_ROWS
from ._walk import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

__all__ = ["BLOCK", "RECORD", "TILE_ROWS", "kernel", "split_kernel"]


@cache
def kernel(function: str, dtype: str, *, gradients: bool) -> Callable[..., int]:
    """Return the kernel for rows; see above."""
    found = compiled(function, dtype, gradients=gradients)

    def rows(
        x: int,
        dy: int,
        out: int,
        mask: int,
        s: int,
        b: int,
        n: int,
        n_low: int,
        terms: int,
        left_rows: int,
        s_value: float,
        b_value: float,
        log_n: float,
        log_n_low: float,
        layout: npt.NDArray[np.int64],
        begin: int,
        end: int,
    ) -> int:
        return found(
            *(WHOLE, x, dy, out, mask, s, b, n, n_low, terms, left_rows),
            *(s_value, b_value, log_n, log_n_low, layout, 0, begin, end),
        )

    return rows


def split_kernel(function: str, dtype: str, *, gradients: bool) -> Callable[..., int]:
    """Return the kernel for blocks of rows; see above."""
    return compiled(function, dtype, gradients=gradients)
