"""What is noted of a row of any kind before its exponentials: where it is, and its facts."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

from ._functions import inlined
from ._intrinsics import LANES
from ._layout import FLOAT64
from ._memory import load_long, store_double, store_long
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
    PIVOT,
    SCALE,
    SCALE_LOW,
    SMALLEST,
    SPAN,
    TAIL,
)
from ._storage import copy_in_tail, size_of, working_size
from ._wide_facts import extrema_of_wide, facts_of_wide

__all__ = ["extrema_of_kind", "note_facts_of_kind", "note_place"]


@inlined
def note_place(storage, note, note_tail, copied, at, whole, rest, own_tail, fill):
    """Note, at two addresses, where a row or its cotangents can be read.

    Whole chunks are read where they are. An incomplete one is copied to ``own_tail``, unless the
    row is a copy already, which was filled up.
    """
    tail = own_tail
    if copied:
        tail = at + working_size(storage) * LANES * whole
    elif rest:
        copy_in_tail(storage, at + size_of(storage) * LANES * whole, rest, own_tail, fill)
    store_long(note, at)
    store_long(note_tail, tail)


def extrema_of_kind(storage: int, function: int, gradients: bool) -> Any:  # noqa: FBT001
    """Return what finds the extrema of rows whose place is noted, for numba to compile."""

    @inlined
    def extrema_of_row(note, whole, chunks):
        at, tail = load_long(note + AT), load_long(note + TAIL)
        if storage == FLOAT64:
            dy_at, dy_tail = load_long(note + DY_AT), load_long(note + DY_TAIL)
            return extrema_of_wide(function, gradients, at, dy_at, dy_tail, whole, tail, chunks)
        return extrema(function, at, whole, tail, chunks)

    return extrema_of_row


def note_facts_of_kind(storage: int, function: int, gradients: bool) -> Any:  # noqa: FBT001
    """Return what notes what the extrema and the parameters make of a row."""

    @inlined
    def note_facts(note, form, length, found, parameters):
        store_double(note + LARGEST, found[0])
        store_double(note + SMALLEST, found[1])
        if storage == FLOAT64:
            wide = facts_of_wide(function, gradients, form, length, found, parameters)
            store_long(note + EMPTY, wide[0])
            store_long(note + LEFT, wide[1])
            store_long(note + INVALID, 0)
            store_double(note + PIVOT, wide[2])
            store_double(note + SCALE, wide[3])
            store_double(note + SCALE_LOW, wide[4])
            store_double(note + LOG_N, wide[5])
            store_double(note + LOG_N_LOW, wide[6])
            store_double(note + LOWER, wide[7])
            store_double(note + SPAN, wide[8])
            store_double(note + INVERSE, wide[9])
            store_double(note + INVERSE_LOW, wide[10])
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

    return note_facts
