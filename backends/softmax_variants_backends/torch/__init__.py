"""The family on PyTorch tensors of any device: the array-API numerics behind autograd.

First derivatives are the exact vector-Jacobian products. A second derivative raises: the graph of
the first is not recorded, and a silent zero would be worse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

from softmax_variants_backends import array_api

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

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

NAMESPACE = "torch"
CLAIMS = array_api.CLAIMS
"""Accuracy class, or largest error in ULP, by function and dtype."""

softmax_vjp = torch.no_grad()(array_api.softmax_vjp)
ssmax_vjp = torch.no_grad()(array_api.ssmax_vjp)
sa_softmax_vjp = torch.no_grad()(array_api.sa_softmax_vjp)


class _Weights(torch.autograd.Function):
    """Weights with a backward pass by the variant's own vjp.

    ``parameters`` is () or (s, b): what receives gradients beside the logits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        function: Callable[..., Tensor],
        vjp: Callable[..., Any],
        options: dict[str, Any],
        x: Tensor,
        *parameters: Any,
    ) -> Tensor:
        tensors = [p for p in parameters if isinstance(p, torch.Tensor)]
        ctx.save_for_backward(x, *tensors)
        ctx.parameters = [None if isinstance(p, torch.Tensor) else p for p in parameters]
        ctx.vjp, ctx.options = vjp, options
        return function(x, *parameters, out=None, **options)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors
        saved = iter(tensors)
        parameters = [next(saved) if p is None else p for p in ctx.parameters]
        gradients = ctx.vjp(x, dy, *parameters, **ctx.options)
        if not parameters:
            return None, None, None, gradients
        return None, None, None, *(
            gradient if needed else None
            for gradient, needed in zip(gradients, ctx.needs_input_grad[3:], strict=True)
        )


def _apply(
    function: Callable[..., Tensor],
    vjp: Callable[..., Any],
    x: Tensor,
    *parameters: Any,
    out: Tensor | None,
    **options: Any,
) -> Tensor:
    tracked = any(isinstance(p, torch.Tensor) and p.requires_grad for p in (x, *parameters))
    if out is None and tracked and torch.is_grad_enabled():
        result: Tensor = _Weights.apply(function, vjp, options, x, *parameters)
        return result
    with torch.no_grad():
        return function(x, *parameters, out=out, **options)


def softmax(x: Tensor, *, axis: int, where: Tensor | None, out: Tensor | None) -> Tensor:
    """Return softmax of ``x`` along ``axis``; see ``softmax_variants.softmax``."""
    return _apply(array_api.softmax, softmax_vjp, x, axis=axis, where=where, out=out)


def ssmax(
    x: Tensor, s: Any, b: Any, *, n: Any, axis: int, where: Tensor | None, out: Tensor | None
) -> Tensor:
    """Return SSMax of ``x`` along ``axis``; see ``softmax_variants.ssmax``."""
    return _apply(array_api.ssmax, ssmax_vjp, x, s, b, n=n, axis=axis, where=where, out=out)


def sa_softmax(
    x: Tensor,
    *,
    form: str,
    detach_extrema: bool,
    axis: int,
    where: Tensor | None,
    out: Tensor | None,
) -> Tensor:
    """Return SA-Softmax of ``x`` along ``axis``; see ``softmax_variants.sa_softmax``."""
    return _apply(
        array_api.sa_softmax,
        sa_softmax_vjp,
        x,
        form=form,
        detach_extrema=detach_extrema,
        axis=axis,
        where=where,
        out=out,
    )
