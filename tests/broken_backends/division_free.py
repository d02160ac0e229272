"""Fault: softmax is exp(x - logsumexp), with the logarithm stored in the dtype of the logits.

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

from ._wide import exponentials, present_entries, stored

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
    top = np.where(present, x, -np.inf).max(axis=axis, keepdims=True, initial=-np.inf)
    e = exponentials(x, present, axis)
    lse = (top + np.log(e.sum(axis=axis, keepdims=True))).astype(x.dtype)
    y = np.where(present, np.exp(x.astype(np.float64) - lse), 0)  # the fault
    return stored(y, x, out)
