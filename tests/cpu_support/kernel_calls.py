"""Calls of the row kernels on two-dimensional NumPy arrays, as the plans of backends make them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from softmax_variants_backends._cpu import _layout as fields
from softmax_variants_backends._cpu._kernels import WHOLE, kernel
from softmax_variants_backends._numbers import log_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["Results", "run"]

_FORMS = {None: 0, "plain": 0, "shifted": 1, "minmax": 2, "normalized": 3}


class Results(NamedTuple):
    """What a call gives."""

    out: Array
    terms: Array
    """Of ds and db of each row, in two words each."""
    left: Array
    """Whether a row is left to other numerics."""


def _address(a: Array | None) -> int:
    return 0 if a is None else a.__array_interface__["data"][0]


def run(
    function: str,
    x: Array,
    *,
    dy: Array | None = None,
    mask: Array | None = None,
    out: Array | None = None,
    form: str | None = None,
    detach_extrema: bool = False,
    s: float = 1.0,
    b: float = 0.0,
    n: float | None = None,
    dtype: str | None = None,
    cuts: Sequence[int] = (),
    split: bool = False,
) -> Results:
    """Evaluate rows of an array, from cut to cut; bfloat16 are integers of 16 bits."""
    rows, length = x.shape
    if out is None:
        out = np.empty_like(x)
    layout = np.zeros(fields.FIELDS, np.int64)
    layout[fields.ROWS], layout[fields.LENGTH], layout[fields.AXES] = rows, length, 1
    layout[fields.FORM], layout[fields.DETACH] = _FORMS[form], detach_extrema
    layout[fields.N_FROM] = fields.FROM_COUNT if n is None else fields.FROM_NUMBER
    layout[fields.SIZES] = rows
    for k, own in enumerate((x, dy, out, mask)):
        if own is not None:
            apart, step = (stride // own.itemsize for stride in own.strides)
            layout[fields.STRIDES + 8 * k], layout[fields.STEPS + k] = apart, step
    terms, left = np.full((4, rows), np.nan), np.zeros(rows, np.uint8)
    arguments = (
        *(_address(own) for own in (x, dy, out, mask)),
        *(0, 0, 0, 0, _address(terms), _address(left), s, b),
        *log_words(length if n is None else n),
        layout,
    )
    name = dtype or x.dtype.name
    compiled = kernel(function, name, gradients=dy is not None)
    if split:
        blocks = -(-length // fields.BLOCK)
        records = np.full((rows, blocks, fields.RECORD), np.nan)
        ends = [0, *cuts, rows * blocks]
        for stage in range(3):
            for begin, end in pairwise(ends):
                compiled(stage, *arguments, _address(records), begin, end)
    else:
        ends = [0, *cuts, rows]
        for begin, end in pairwise(ends):
            compiled(WHOLE, *arguments, 0, begin, end)
    return Results(out, terms, left.astype(bool))
