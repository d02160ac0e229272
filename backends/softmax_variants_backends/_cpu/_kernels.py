"""The row kernels: weights and gradients of the family over a range of rows.

``kernel(function, dtype, gradients=...)`` compiles, or loads, and returns::

    left = rows(stage, x, dy, out, mask, s, b, n, n_low, terms, left_rows,
                s_value, b_value, log_n, log_n_low, layout, records, begin, end)

The stage is WHOLE. The next ten are addresses (0 for none), the next four numbers, then there are
an array of int64, a 0 and a range of rows. It runs without the interpreter's lock. All arguments
are given by position.

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
of float64. Rows that no cache has room for, or few that threads are to share, are evaluated block
by block::

    left = rows(stage, <the same up to layout>, records, begin, end)

with the address of double[rows][blocks][RECORD], blocks = ceil(length / BLOCK). It is called with
stages 0, 1 and 2, each over all units [0, rows * blocks), cut in any way, and each after all of the
one before; unit u is block u // rows of row u % rows. The bits are those of WHOLE. Rows are left
at stage 2, by the units of their first blocks.
"""

from __future__ import annotations

from ._compile import compiled as kernel
from ._layout import BLOCK, RECORD, TILE_ROWS
from ._walk import WHOLE

__all__ = ["BLOCK", "RECORD", "TILE_ROWS", "WHOLE", "kernel"]
