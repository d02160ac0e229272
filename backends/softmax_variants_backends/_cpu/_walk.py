"""The rows of a call, several at a time, from memory and back.

A row's own steps wait for each other (its largest logit, its sum, its results); rows that are taken
together do not, so that short ones are evaluated side by side. Where neighbouring rows are
neighbours in memory, they also share the lines of memory that they are read from.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._functions import called
from ._intrinsics import LANES
from ._layout import (
    AXES,
    BAND_ROWS,
    BLOCK,
    DETACH,
    DY,
    FLOAT32,
    FLOAT64,
    FORM,
    LENGTH,
    MASK,
    OUT,
    ROWS,
    SIZES,
    SOFTMAX,
    SSMAX,
    STEPS,
    TILE_ROWS,
    X,
)
from ._memory import fence, load_long, store_byte, store_long
from ._notes import AT, DY_AT, DY_TAIL, LEFT, NOTES, SUMS, TAIL
from ._offsets import field, is_tiled, offset_of, row_distance
from ._records import (
    SUMS_IN_RECORD,
    add_sums,
    all_extrema,
    all_sums,
    record_of,
    store_extrema,
    store_sums,
)
from ._row_facts import extrema_of_kind, note_facts_of_kind, note_place
from ._row_parameters import parameters_of_row
from ._row_results import results_of_kind
from ._row_sums import sums_of_kind
from ._short_rows import SHORT_BYTES, short_rows_of_kind
from ._short_tiles import SHORT_LENGTH
from ._storage import copy_in, copy_out, copy_out_tail, size_of, working_size

__all__ = ["EXTREMA_OF_BLOCKS", "SUMS_OF_BLOCKS", "WHOLE", "WRITE_BLOCKS", "rows_of_kind"]

WHOLE, EXTREMA_OF_BLOCKS, SUMS_OF_BLOCKS, WRITE_BLOCKS = -1, 0, 1, 2
"""What is done with rows: all of it; or, block by block of long rows, one thing."""

STREAMED_BYTES = 1 << 25
"""Results of this size, which no cache keeps until they are wanted, are written past them: the
lines that they go to are not read first."""
BAND_BYTES = 1 << 21
"""Scratch space of rows that are copied together, at most; a tile of them is always."""
LINE = 64
CHUNK = 8 * LANES
"""The bytes of a chunk at most."""


@called
def _together(layout, wide, gradients, entries):
    """Return how many rows are taken together, and how many of them side by side."""
    side = TILE_ROWS if entries <= SHORT_LENGTH else 1
    if side == TILE_ROWS and not wide:
        return side, side
    if is_tiled(layout, X) or is_tiled(layout, OUT) or (gradients and is_tiled(layout, DY)):
        return max(TILE_ROWS, min(BAND_ROWS, BAND_BYTES // (8 * entries) // LANES * LANES)), side
    return side, side


def rows_of_kind(storage: int, function: int, gradients: bool) -> Any:  # noqa: FBT001
    """Return what evaluates rows of one format and function, for numba to compile."""
    wide = storage == FLOAT64
    # Sums of a row that are wanted, and numbers kept of an entry.
    pairs = 1 if not gradients else 2 if function == SOFTMAX else 4
    kept_numbers = 2 if wide and not gradients else 1

    extrema_of_row = extrema_of_kind(storage, function, gradients)
    note_facts = note_facts_of_kind(storage, function, gradients)
    sums_of_block = sums_of_kind(storage, function, gradients)
    write_row = results_of_kind(storage, function, gradients, pairs)
    short_rows = short_rows_of_kind(storage, function, gradients)

    def rows_or_blocks(
        stage,
        x,
        dy,
        out,
        mask,
        s,
        b,
        n,
        n_low,
        terms,
        left_rows,
        s_value,
        b_value,
        log_n,
        log_n_low,
        fields,
        records,
        begin,
        end,
    ):
        # Its address instead of the array: references are counted by locked instructions, which
        # wait for all stores before them.
        layout = fields.ctypes.data
        size, own_size = size_of(storage), working_size(storage)
        form, rows, length = field(layout, FORM), field(layout, ROWS), field(layout, LENGTH)
        blocks = (length + BLOCK - 1) // BLOCK
        x_step, dy_step = field(layout, STEPS + X), field(layout, STEPS + DY)
        out_step, mask_step = field(layout, STEPS + OUT), field(layout, STEPS + MASK)
        x_copied = storage < FLOAT32 or x_step != 1 or mask != 0
        dy_copied = gradients and (storage < FLOAT32 or dy_step != 1)
        out_copied = out_step != 1
        large = rows * length * size >= STREAMED_BYTES
        last_axis = field(layout, SIZES + field(layout, AXES) - 1)

        # Scratch space for rows that are taken together.
        most = length if stage == WHOLE else min(length, BLOCK)
        together, side = _together(layout, wide, gradients, most)
        most_chunks = (most + LANES - 1) // LANES
        kept_pitch = 8 * kept_numbers * LANES * most_chunks + LINE
        # Not a multiple of what one set of a cache has.
        pitch = own_size * LANES * most_chunks + LINE
        row_bytes = 3 * pitch + 3 * CHUNK + 8 * NOTES
        short = not wide and stage == WHOLE and length <= SHORT_LENGTH
        short_bytes = SHORT_BYTES if short else 0
        size_of_scratch = short_bytes + side * kept_pitch + together * row_bytes
        scratch = np.empty(size_of_scratch + LINE, np.uint8)
        space = (scratch.ctypes.data + LINE - 1) // LINE * LINE
        kept = space + short_bytes
        tails = kept + side * kept_pitch
        own_x = tails + together * 3 * CHUNK
        own_dy = own_x + together * pitch
        own_out = own_dy + together * pitch
        notes = own_out + together * pitch

        left_count = 0
        unit = begin
        while unit < end:
            block = 0 if stage == WHOLE else unit // rows
            row = unit - block * rows
            taken = min(together, min(end - unit, rows - row))
            if taken > 1:
                taken = min(taken, last_axis - row % last_axis)
            start = block * BLOCK
            entries = length if stage == WHOLE else min(length - start, BLOCK)
            whole = entries // LANES
            rest = entries - whole * LANES
            chunks = whole + (1 if rest else 0)

            if short and taken == LANES:
                numbers = s_value, b_value, log_n, log_n_low
                if short_rows(
                    layout, row, x, dy, out, mask, s, b, n, n_low, terms, numbers, space, large
                ):
                    unit += taken
                    continue

            if x_copied:
                at = x + size * (offset_of(layout, X, row) + start * x_step)
                own_mask = 0
                if mask != 0:
                    own_mask = mask + offset_of(layout, MASK, row) + start * mask_step
                copy_in(
                    storage,
                    at,
                    x_step,
                    row_distance(layout, X),
                    own_mask,
                    mask_step,
                    row_distance(layout, MASK),
                    taken,
                    entries,
                    own_x,
                    pitch,
                    -math.inf,
                )
            if dy_copied and (wide or stage != EXTREMA_OF_BLOCKS):
                at = dy + size * (offset_of(layout, DY, row) + start * dy_step)
                copy_in(
                    storage,
                    at,
                    dy_step,
                    row_distance(layout, DY),
                    0,
                    0,
                    0,
                    taken,
                    entries,
                    own_dy,
                    pitch,
                    0.0,
                )

            for first in range(0, taken, side):
                last = min(first + side, taken)
                # Extrema, and what follows from them.
                for r in range(first, last):
                    note = notes + 8 * NOTES * r
                    at = own_x + r * pitch
                    if not x_copied:
                        at = x + size * (offset_of(layout, X, row + r) + start)
                    tail = tails + 3 * CHUNK * r
                    note_place(
                        *(storage, note + AT, note + TAIL),
                        *(x_copied, at, whole, rest, tail, -math.inf),
                    )
                    if gradients:
                        at = own_dy + r * pitch
                        if not dy_copied:
                            at = dy + size * (offset_of(layout, DY, row + r) + start)
                        tail += CHUNK
                        note_place(
                            *(storage, note + DY_AT, note + DY_TAIL),
                            *(dy_copied, at, whole, rest, tail, 0.0),
                        )
                    if stage <= EXTREMA_OF_BLOCKS:
                        found = extrema_of_row(note, whole, chunks)
                    else:
                        found = all_extrema(records, blocks, row + r)
                    if stage == EXTREMA_OF_BLOCKS:
                        store_extrema(record_of(records, blocks, row + r, block), found)
                        continue
                    parameters = (0.0, 0.0, 0, 0.0, 0.0, 0.0, 0.0)
                    if function == SSMAX:
                        parameters = parameters_of_row(
                            layout, row + r, s, b, n, n_low, s_value, b_value, log_n, log_n_low
                        )
                    note_facts(note, form, length, found, parameters)
                if stage == EXTREMA_OF_BLOCKS:
                    continue

                # Exponentials and their sums.
                for r in range(first, last):
                    note = notes + 8 * NOTES * r
                    if load_long(note + LEFT):
                        continue
                    sums_at = note + SUMS
                    if stage == SUMS_OF_BLOCKS:
                        sums_at = record_of(records, blocks, row + r, block) + SUMS_IN_RECORD
                    # The tree of a sum has blocks, whether the row is split there or not.
                    done = 0
                    while done < chunks:
                        own_chunks = min(chunks - done, BLOCK // LANES)
                        at = load_long(note + AT) + own_size * LANES * done
                        dy_at = 0
                        if gradients:
                            dy_at = load_long(note + DY_AT) + own_size * LANES * done
                        own_kept = kept + kept_pitch * (r - first) + 8 * kept_numbers * LANES * done
                        ahead = size * length * (last - first)
                        sums = sums_of_block(
                            note, own_kept, at, dy_at, whole - done, own_chunks, ahead
                        )
                        if done == 0:
                            store_sums(sums_at, sums, pairs)
                        else:
                            add_sums(wide, sums_at, sums, pairs)
                        done += own_chunks
                    if stage == WRITE_BLOCKS:
                        all_sums(wide, records, blocks, row + r, sums_at, pairs)
                if stage == SUMS_OF_BLOCKS:
                    continue

                # Results.
                for r in range(first, last):
                    note = notes + 8 * NOTES * r
                    own_kept = kept + kept_pitch * (r - first)
                    target = own_out + r * pitch
                    if not out_copied:
                        target = out + size * (offset_of(layout, OUT, row + r) + start)
                    stream = large and not out_copied and target % 16 == 0
                    out_tail = tails + 3 * CHUNK * r + 2 * CHUNK
                    is_left = write_row(
                        note,
                        own_kept,
                        whole,
                        chunks,
                        form,
                        field(layout, DETACH) != 0,
                        stream,
                        target,
                        out_tail,
                        terms + 8 * (row + r) if block == 0 else 0,
                        rows,
                    )
                    store_long(note + LEFT, is_left)
                    if is_left:
                        if block == 0:
                            store_byte(left_rows + row + r, 1)
                            left_count += 1
                    elif rest:
                        copy_out_tail(storage, out_tail, rest, target + size * LANES * whole)
            if out_copied and stage in (WHOLE, WRITE_BLOCKS):
                apart = row_distance(layout, OUT)
                at = out + size * (offset_of(layout, OUT, row) + start * out_step)
                first = 0
                while first < taken:
                    # Rows up to the next one that is left.
                    last = first
                    while last < taken and load_long(notes + 8 * NOTES * last + LEFT) == 0:
                        last += 1
                    copy_out(
                        storage,
                        own_out + first * pitch,
                        pitch,
                        last - first,
                        entries,
                        at + size * first * apart,
                        out_step,
                        apart,
                    )
                    first = last + 1
            unit += taken
        if large:
            fence()
        # The sizes keep arrays until here.
        return left_count + (scratch.size + fields.size) * 0

    return rows_or_blocks
