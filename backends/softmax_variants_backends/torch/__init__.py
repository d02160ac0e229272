"""The family on PyTorch tensors of any device: the array-API numerics behind autograd.

First derivatives are the exact vector-Jacobian products. Second derivatives and forward mode
raise: a silent zero, or an extremum's derivative that splits ties in another way, would be worse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from softmax_variants_backends.array_api import CLAIMS as _CLAIMS
from softmax_variants_backends.array_api import _functions

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
F = TypeVar("F", bound=Callable[..., Any])

CLAIMS = _CLAIMS
"""Accuracy class, or largest error in ULP, by function and dtype."""


class _Weights(torch.autograd.Function):
    """Weights with a backward pass by the variant's own vjp."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        function: Callable[..., Tensor],
        vjp: Callable[..., Any],
        options: dict[str, Any],
        x: Tensor,
        *parameters: Any,
    ) -> Tensor:
        del vjp
        return function(x, *parameters, out=None, **options)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        del output
        _, ctx.vjp, ctx.options, x, *parameters = inputs
        ctx.save_for_backward(x, *(p for p in parameters if isinstance(p, torch.Tensor)))
        ctx.parameters = [None if isinstance(p, torch.Tensor) else p for p in parameters]

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors
        saved = iter(tensors)
        parameters = [next(saved) if p is None else p for p in ctx.parameters]
        gradients = _differentiable_once(ctx.vjp, x, dy, *parameters, **ctx.options)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        return (
            None,
            None,
            None,
            *(
                gradient if needed else None
                for gradient, needed in zip(gradients, ctx.needs_input_grad[3:], strict=True)
            ),
        )


class _Gradients(torch.autograd.Function):
    """A vjp whose own derivative raises, in every way of asking, where it would be a silent 0."""

    generate_vmap_rule = True

    @staticmethod
    def forward(vjp: Callable[..., Any], options: dict[str, Any], *arguments: Any) -> Any:
        return vjp(*arguments, **options)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        del ctx, inputs, output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        del ctx, gradients
        msg = "second derivatives of softmax_variants functions are not implemented"
        raise NotImplementedError(msg)


# PyTorch's own annotations leave these untyped.
_apply_weights: Callable[..., Any] = _Weights.apply
_apply_gradients: Callable[..., Any] = _Gradients.apply
_unpack: Callable[[Tensor], Any] = unpack_dual
_disable: Callable[..., Any] = torch.compiler.disable


def _eager(function: F) -> F:
    """Leave a function out of compiled programs, which run it as it is.

    Inductor takes minutes over the hundreds of small operations of one.
    """
    disabled: F = _disable(function)
    return disabled


def _tracked(values: tuple[Any, ...]) -> bool:
    """Return whether autograd follows one of the values, backward or forward."""
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return True
    return any(_unpack(tensor).tangent is not None for tensor in tensors)


def _differentiable_once(vjp: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    if _tracked(arguments):
        return _apply_gradients(vjp, options, *arguments)
    with torch.no_grad():
        return vjp(*arguments, **options)


@_eager
def _apply(
    function: Callable[..., Tensor],
    vjp: Callable[..., Any],
    x: Tensor,
    *parameters: Any,
    out: Tensor | None,
    **options: Any,
) -> Tensor:
    if out is None and _tracked((x, *parameters)):
        result: Tensor = _apply_weights(function, vjp, options, x, *parameters)
        return result
    with torch.no_grad():
        return function(x, *parameters, out=out, **options)


@_eager
def softmax_vjp(x: Tensor, dy: Tensor, *, axis: int, where: Tensor | None) -> Tensor:
    """Return dx of softmax; see ``softmax_variants.softmax_vjp``."""
    result: Tensor = _differentiable_once(_functions.softmax_vjp, x, dy, axis=axis, where=where)
    return result


@_eager
def ssmax_vjp(
    x: Tensor, dy: Tensor, s: Any, b: Any, *, n: Any, axis: int, where: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, ds, db) of SSMax; see ``softmax_variants.ssmax_vjp``."""
    result: tuple[Tensor, Tensor, Tensor] = _differentiable_once(
        _functions.ssmax_vjp, x, dy, s, b, n=n, axis=axis, where=where
    )
    return result


@_eager
def sa_softmax_vjp(
    x: Tensor, dy: Tensor, *, form: str, detach_extrema: bool, axis: int, where: Tensor | None
) -> Tensor:
    """Return dx of SA-Softmax; see ``softmax_variants.sa_softmax_vjp``."""
    result: Tensor = _differentiable_once(
        _functions.sa_softmax_vjp,
        x,
        dy,
        form=form,
        detach_extrema=detach_extrema,
        axis=axis,
        where=where,
    )
    return result


def softmax(x: Tensor, *, axis: int, where: Tensor | None, out: Tensor | None) -> Tensor:
    """Return softmax of ``x`` along ``axis``; see ``softmax_variants.softmax``."""
    return _apply(_functions.softmax, _functions.softmax_vjp, x, axis=axis, where=where, out=out)


def ssmax(
    x: Tensor, s: Any, b: Any, *, n: Any, axis: int, where: Tensor | None, out: Tensor | None
) -> Tensor:
    """Return SSMax of ``x`` along ``axis``; see ``softmax_variants.ssmax``."""
    return _apply(
        _functions.ssmax, _functions.ssmax_vjp, x, s, b, n=n, axis=axis, where=where, out=out
    )


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
        _functions.sa_softmax,
        _functions.sa_softmax_vjp,
        x,
        form=form,
        detach_extrema=detach_extrema,
        axis=axis,
        where=where,
        out=out,
    )
