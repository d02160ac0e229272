"""Fault: SA-Softmax keeps its gates at 1e-6 at least, to keep all entries alive."""

from __future__ import annotations

from typing import Any

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import (
    CLAIMS,
    sa_softmax_vjp,
    softmax,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

from ._gates import gated
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


def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any) -> Any:
    if form == "plain":
        options = {"axis": axis, "where": where, "out": out}
        return backend.sa_softmax(x, form=form, detach_extrema=detach_extrema, **options)
    return stored(gated(x, form, axis, where, at_least=1e-6), x, out)  # the fault
