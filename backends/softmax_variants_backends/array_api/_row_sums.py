"""Gradients of SSMax's parameters: the sum of the rows' terms, in the parameter's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _words as w
from ._rounding import round_to

if TYPE_CHECKING:
    from ._words import Array, Number
    from ._working import Working

__all__ = ["parameter_gradient"]


def parameter_gradient(working: Working, terms: Number, parameter: Any, dtype: Any) -> Array:
    """Return the sum of ``terms`` over all rows that share an element of ``parameter``.

    The result has the parameter's shape and dtype; for a Python number it is a 0-d array of
    ``dtype``. Rounded once.
    """
    xp = working.xp
    python_number = isinstance(parameter, (int, float))
    shape = () if python_number else tuple(parameter.shape)
    rows_shape = terms[0].shape
    target = (1,) * (len(rows_shape) - len(shape)) + shape
    # Where a word is not finite (an invalid row, a sum beyond the range) two-word sums would turn
    # an infinity into NaN; the plain sum says what it is.
    plain: Number = terms[:1]
    for axis, (length, wanted) in enumerate(zip(rows_shape, target, strict=True)):
        if wanted == 1 and length != 1:
            terms, plain = w.tree_sum(xp, terms, axis), w.tree_sum(xp, plain, axis)
    finite = xp.isfinite(plain[0])
    high = xp.where(finite, terms[0], plain[0])
    total = (high, *(xp.where(finite, word, 0.0) for word in terms[1:]))
    rounded = round_to(working, total, dtype if python_number else parameter.dtype)
    return xp.reshape(rounded, shape)
