"""Fault: the weights of softmax are on another device than the logits."""

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

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]


class _Elsewhere(np.ndarray[Any, Any]):
    """An array that says that it is somewhere else."""

    device: Any = "gpu:1"


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    y = backend.softmax(x, axis=axis, where=where, out=out)
    return y.view(_Elsewhere) if out is None else y  # the fault
