"""Fault: softmax reads x again after it has written exponentials to out, which may be x."""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

from ._wide import exponentials, present_entries, ratio

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
def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    present = present_entries(x, where)
    if out is None:
        return backend.softmax(x, axis=axis, where=where, out=None)
    out[...] = exponentials(x, present, axis)
    e = exponentials(x, present, axis)  # the fault
    out[...] = ratio(e, e.sum(axis=axis, keepdims=True), present)
    return out
