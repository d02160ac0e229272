"""Fault: SSMax subtracts the largest logit also where c is negative, and exponentials overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
    softmax,
    softmax_vjp,
    ssmax_vjp,
)

from ._wide import present_entries, shifted, stored

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]


@np.errstate(all="ignore")
def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    present = present_entries(x, where)
    count = present.sum(axis=axis, keepdims=True) if n is None else n
    c = np.asarray(s, np.float64) * np.log(count) + b
    # In the range of binary32, as a kernel would.
    beyond = c * shifted(x, present, axis) > np.log(np.finfo(np.float32).max)  # the fault
    bad = (present & beyond).any(axis=axis, keepdims=True)
    y = backend.ssmax(x, s, b, n=n, axis=axis, where=where, out=None)
    return stored(np.where(present & bad, np.nan, y), x, out)
