"""The family on CuPy arrays: the array-API numerics, one kernel an operation."""

from functools import partial

from softmax_variants_backends.array_api import CLAIMS as _CLAIMS
from softmax_variants_backends.array_api import _functions

from ._namespace import namespace as _namespace

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

softmax = partial(_functions.softmax, xp=_namespace)
ssmax = partial(_functions.ssmax, xp=_namespace)
sa_softmax = partial(_functions.sa_softmax, xp=_namespace)
softmax_vjp = partial(_functions.softmax_vjp, xp=_namespace)
ssmax_vjp = partial(_functions.ssmax_vjp, xp=_namespace)
sa_softmax_vjp = partial(_functions.sa_softmax_vjp, xp=_namespace)
