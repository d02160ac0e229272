"""The PyTorch backend on CUDA tensors, with the claims of the kernels that serve there.

The same functions as ``softmax_variants_backends.torch``, whose claims hold on every device. Here
is what the conformance suite judges on a GPU: ``softmax-variants conformance
softmax_variants_backends.torch.cuda``.
"""

from __future__ import annotations

from typing import Any

import torch

from softmax_variants_backends import _cuda
from softmax_variants_backends.array_api import CLAIMS as _CLAIMS_ANYWHERE

from . import NAMESPACE, sa_softmax, sa_softmax_vjp, softmax, softmax_vjp, ssmax, ssmax_vjp
from ._cuda_rows import kernels_on

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

DEVICE = "cuda"


def __getattr__(name: str) -> Any:
    if name == "CLAIMS":
        # Read where a device is about to be used: it decides who serves.
        there = torch.cuda.is_available() and kernels_on(torch.cuda.current_device()) is not None
        return _cuda.CLAIMS if there else _CLAIMS_ANYWHERE
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
