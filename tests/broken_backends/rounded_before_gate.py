"""Fault: SA-Softmax rounds the probability before it multiplies by the gate.

It claims 4 ULP of SA-Softmax, which that leaves where the probability does not underflow.
"""

from __future__ import annotations

from typing import Any

from softmax_variants_backends.numpy import (
    CLAIMS as _CLAIMS,
)
from softmax_variants_backends.numpy import (
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

CLAIMS = {key: "tight" if key[0] == "sa_softmax" else claim for key, claim in _CLAIMS.items()}


def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any) -> Any:
    return stored(gated(x, form, axis, where, narrow=True), x, out)  # the fault
