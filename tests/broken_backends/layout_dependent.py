"""Fault: softmax leaves the order of its sums to NumPy, which goes by the layout in memory.

It claims nothing about softmax but that a row has the same bits in every arrangement, which it is
not to have said.
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

from ._wide import exponentials, present_entries, ratio, stored

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

    # In the order of memory of x: NumPy gives its results that of its operands.
    total = (e + np.zeros_like(x)).sum(axis=axis, keepdims=True)  # the fault
    return stored(ratio(e, total, present), x, out)
