"""The PyTorch backend on tensors of the CPU, with the claims of the kernels that serve there.

The same functions as ``softmax_variants_backends.torch``, whose claims hold on every device. Here
is what the conformance suite judges on a CPU: ``softmax-variants conformance
softmax_variants_backends.torch.cpu``.
"""

from __future__ import annotations

from typing import Any

from softmax_variants_backends import _cpu
from softmax_variants_backends.array_api import CLAIMS as _CLAIMS_ANYWHERE

from . import NAMESPACE, sa_softmax, sa_softmax_vjp, softmax, softmax_vjp, ssmax, ssmax_vjp
from ._cpu_rows import kernels

__all__ = [
    "CLAIMS",  # noqa: F822  (of __getattr__)
    "DEVICE",
    "NAMESPACE",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

DEVICE = "cpu"


def __getattr__(name: str) -> Any:
    if name == "CLAIMS":
        # Read where the kernels are about to be used: that loads them.
        return _CLAIMS_ANYWHERE if kernels() is None else _cpu.CLAIMS
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
