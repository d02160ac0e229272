"""Fault: softmax and its gradient go along the last axis, whatever the axis."""

from __future__ import annotations

from typing import Any

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
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


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    return backend.softmax(x, axis=x.ndim - 1, where=where, out=out)  # the fault


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    return backend.softmax_vjp(x, dy, axis=x.ndim - 1, where=where)  # the fault
