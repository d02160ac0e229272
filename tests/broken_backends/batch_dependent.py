"""Fault: softmax splits the sum of a row in two where there are few rows to keep cores busy with.

It claims nothing about softmax, so that all it is held to there is the class "bounded".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends.numpy import (
    CLAIMS as _CLAIMS,
)
from softmax_variants_backends.numpy import (
    sa_softmax,
    sa_softmax_vjp,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

from ._wide import exponentials, halves, present_entries, ratio, stored

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

CLAIMS = {key: claim for key, claim in _CLAIMS.items() if key[0] != "softmax"}


@np.errstate(all="ignore")
def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    present = present_entries(x, where)
    e = exponentials(x, present, axis).astype(x.dtype)

    if x.size and x.size // x.shape[axis] < 4:  # the fault
        even, odd = (np.take(e, range(i, e.shape[axis], 2), axis=axis) for i in (0, 1))
        total = halves(even, axis) + halves(odd, axis)
    else:
        total = halves(e, axis)
    return stored(ratio(e, total, present), x, out)
