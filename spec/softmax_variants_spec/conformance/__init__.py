"""The conformance suite: judge any backend against the exact reference.

Run ``softmax-variants conformance NAME_OR_MODULE``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blocks import Block

__all__ = ["rows"]


def rows(variant: str, dtype: str, regime: str, block: int, row: int) -> Block:
    """Return one row of a regime, as the repro lines of a failure name it.

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

    Returns
    -------
    Block
        With ``x``, ``dy`` and, if any, ``where`` of shape (1, n).

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
    return made.take(slice(row, row + 1))
