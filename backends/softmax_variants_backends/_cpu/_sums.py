"""ds and db: sums of the rows' terms over the rows that share an element of s or b.

In two words, in an order that follows from the shapes alone, and rounded once.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from functools import cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import types

from ._address import address_of
from ._cache import compile_kept
from ._functions import called
from ._intrinsics import LANES, full
from ._layout import FLOAT16, FLOAT32, FLOAT64
from ._memory import (
    copy_short,
    load_double,
    round_to_bfloats,
    round_to_halves,
    store_double,
    store_float,
    store_shorts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from softmax_variants_backends._axes import RowAxes

    Words = npt.NDArray[np.float64]

__all__ = ["Order", "order_of", "sum_of_words", "summing", "write_sums"]

_SUMS = 8
"""Sums of an element's terms that are made side by side."""


class Order(NamedTuple):
    """Which terms are summed: so many for each of the elements, next to each other."""

    elements: int
    terms: int
    lengths: tuple[int, ...]
    """Of the axes that a row's number is made of."""
    turned: tuple[int, ...] | None
    """The order in which these have to be for that; None if they are."""


def order_of(axes: RowAxes, shape: Sequence[int], parameter: Sequence[int]) -> Order:
    """Return how the terms of rows become the elements of a parameter.

    ``axes`` say what row has which number, ``shape`` is that of the logits.
    """
    own = (1,) * (len(shape) - len(parameter)) + tuple(parameter)
    # Axes of rows from the slowest to the fastest, as the numbers run, then in the order of shape.
    numbered = sorted(
        (i for i, step in enumerate(axes.row_strides) if step), key=lambda i: -axes.row_strides[i]
    )
    kept = [i for i in sorted(numbered) if own[i] != 1]
    summed = [i for i in sorted(numbered) if own[i] == 1]
    wanted = [*kept, *summed]
    turned = None if wanted == numbered else tuple(numbered.index(i) for i in wanted)
    elements, count = (prod(shape[i] for i in some) for some in (kept, summed))
    return Order(elements, count, tuple(shape[i] for i in numbered), turned)


def write_sums(
    terms: Words,
    rows: int,
    orders: tuple[Order, Order],
    ds: int,
    ds_storage: int,
    db: int,
    db_storage: int,
) -> None:
    """Write ds and db.

    Parameters
    ----------
    terms : (4, rows) array
        High and low words of the rows' terms of ds, then of db, by the rows' number.
    rows : int
        How many there are.
    orders : tuple
        How terms of ds, and of db, are summed.
    ds, db : int
        Addresses of the results, which are in C order.
    ds_storage, db_storage : int
        Their formats, as in ``_layout``.
    """
    (ds_elements, ds_count, _, ds_turned), (db_elements, db_count, _, db_turned) = orders
    ds_terms = address_of(terms)
    db_terms = ds_terms + 16 * rows
    if ds_turned is not None or db_turned is not None:
        copies = [_turned(terms[:2], orders[0]), _turned(terms[2:], orders[1])]
        ds_terms, db_terms = map(address_of, copies)
    # fmt: off
    summing()(
        rows,
        ds_terms, ds_elements, ds_count, ds, ds_storage,
        db_terms, db_elements, db_count, db, db_storage,
    )
    # fmt: on


def _turned(terms: Words, order: Order) -> Words:
    """Return terms in the order that they are summed in."""
    if order.turned is None:
        return terms
    spread = terms.reshape(2, *order.lengths).transpose(0, *(1 + axis for axis in order.turned))
    return np.ascontiguousarray(spread)


@called
def sum_of_words(high_at, low_at, count):
    """Return the sum of two-word numbers in two words: side by side first, then by halving.

    Where it is not finite, the low word is 0.
    """
    sums = np.zeros((3, _SUMS))
    high, low, plain = sums[0], sums[1], sums[2]
    for start in range(0, count, _SUMS):
        for lane in range(min(_SUMS, count - start)):
            offset = 8 * (start + lane)
            a, b = high[lane], load_double(high_at + offset)
            # Knuth's sum: total and rest are a + b exactly. The low words' own errors are below
            # 2**-105 of the terms' sizes, for each addition.
            total = a + b
            part = total - a
            rest = (a - (total - part)) + (b - part)
            rest += low[lane] + load_double(low_at + offset)
            high[lane] = total + rest
            low[lane] = rest - (high[lane] - total)
            plain[lane] += b
    width = _SUMS // 2
    while width:
        for lane in range(width):
            a, b = high[lane], high[lane + width]
            total = a + b
            part = total - a
            rest = (a - (total - part)) + (b - part)
            rest += low[lane] + low[lane + width]
            high[lane] = total + rest
            low[lane] = rest - (high[lane] - total)
            plain[lane] += plain[lane + width]
        width //= 2
    # Where a word is not finite (an invalid row, a sum beyond the range), two words would turn an
    # infinity into NaN; the plain sum says what it is.
    if np.isfinite(plain[0]):
        return high[0], low[0]
    return plain[0], 0.0


@called
def _write_rounded(terms, rows, elements, count, out, storage):
    """Write the sums of ``count`` terms each, rounded to a format.

    The high word is the sum rounded to binary64: a narrower result differs from the sum's own
    rounding only where that is within 2**-53 of it of a midpoint.
    """
    lanes = np.empty(LANES, np.int16)
    lanes_at = lanes.ctypes.data
    for element in range(elements):
        at = terms + 8 * count * element
        value, _ = sum_of_words(at, at + 8 * rows, count)
        if storage == FLOAT64:
            store_double(out + 8 * element, value)
        elif storage == FLOAT32:
            store_float(out + 4 * element, np.float32(value))
        else:
            # Once, to nearest: what there is for it takes vectors.
            if storage == FLOAT16:
                store_shorts(lanes_at, round_to_halves(full(value)))
            else:
                store_shorts(lanes_at, round_to_bfloats(full(value)))
            copy_short(out + 2 * element, lanes_at)
    return lanes.size  # which keeps them until here


def _write_both(
    rows,
    ds_terms,
    ds_elements,
    ds_count,
    ds,
    ds_storage,
    db_terms,
    db_elements,
    db_count,
    db,
    db_storage,
):
    _write_rounded(ds_terms, rows, ds_elements, ds_count, ds, ds_storage)
    _write_rounded(db_terms, rows, db_elements, db_count, db, db_storage)


@cache
def summing() -> Callable[..., None]:
    """Return the compiled function behind ``write_sums``."""
    return compile_kept(_write_both, types.void(*(types.int64,) * 11))
