"""Where a row is."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from ._functions import called, inlined
from ._layout import AXES, SIZES, STEPS, STRIDES
from ._memory import load_long

__all__ = ["field", "is_tiled", "offset_of", "row_distance"]


@inlined
def field(layout, index):
    """Return a field of the layout, which is at an address.

    (References to an array would be counted in every loop, by locked instructions.)
    """
    return load_long(layout + 8 * index)


@called
def _offset_on_axes(layout, which, row):
    axis = field(layout, AXES) - 1
    offset = 0
    while axis > 0:
        size = field(layout, SIZES + axis)
        offset += row % size * field(layout, STRIDES + 8 * which + axis)
        row //= size
        axis -= 1
    return offset + row * field(layout, STRIDES + 8 * which)


@inlined
def offset_of(layout, which, row):
    """Return how many elements of an array are before a row's first."""
    if field(layout, AXES) == 1:
        return row * field(layout, STRIDES + 8 * which)
    # Not compiled for each of the arrays.
    return _offset_on_axes(layout, np.int64(which), row)


@inlined
def row_distance(layout, which):
    """Return how far neighbouring rows are from each other, in elements."""
    return field(layout, STRIDES + 8 * which + field(layout, AXES) - 1)


@inlined
def is_tiled(layout, which):
    """Return whether neighbouring rows are closer in memory than neighbouring entries."""
    apart = abs(row_distance(layout, which))
    return 0 < apart < abs(field(layout, STEPS + which))
