"""Softmax variants for attention, right at extreme logits, for arrays of any library.

Three functions, :func:`softmax`, :func:`ssmax` and :func:`sa_softmax`, take NumPy, CuPy and PyTorch
arrays and those of any other array-API library, and return their kind. Each has its vector-Jacobian
product, ``*_vjp``. :func:`backends` lists what can run here.
"""

from __future__ import annotations

from ._functions import sa_softmax, softmax, ssmax
from ._gradients import sa_softmax_vjp, softmax_vjp, ssmax_vjp
from ._status import BackendStatus, BackendTable, backends

__version__ = "0.1.0"

__all__ = [
    "BackendStatus",
    "BackendTable",
    "__version__",
    "backends",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]
