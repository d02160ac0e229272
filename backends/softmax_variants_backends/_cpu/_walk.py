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
from ._memory import fence, load_long, store_byte, store_double, store_long
from ._narrow_facts import extrema, facts
from ._notes import (
    AT,
    DY_AT,
    DY_TAIL,
    EMPTY,
    INVALID,
    INVERSE,
    INVERSE_LOW,
    LARGEST,
    LEFT,
    LOG_N,
    LOG_N_LOW,
    LOWER,
    NOTES,
    PIVOT,
    SCALE,
    SCALE_LOW,
    SMALLEST,
    SPAN,
    SUMS,
    TAIL,
)
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
from ._row_parameters import parameters_of_row
from ._row_results import results_of_kind
from ._row_sums import sums_of_kind
from ._short_rows import SHORT_CHUNKS, short_rows
from ._storage import copy_in, copy_in_tail, copy_out, copy_out_tail, size_of, working_size
from ._wide_facts import extrema_of_wide, facts_of_wide

__all__ = ["EXTREMA_OF_BLOCKS", "SUMS_OF_BLOCKS", "WHOLE", "WRITE_BLOCKS", "rows_of_kind"]

WHOLE, EXTREMA_OF_BLOCKS, SUMS_OF_BLOCKS, WRITE_BLOCKS = -1, 0, 1, 2
"""What is done with rows: all of it; or, block by block of long rows, one thing."""

STREAMED_BYTES = 1 << 25
"""Results of this size, which no cache keeps until they are wanted, are written past them: the
lines that they go to are not read first."""
TOGETHER = 128
"""Entries that rows have at most to be taken together where they are not neighbours."""
LINE = 64
CHUNK = 8 * LANES
"""The bytes of a chunk at most."""


@called
def _together(layout, gradients, entries):
    """Return how many rows are taken together."""
    tiled = is_tiled(layout, X) or is_tiled(layout, OUT) or (gradients and is_tiled(layout, DY))
    return TILE_ROWS if tiled or entries <= TOGETHER else 1


