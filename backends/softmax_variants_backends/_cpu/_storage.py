"""Rows in memory, of any format and layout, and the rows of floats that are computed with."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from ._functions import called, inlined
from ._intrinsics import LANES, full, full_float, select, select_float, widen
from ._layout import FLOAT16, FLOAT32, FLOAT64
from ._memory import (
    copy_short,
    load_bfloat,
    load_bfloats,
    load_byte,
    load_double,
    load_doubles,
    load_float,
    load_floats,
    load_half,
    load_halves,
    load_mask,
    load_some_doubles,
    load_some_floats,
    round_to_bfloats,
    round_to_halves,
    store_double,
    store_doubles,
    store_float,
    store_floats,
    store_rounded,
    store_shorts,
    store_some_doubles,
    store_some_floats,
    stream_doubles,
    stream_rounded,
    stream_shorts,
)
from ._transpose import (
    bfloats_to_rows,
    doubles_to_columns,
    doubles_to_rows,
    floats_to_columns,
    floats_to_rows,
    halves_to_rows,
    shorts_to_columns,
)

__all__ = [
    "chunk_at",
    "copy_in",
    "copy_in_tail",
    "copy_out",
    "copy_out_tail",
    "load_row",
    "size_of",
    "store",
    "working_size",
]


@inlined
def size_of(storage):
    """Return the bytes of an entry."""
    if storage == FLOAT64:
        return 8
    return 4 if storage == FLOAT32 else 2


@inlined
def working_size(storage):
    """Return the bytes of an entry of rows that are computed with: double, or float."""
    return 8 if storage == FLOAT64 else 4


@inlined
def load_row(storage, address):
    """Return a chunk of such a row."""
    if storage == FLOAT64:
        return load_doubles(address)
    return widen(load_floats(address))


@inlined
def chunk_at(storage, address):
    """Return entries that are side by side, of 32 bits or less."""
    if storage == FLOAT32:
        return load_floats(address)
    if storage == FLOAT16:
        return load_halves(address)
    return load_bfloats(address)


@inlined
def _entry_at(storage, address):
    if storage == FLOAT64:
        return load_double(address)
    if storage == FLOAT32:
        return np.float64(load_float(address))
    if storage == FLOAT16:
        return np.float64(load_half(address))
    return np.float64(load_bfloat(address))


@inlined
def _store_entry(storage, address, value):
    if storage == FLOAT64:
        store_double(address, value)
    else:
        store_float(address, value)


@inlined
def store(storage, stream, address, value):
    """Store a chunk of results, each rounded once."""
    if storage == FLOAT64:
        if stream:
            stream_doubles(address, value)
        else:
            store_doubles(address, value)
    elif storage == FLOAT32:
        if stream:
            stream_rounded(address, value)
        else:
            store_rounded(address, value)
    else:
        rounded = round_to_halves(value) if storage == FLOAT16 else round_to_bfloats(value)
        if stream:
            stream_shorts(address, rounded)
        else:
            store_shorts(address, rounded)


@called
def copy_in(
    storage, source, step, apart, mask, mask_step, mask_apart, rows, count, target, pitch, fill
):
    """Copy ``rows`` rows of ``count`` entries, whole chunks of them, to ``target``.

    ``apart`` is how far neighbouring rows are from each other, ``pitch`` the same in bytes at the
    target. Masked entries, and those beyond the row's end, become ``fill``.
    """
    size, to_size = size_of(storage), working_size(storage)
    done = 0
    if step == 1 and (mask == 0 or mask_step == 1):
        done = count - count % LANES
        for r in range(rows):
            for j in range(0, done, LANES):
                at, to = source + size * (r * apart + j), target + r * pitch + to_size * j
                if storage == FLOAT64:
                    own = load_doubles(at)
                    if mask != 0:
                        own = select(load_mask(mask + r * mask_apart + j), own, full(fill))
                    store_doubles(to, own)
                else:
                    value = chunk_at(storage, at)
                    if mask != 0:
                        present = load_mask(mask + r * mask_apart + j)
                        value = select_float(present, value, full_float(fill))
                    store_floats(to, value)
    if apart == 1 and mask == 0:
        # Tile after tile along the line of memory that they share, or neighbouring ones.
        tiled, done = rows - rows % LANES, count - count % LANES
        for j in range(0, done, LANES):
            for r in range(0, tiled, LANES):
                at, to = source + size * (j * step + r), target + r * pitch + to_size * j
                if storage == FLOAT64:
                    doubles_to_rows(at, size * step, to, pitch)
                elif storage == FLOAT32:
                    floats_to_rows(at, size * step, to, pitch)
                elif storage == FLOAT16:
                    halves_to_rows(at, size * step, to, pitch)
                else:
                    bfloats_to_rows(at, size * step, to, pitch)
        for j in range(done):
            for r in range(tiled, rows):
                at, to = source + size * (r + j * step), target + r * pitch + to_size * j
                _store_entry(storage, to, _entry_at(storage, at))
    for j in range(done, count):
        for r in range(rows):
            at, to = source + size * (r * apart + j * step), target + r * pitch + to_size * j
            present = mask == 0 or load_byte(mask + r * mask_apart + j * mask_step) != 0
            _store_entry(storage, to, _entry_at(storage, at) if present else fill)
    for j in range(count, (count + LANES - 1) // LANES * LANES):
        for r in range(rows):
            _store_entry(storage, target + r * pitch + to_size * j, fill)


@inlined
def copy_in_tail(storage, source, count, target, fill):
    """Copy less than a chunk of a row of floats or doubles, and fill the chunk up."""
    if storage == FLOAT64:
        store_doubles(target, load_some_doubles(source, count, fill))
    else:
        store_floats(target, load_some_floats(source, count, fill))


@inlined
def copy_out_tail(storage, source, count, target):
    """Copy less than a chunk of results."""
    if storage == FLOAT64:
        store_some_doubles(target, count, load_doubles(source))
    elif storage == FLOAT32:
        store_some_floats(target, count, load_floats(source))
    else:
        for j in range(count):
            copy_short(target + 2 * j, source + 2 * j)


@inlined
def _copy_entry(storage, source, target):
    if storage == FLOAT64:
        store_double(target, load_double(source))
    elif storage == FLOAT32:
        store_float(target, load_float(source))
    else:
        copy_short(target, source)


@called
def copy_out(storage, source, pitch, rows, count, target, step, apart):
    """Copy results, which are in the format of memory already."""
    size = size_of(storage)
    done = 0
    if apart == 1:
        tiled, done = rows - rows % LANES, count - count % LANES
        for j in range(0, done, LANES):
            for r in range(0, tiled, LANES):
                at, to = source + r * pitch + size * j, target + size * (j * step + r)
                if storage == FLOAT64:
                    doubles_to_columns(at, pitch, to, size * step)
                elif storage == FLOAT32:
                    floats_to_columns(at, pitch, to, size * step)
                else:
                    shorts_to_columns(at, pitch, to, size * step)
        for j in range(done):
            for r in range(tiled, rows):
                _copy_entry(storage, source + r * pitch + size * j, target + size * (j * step + r))
    for j in range(done, count):
        for r in range(rows):
            at, to = source + r * pitch + size * j, target + size * (r * apart + j * step)
            _copy_entry(storage, at, to)
