"""The family on CuPy arrays: CUDA kernels for rows, and array-API numerics where they end."""

from softmax_variants_backends.array_api import CLAIMS as _CLAIMS

from ._rows import sa_softmax, sa_softmax_vjp, softmax, softmax_vjp, ssmax, ssmax_vjp

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
CLAIMS = {key: claim for key, claim in _CLAIMS.items() if key[1] != "bfloat16"}
"""Accuracy class, or largest error in ULP, by function and dtype."""
