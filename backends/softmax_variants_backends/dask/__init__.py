"""The family on Dask arrays: the array-API numerics as a lazy graph over the chunks.

Nothing is computed before the result is. A row may lie in several chunks, and has the same bits
however it is cut: its sums are trees of its length, and what Dask itself reduces (extrema, counts)
is exact. NumPy warns of overflow in intermediate steps when the graph is computed, which the
caller may silence with ``numpy.errstate`` under the synchronous scheduler.

Every operation is a task a chunk: a call in float64 makes thousands, and seconds pass before the
first number is computed.
"""

from __future__ import annotations

from typing import Any

from softmax_variants_backends.array_api import CLAIMS as _CLAIMS
from softmax_variants_backends.array_api import _functions
from softmax_variants_backends.array_api._functions import (
    sa_softmax_vjp,
    softmax_vjp,
    ssmax_vjp,
)

__all__ = [
    "CLAIMS",
    "NAMESPACE",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

NAMESPACE = "dask.array"

CLAIMS = {key: claim for key, claim in _CLAIMS.items() if key[1] != "bfloat16"}
"""Accuracy class, or largest error in ULP, by function and dtype."""


def _no_out(out: Any) -> None:
    if out is not None:
        msg = "out must be None: Dask arrays are computed when they are asked for"
        raise ValueError(msg)


def softmax(x: Any, *, axis: int, where: Any, out: None) -> Any:
    """Return softmax of ``x`` along ``axis``; see ``softmax_variants.softmax``."""
    _no_out(out)
    return _functions.softmax(x, axis=axis, where=where, out=None)


def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: None) -> Any:
    """Return SSMax of ``x`` along ``axis``; see ``softmax_variants.ssmax``."""
    _no_out(out)
    return _functions.ssmax(x, s, b, n=n, axis=axis, where=where, out=None)


def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: None) -> Any:
    """Return SA-Softmax of ``x`` along ``axis``; see ``softmax_variants.sa_softmax``."""
    _no_out(out)
    return _functions.sa_softmax(
        x, form=form, detach_extrema=detach_extrema, axis=axis, where=where, out=None
    )
