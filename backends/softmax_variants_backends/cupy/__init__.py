"""The family on CuPy arrays: CUDA kernels for rows, and array-API numerics where they end."""

from __future__ import annotations

from typing import Any

import cupy

from softmax_variants_backends import _cuda
from softmax_variants_backends.array_api import CLAIMS as _CLAIMS_ANYWHERE

from ._rows import (
    kernels_on,
    sa_softmax,
    sa_softmax_vjp,
    softmax,
    softmax_vjp,
    ssmax,
    ssmax_vjp,
)

__all__ = [
    "CLAIMS",
    "NAMESPACE",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

NAMESPACE = "cupy"


def __getattr__(name: str) -> Any:
    if name == "CLAIMS":
        # Accuracy class, or largest error in ULP, by function and dtype: of whoever serves on the
        # device in use. CuPy has no bfloat16.
        there = kernels_on(cupy.cuda.runtime.getDevice()) is not None
        claims = _cuda.CLAIMS if there else _CLAIMS_ANYWHERE
        return {key: claim for key, claim in claims.items() if key[1] != "bfloat16"}
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
