"""Fault: SSMax rounds ln n to the dtype of the logits."""

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

from ._wide import present_entries

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
    count = present_entries(x, where).sum(axis=axis, keepdims=True) if n is None else n
    log_n = np.log(np.asarray(count, np.float64)).astype(x.dtype)  # the fault
    c = np.asarray(s, np.float64) * log_n.astype(np.float64) + b
    # Of an empty row any scale will do.
    c = np.where(np.asarray(count) == 0, np.nan if n is not None else 0.0, c)
    return backend.ssmax(x, 0.0, c, n=None, axis=axis, where=where, out=out)
