"""Peer: SA-Softmax as its formulas read, the gate times ``torch.softmax``.

The peer's own: the gate and the probability rounded apart, extrema by ``amin`` and ``amax``,
derivatives from ``torch.autograd``, and in the normalized form the 1e-10 that public code adds to
the denominator (HKUDS/SepLLM). Glue: ``where`` is written into the logits as -inf, and the result
is copied to out=.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["NAMESPACE", "sa_softmax", "sa_softmax_vjp"]

NAMESPACE = "torch"


def _gate(z: Any, form: str, *, detach_extrema: bool, axis: int) -> Any:
    smallest, largest = z.amin(axis, keepdim=True), z.amax(axis, keepdim=True)
    if detach_extrema:
        smallest, largest = smallest.detach(), largest.detach()
    if form == "plain":
        return z
    if form == "shifted":
        return z - smallest
    if form == "minmax":
        return (z - smallest) / (largest - smallest)
    lower, upper = smallest.clamp(max=0), largest.clamp(min=0)
    return (z - lower) / (upper - lower + 1e-10)


def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any) -> Any:
    z = x if where is None else x.masked_fill(~where, -torch.inf)
    gate = _gate(z, form, detach_extrema=detach_extrema, axis=axis)
    y = gate * torch.softmax(z, axis)
    return y if out is None else out.copy_(y)


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    leaf = x.detach().requires_grad_()
    gate = {"form": form, "detach_extrema": detach_extrema}
    y = sa_softmax(leaf, **gate, axis=axis, where=where, out=None)
    return torch.autograd.grad(y, leaf, dy)[0]
