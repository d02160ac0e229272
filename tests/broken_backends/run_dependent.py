"""Fault: softmax adds the exponentials in the order in which they arrive, as atomic additions do.

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

_ARRIVAL = np.random.default_rng(1)


@np.errstate(all="ignore")
def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    present = present_entries(x, where)
    e = exponentials(x, present, axis).astype(x.dtype)

    order = _ARRIVAL.permutation(x.shape[axis])  # the fault
    total = halves(np.take(e, order, axis=axis), axis)
    return stored(ratio(e, total, present), x, out)
