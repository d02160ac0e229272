"""LANES short rows as columns: from arrays of any layout, and back.

A column has an entry of each row, side by side. Where neighbouring rows are neighbours in memory,
it is there already.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from ._functions import called, inlined
from ._intrinsics import LANES
from ._layout import FLOAT32, MASK, OUT, STEPS
from ._memory import load_floats, load_shorts, store_floats, stream_floats, stream_shorts
from ._offsets import field, offset_of, row_distance
from ._storage import chunk_at, copy_in, copy_in_tail, copy_out, copy_out_tail, size_of
from ._transpose import floats_to_columns, floats_to_rows, shorts_to_columns

__all__ = [
    "SHORT_LENGTH",
    "TILE_BYTES",
    "address_of_row",
    "columns_of",
    "is_in_columns",
    "rows_from_columns",
]

SHORT_LENGTH = 128
"""Entries of a row at most: those of LANES rows stay in the nearest caches."""

_FLOATS = 4 * LANES
_PITCH = 4 * SHORT_LENGTH + 64
"""Bytes between rows in between; not a multiple of what one set of a cache has."""
_ROWS = _FLOATS * SHORT_LENGTH
TILE_BYTES = _ROWS + LANES * _PITCH
"""Columns, and rows in between."""


@inlined
def is_in_columns(layout, which):
    """Return whether neighbouring rows are neighbours in memory."""
    return row_distance(layout, which) == 1


@inlined
def address_of_row(storage, layout, which, row, base):
    """Return the address of a row's first entry, and the bytes from one entry to the next."""
    size = size_of(storage)
    return base + size * offset_of(layout, which, row), size * field(layout, STEPS + which)


@called
def columns_of(storage, layout, which, row, base, mask, entries, tile, fill):
    """Return the address of the first column, floats, and the bytes from one to the next.

    Masked entries are ``fill``.
    """
    at, step = address_of_row(storage, layout, which, row, base)
    if mask == 0 and is_in_columns(layout, which):
        if storage == FLOAT32:
            return at, step
        for j in range(entries):
            store_floats(tile + _FLOATS * j, chunk_at(storage, at + step * j))
        return tile, np.int64(_FLOATS)
    size, apart = size_of(storage), row_distance(layout, which)
    whole, rest = entries // LANES, entries % LANES
    rows = tile + _ROWS
    if storage == FLOAT32 and mask == 0 and step == size:
        for c in range(whole):
            floats_to_rows(at + _FLOATS * c, size * apart, tile + _FLOATS * LANES * c, _FLOATS)
        if rest:
            at += _FLOATS * whole
            for r in range(LANES):
                copy_in_tail(storage, at + size * apart * r, rest, rows + _FLOATS * r, fill)
            floats_to_rows(rows, _FLOATS, tile + _FLOATS * LANES * whole, _FLOATS)
        return tile, np.int64(_FLOATS)
    mask_step = field(layout, STEPS + MASK)
    own_mask = mask
    if mask != 0:
        own_mask = mask + offset_of(layout, MASK, row)
    copy_in(
        storage,
        at,
        field(layout, STEPS + which),
        apart,
        own_mask,
        mask_step,
        row_distance(layout, MASK),
        LANES,
        entries,
        rows,
        _PITCH,
        fill,
    )
    for c in range(whole + (1 if rest else 0)):
        floats_to_rows(rows + _FLOATS * c, _PITCH, tile + _FLOATS * LANES * c, _FLOATS)
    return tile, np.int64(_FLOATS)


@inlined
def _turned(storage, source, target, pitch):
    """Turn a tile of columns of results to rows."""
    if storage == FLOAT32:
        floats_to_columns(source, _FLOATS, target, pitch)
    else:
        shorts_to_columns(source, 2 * LANES, target, pitch)


@called
def rows_from_columns(storage, layout, row, out, entries, tile, stream):
    """Write results in columns to the rows of an array; past the caches where it can be."""
    size = size_of(storage)
    at, step = address_of_row(storage, layout, OUT, row, out)
    apart = size * row_distance(layout, OUT)
    whole, rest = entries // LANES, entries % LANES
    bytes_of_tile, rows = size * LANES * LANES, tile + _ROWS
    if step != size:
        for c in range(whole + (1 if rest else 0)):
            _turned(storage, tile + bytes_of_tile * c, rows + size * LANES * c, np.int64(_PITCH))
        copy_out(
            storage,
            rows,
            _PITCH,
            LANES,
            entries,
            at,
            field(layout, STEPS + OUT),
            row_distance(layout, OUT),
        )
        return
    past_caches = stream and at % 16 == 0 and apart % 16 == 0
    for c in range(whole):
        target = at + size * LANES * c
        if not past_caches:
            _turned(storage, tile + bytes_of_tile * c, target, apart)
            continue
        _turned(storage, tile + bytes_of_tile * c, rows, np.int64(size * LANES))
        for r in range(LANES):
            own = rows + size * LANES * r
            if storage == FLOAT32:
                stream_floats(target + apart * r, load_floats(own))
            else:
                stream_shorts(target + apart * r, load_shorts(own))
    if rest:
        _turned(storage, tile + bytes_of_tile * whole, rows, np.int64(size * LANES))
        for r in range(LANES):
            own = rows + size * LANES * r
            copy_out_tail(storage, own, rest, at + size * LANES * whole + apart * r)
