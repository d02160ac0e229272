"""Fault: the gradient of softmax clears dy at absent entries in place."""

from __future__ import annotations

from typing import Any

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax,
    sa_softmax_vjp,
    softmax,
    ssmax,
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


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    dx = backend.softmax_vjp(x, dy, axis=axis, where=where)
    dy[~present_entries(x, where)] = 0  # the fault
    return dx
