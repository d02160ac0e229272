"""SSMax and SA-Softmax as people write them: what the kernels are timed beside.

In the dtype of the logits, one operation after the other. In NumPy with gradients by hand, an
extremum's share going to every entry that is one; in PyTorch to be compiled, with gradients by
``torch.func.vjp``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    Array = npt.NDArray[Any]

__all__ = [
    "B",
    "S",
    "numpy_sa_softmax",
    "numpy_sa_softmax_vjp",
    "numpy_softmax",
    "numpy_ssmax",
    "numpy_ssmax_vjp",
    "torch_sa_softmax",
    "torch_ssmax",
]

S, B = 0.43, 0.125
"""SSMax's parameters."""


def numpy_softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def numpy_ssmax(x: Array, axis: int) -> Array:
    return numpy_softmax((S * math.log(x.shape[axis]) + B) * x, axis)


def _ends(x: Array, axis: int) -> tuple[Array, Array]:
    return (
        np.minimum(x.min(axis, keepdims=True), 0),
        np.maximum(x.max(axis, keepdims=True), 0),
    )


def numpy_sa_softmax(x: Array, axis: int) -> Array:
    low, high = _ends(x, axis)
    return (x - low) / (high - low) * numpy_softmax(x, axis)


def numpy_ssmax_vjp(x: Array, dy: Array, axis: int) -> tuple[Array, Any, Any]:
    log_n = math.log(x.shape[axis])
    p = numpy_ssmax(x, axis)
    dz = p * (dy - (p * dy).sum(axis, keepdims=True))
    dc = (dz * x).sum()
    return (S * log_n + B) * dz, log_n * dc, dc


def numpy_sa_softmax_vjp(x: Array, dy: Array, axis: int) -> Array:
    low, high = _ends(x, axis)
    span = high - low
    gate = (x - low) / span
    p = numpy_softmax(x, axis)
    weighted = p * dy
    plain = weighted.sum(axis, keepdims=True)
    gated = gate * weighted
    mean = gated.sum(axis, keepdims=True)
    dx = gated + weighted / span - p * mean
    for end, share in ((low, (mean - plain) / span), (high, -mean / span)):
        at_end = x == end
        dx += at_end * (share / np.maximum(at_end.sum(axis, keepdims=True), 1).astype(x.dtype))
    return dx


def torch_ssmax(x: Tensor, axis: int) -> Tensor:
    return torch.softmax((S * math.log(x.shape[axis]) + B) * x, axis)


def torch_sa_softmax(x: Tensor, axis: int) -> Tensor:
    low = x.amin(axis, keepdim=True).clamp(max=0)
    high = x.amax(axis, keepdim=True).clamp(min=0)
    return (x - low) / (high - low) * torch.softmax(x, axis)
