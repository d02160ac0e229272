"""Peer: SSMax as public code writes it, ``torch.softmax((s * log(n) + b) * x, -1)``.

The peer's own: the scale times the logits before the softmax, all in the dtype of the logits, n as
the length of the row, derivatives from ``torch.autograd``. Glue: ``where`` is written into the
scaled logits as -inf, a given n takes the place of the length, and the result is copied to out=.
"""

from __future__ import annotations

import math
from typing import Any

import torch

__all__ = ["NAMESPACE", "ssmax", "ssmax_vjp"]

NAMESPACE = "torch"


def _log(n: Any, x: Any, axis: int) -> Any:
    if n is None:
        n = x.shape[axis]
    return torch.log(n.to(x.dtype)) if isinstance(n, torch.Tensor) else math.log(n)


def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    z = (s * _log(n, x, axis) + b) * x
    y = torch.softmax(z if where is None else z.masked_fill(~where, -torch.inf), axis)
    return y if out is None else out.copy_(y)


def ssmax_vjp(
    x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any
) -> tuple[Any, Any, Any]:
    # A number has a gradient as a 0-d tensor only.
    leaves = [torch.as_tensor(v, dtype=x.dtype).detach().requires_grad_() for v in (x, s, b)]
    y = ssmax(*leaves, n=n, axis=axis, where=where, out=None)
    dx, ds, db = torch.autograd.grad(y, leaves, dy)
    return dx, ds, db
