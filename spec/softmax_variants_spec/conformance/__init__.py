"""The conformance suite: judge any backend against the exact reference.

Run ``softmax-variants conformance NAME_OR_MODULE``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blocks import Block

__all__ = ["rows"]


def rows(
    variant: str, dtype: str, regime: str, block: int, row: int, stop: int | None = None
) -> Block:
    """Return one row of a regime, or several, as the repro lines of a failure name them.

    Parameters
    ----------
    variant
        ``"softmax"``, ``"ssmax"``, ``"sa_softmax.plain"``, ...
    dtype
        Name of the format.
    regime
        Name of the regime.
    block, row
        The numbers in brackets behind the regime's name.
    stop
        Where the rows from ``row`` on end; after that one if None.

    Returns
    -------
    Block
        With ``x``, ``dy`` and, if any, ``where`` of shape (rows, n).

    Examples
    --------
    >>> rows("softmax", "float32", "zeros", 0, 0).x
    array([[ 0., -0.,  0., -0.,  0.]])
    """
    from softmax_variants_spec.formats import FORMATS

    from .regimes import regime as find
    from .variants import VARIANTS

    found = next(one for one in VARIANTS if one.label == variant)
    made = find(regime).blocks(found, FORMATS[dtype])[block]
    return made.take(slice(row, row + 1 if stop is None else stop))