def rows_of_kind(storage: int, function: int, gradients: bool) -> Any:  # noqa: FBT001
    """Return what evaluates rows of one format and function, for numba to compile."""
    wide = storage == FLOAT64
    softmax_weights = function == SOFTMAX and not gradients and not wide
    # Sums of a row that are wanted, and numbers kept of an entry.
    pairs = 1 if not gradients else 2 if function == SOFTMAX else 4
    kept_numbers = 2 if wide and not gradients else 1

    sums_of_block = sums_of_kind(storage, function, gradients)
    write_row = results_of_kind(storage, function, gradients, pairs)

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
        together = _together(layout, gradients, most)
        most_chunks = (most + LANES - 1) // LANES
        kept_pitch = 8 * kept_numbers * LANES * most_chunks + LINE
        # Not a multiple of what one set of a cache has.
        pitch = own_size * LANES * most_chunks + LINE
        row_bytes = kept_pitch + 3 * pitch + 3 * CHUNK + 8 * NOTES
        scratch = np.empty(together * row_bytes + (LANES + 1) * CHUNK + LINE, np.uint8)
        lanes = (scratch.ctypes.data + LINE - 1) // LINE * LINE
        kept = lanes + (LANES + 1) * CHUNK
        tails = kept + together * kept_pitch
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

            if x_copied:
                at = x + size * (offset_of(layout, X, row) + start * x_step)
                own_mask = mask
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

            if softmax_weights and stage == WHOLE and taken == LANES and chunks <= SHORT_CHUNKS:
                at, at_pitch, tail = own_x, pitch, own_x + own_size * LANES * whole
                tail_pitch = pitch
                if not x_copied:
                    at = x + size * offset_of(layout, X, row)
                    at_pitch = size * row_distance(layout, X)
                    tail, tail_pitch = tails, 3 * CHUNK
                    if rest:
                        for r in range(taken):
                            own = at + r * at_pitch + size * LANES * whole
                            copy_in_tail(storage, own, rest, tail + r * tail_pitch, -math.inf)
                target, target_pitch = own_out, pitch
                if not out_copied:
                    target = out + size * offset_of(layout, OUT, row)
                    target_pitch = size * row_distance(layout, OUT)
                stream = large and not out_copied and target % 16 == 0 and target_pitch % 16 == 0
                if short_rows(
                    storage,
                    at,
                    at_pitch,
                    tail,
                    tail_pitch,
                    whole,
                    chunks,
                    kept,
                    lanes,
                    stream,
                    target,
                    target_pitch,
                    tails + 2 * CHUNK,
                    3 * CHUNK,
                ):
                    if rest:
                        for r in range(taken):
                            to = target + r * target_pitch + size * LANES * whole
                            own = tails + 2 * CHUNK + r * 3 * CHUNK
                            copy_out_tail(storage, own, rest, to)
                    if out_copied:
                        at = out + size * offset_of(layout, OUT, row)
                        copy_out(
                            storage,
                            own_out,
                            pitch,
                            taken,
                            entries,
                            at,
                            out_step,
                            row_distance(layout, OUT),
                        )
                    unit += taken
                    continue

            # Extrema, and what follows from them.
            for r in range(taken):
                note = notes + 8 * NOTES * r
                # Whole chunks are read and written where they are, an incomplete one elsewhere.
                if x_copied:
                    at = own_x + r * pitch
                    tail = at + own_size * LANES * whole
                else:
                    at = x + size * (offset_of(layout, X, row + r) + start)
                    tail = tails + 3 * CHUNK * r
                    if rest:
                        copy_in_tail(storage, at + size * LANES * whole, rest, tail, -math.inf)
                store_long(note + AT, at)
                store_long(note + TAIL, tail)
                dy_at, dy_tail = 0, 0
                if gradients:
                    if dy_copied:
                        dy_at = own_dy + r * pitch
                        dy_tail = dy_at + own_size * LANES * whole
                    else:
                        dy_at = dy + size * (offset_of(layout, DY, row + r) + start)
                        dy_tail = tails + 3 * CHUNK * r + CHUNK
                        if rest:
                            copy_in_tail(storage, dy_at + size * LANES * whole, rest, dy_tail, 0.0)
                    store_long(note + DY_AT, dy_at)
                    store_long(note + DY_TAIL, dy_tail)
                if stage <= EXTREMA_OF_BLOCKS:
                    if wide:
                        found = extrema_of_wide(
                            function, gradients, at, dy_at, dy_tail, whole, tail, chunks
                        )
                    else:
                        found = extrema(function, gradients, at, whole, tail, chunks)
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
                store_double(note + LARGEST, found[0])
                store_double(note + SMALLEST, found[1])
                if wide:
                    own = facts_of_wide(function, gradients, form, length, found, parameters)
                    store_long(note + EMPTY, own[0])
                    store_long(note + LEFT, own[1])
                    store_long(note + INVALID, 0)
                    store_double(note + PIVOT, own[2])
                    store_double(note + SCALE, own[3])
                    store_double(note + SCALE_LOW, own[4])
                    store_double(note + LOG_N, own[5])
                    store_double(note + LOG_N_LOW, own[6])
                    store_double(note + LOWER, own[7])
                    store_double(note + SPAN, own[8])
                    store_double(note + INVERSE, own[9])
                    store_double(note + INVERSE_LOW, own[10])
                else:
                    own = facts(function, form, length, found, parameters)
                    store_long(note + EMPTY, own[0])
                    store_long(note + LEFT, 0)
                    store_long(note + INVALID, own[1])
                    store_double(note + PIVOT, own[2])
                    store_double(note + SCALE, own[3])
                    store_double(note + LOG_N, own[4])
                    store_double(note + LOWER, own[5])
                    store_double(note + SPAN, own[6])
            if stage == EXTREMA_OF_BLOCKS:
                unit += taken
                continue

            # Exponentials and their sums.
            for r in range(taken):
                note = notes + 8 * NOTES * r
                if load_long(note + LEFT):
                    continue
                sums_at = note + SUMS
                if stage == SUMS_OF_BLOCKS:
                    sums_at = record_of(records, blocks, row + r, block) + SUMS_IN_RECORD
                # The tree of a sum has blocks, whether the row is split there or not.
                first = 0
                while first < chunks:
                    own_chunks = min(chunks - first, BLOCK // LANES)
                    at = load_long(note + AT) + own_size * LANES * first
                    dy_at = 0
                    if gradients:
                        dy_at = load_long(note + DY_AT) + own_size * LANES * first
                    own_kept = kept + kept_pitch * r + 8 * kept_numbers * LANES * first
                    ahead = size * length * taken
                    sums = sums_of_block(
                        note, own_kept, at, dy_at, whole - first, own_chunks, ahead
                    )
                    if first == 0:
                        store_sums(sums_at, sums, pairs)
                    else:
                        add_sums(wide, sums_at, sums, pairs)
                    first += own_chunks
                if stage == WRITE_BLOCKS:
                    all_sums(wide, records, blocks, row + r, sums_at, pairs)
            if stage == SUMS_OF_BLOCKS:
                unit += taken
                continue

            # Results.
            for r in range(taken):
                note = notes + 8 * NOTES * r
                own_kept = kept + kept_pitch * r
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
            if out_copied:
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
