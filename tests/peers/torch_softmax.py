"""Peer: ``torch.softmax``, with its own derivative from ``torch.autograd``.

Glue: ``where`` is written into the logits as -inf, as its users do.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["NAMESPACE", "softmax", "softmax_vjp"]

NAMESPACE = "torch"


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    z = x if where is None else x.masked_fill(~where, -torch.inf)
    return torch.softmax(z, axis, out=out)


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    leaf = x.detach().requires_grad_()
    y = softmax(leaf, axis=axis, where=where, out=None)
    return torch.autograd.grad(y, leaf, dy)[0]
