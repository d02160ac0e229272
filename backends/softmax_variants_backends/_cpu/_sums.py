"""Sums of the rows' terms of ds and db over the rows that share an element of s or b.

In two words, in an order that follows from the shapes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from softmax_variants_backends._axes import RowAxes

    Words = npt.NDArray[np.float64]

__all__ = ["sum_terms", "sum_words"]

_LANES = 8


def sum_terms(terms: Words, axes: RowAxes, shape: Sequence[int], parameter: Sequence[int]) -> Words:
    """Return the sums of ``terms``, high and low words, of all rows that share an element.

    Parameters
    ----------
    terms : (2, rows) array
        By the rows' number.
    axes : RowAxes
        They say what row has which number.
    shape, parameter : sequence of int
        Shapes of the logits and of the parameter.

    Returns
    -------
    (2, elements) array
        In the order of the parameter's elements; the low words are 0 where a sum is not finite.
    """
    own = (1,) * (len(shape) - len(parameter)) + tuple(parameter)
    # Axes of rows from the slowest to the fastest, as the numbers run, then in the order of shape.
    numbered = sorted(
        (i for i, step in enumerate(axes.row_strides) if step), key=lambda i: -axes.row_strides[i]
    )
    kept = [i for i in sorted(numbered) if own[i] != 1]
    summed = [i for i in sorted(numbered) if own[i] == 1]
    spread = terms.reshape(2, *(shape[i] for i in numbered))
    spread = spread.transpose(0, *(1 + numbered.index(i) for i in (*kept, *summed)))
    elements = int(np.prod([shape[i] for i in kept], dtype=np.int64))
    sums = np.empty((2, elements))
    sum_words(np.ascontiguousarray(spread).reshape(2, elements, -1), sums)
    return sums


@njit(nogil=True, cache=True)
def sum_words(terms: Any, sums: Any) -> None:
    """Sum each element's terms: in lanes first, then the lanes by halving.

    ``terms`` are (2, elements, terms of one), ``sums`` (2, elements), each high and low words.
    """
    high, low, plain = np.empty(_LANES), np.empty(_LANES), np.empty(_LANES)
    for element in range(terms.shape[1]):
        high[:], low[:], plain[:] = 0.0, 0.0, 0.0
        length = terms.shape[2]
        for start in range(0, length, _LANES):
            for lane in range(min(_LANES, length - start)):
                a, b = high[lane], terms[0, element, start + lane]
                # Knuth's sum: total and rest are a + b exactly. The low words' own errors are
                # below 2**-105 of the terms' sizes, for each addition.
                total = a + b
                part = total - a
                rest = (a - (total - part)) + (b - part)
                rest += low[lane] + terms[1, element, start + lane]
                high[lane] = total + rest
                low[lane] = rest - (high[lane] - total)
                plain[lane] += b
        width = _LANES // 2
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
        # Where a word is not finite (an invalid row, a sum beyond the range), two words would turn
        # an infinity into NaN; the plain sum says what it is.
        finite = np.isfinite(plain[0])
        sums[0, element] = high[0] if finite else plain[0]
        sums[1, element] = low[0] if finite else 0.0
