"""Fault: softmax of 16-bit logits is rounded to binary32 first and to 16 bits then.

It claims correct rounding of softmax in binary16, which it would have without.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
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

from ._wide import stored

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

CLAIMS = _CLAIMS | {("softmax", "float16"): "correct"}


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    if x.dtype != np.float16:
        return backend.softmax(x, axis=axis, where=where, out=out)
    wide = {"axis": axis, "where": where, "out": None}
    y = backend.softmax(x.astype(np.float64), **wide).astype(np.float32)  # the fault
    return stored(y, x, out)
