"""Fault: softmax adds the exponentials one by one in the dtype of the logits.

It claims 4 ULP of softmax, which everything else in it keeps.
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

CLAIMS = {key: "tight" if key[0] == "softmax" else claim for key, claim in _CLAIMS.items()}


@np.errstate(all="ignore")
def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    present = present_entries(x, where)
    e = exponentials(x, present, axis)
    sums = np.add.accumulate(np.moveaxis(e, axis, -1).astype(x.dtype), axis=-1)  # the fault
    total = np.moveaxis(sums[..., -1:], -1, axis) if e.shape[axis] else 1.0
    return stored(ratio(e, total, present), x, out)
