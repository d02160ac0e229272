"""Autograd functions of the family: derivatives of every order, in both modes, and under vmap.

The first backward pass is the variant's own vector-Jacobian product, as accurate as the weights;
what lies beyond it are the formulas of ``_derivatives``. Weights and gradients are two functions,
so that the product has derivatives, too. Their rules are shared with the operators of compiled
programs: ``run`` computes the values, and ``vjp`` is the gradients as a function to differentiate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd import forward_ad as untyped_forward_ad
from torch.autograd.forward_ad import _set_fwd_grad_enabled

from . import _cpu_rows
from ._batches import batched_gradients, batched_weights
from ._calls import call_gradients
from ._derivatives import Point
from ._variant import Parameter, Variant

__all__ = ["GradientsRule", "WeightsRule", "gradients", "weights"]

_Run: TypeAlias = Callable[..., Any]

# PyTorch's own annotations leave these untyped.
_forward_mode: Any = partial(_set_fwd_grad_enabled, True)  # noqa: FBT003
_is_batch_of_autograd: Callable[[Tensor], bool] = torch._C._functorch.is_legacy_batchedtensor
forward_ad: Any = untyped_forward_ad
_grad_enabled: Callable[[], bool] = torch.is_grad_enabled
_transforms_active: Callable[[], bool] = torch._C._are_functorch_transforms_active
_unwrap_dead: Callable[[Tensor], Tensor] = torch._C._functorch.unwrap_if_dead
_unpack_dual: Any = torch._VF._unpack_dual


def _keep(ctx: Any, values: tuple[Any, ...]) -> None:
    """Keep a call's arguments, the tensors with PyTorch: it notices changes in place."""
    tensors = [value if isinstance(value, Tensor) else None for value in values]
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)
    ctx.others = [None if isinstance(value, Tensor) else value for value in values]


def _kept(ctx: Any) -> list[Any]:
    pairs = zip(ctx.saved_tensors, ctx.others, strict=True)
    return [other if tensor is None else tensor for tensor, other in pairs]


def _primals(ctx: Any) -> tuple[Any, ...]:
    """Return what was kept, without the tangents of this level of differentiation.

    PyTorch calls rules of forward mode with forward mode switched off, for these tangents' sake,
    and so would lose those of the levels further out: a jvp of a jvp would be 0. It is switched
    on again there.
    """
    return tuple(
        _unpack_dual(value, 0)[0] if isinstance(value, Tensor) else value for value in _kept(ctx)
    )


class WeightsRule:
    """Derivatives of the weights."""

    @staticmethod
    def forward(
        run: _Run,
        vjp: _Run,
        variant: Variant,
        x: Tensor,
        s: Parameter,
        b: Parameter,
        n: Parameter,
        where: Tensor | None,
    ) -> Tensor:
        """Return the weights."""
        del vjp
        value: Tensor = run(variant, x, s, b, n, where)
        return value

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the arguments."""
        del output
        _, ctx.vjp, ctx.variant, *values = inputs
        _keep(ctx, tuple(values))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by x, s and b."""
        x, *others = _kept(ctx)
        found = ctx.vjp(ctx.variant, x, dy, *others)
        dx, ds, db = (*found, None, None)[:3]
        needs_x, needs_s, needs_b = ctx.needs_input_grad[3:6]
        return (
            None,
            None,
            None,
            dx if needs_x else None,
            ds if needs_s else None,
            db if needs_b else None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """Return the tangent of the weights; one of n is ignored."""
        x_moves, s_moves, b_moves = tangents[3:6]
        with _forward_mode():
            return Point(ctx.variant, *_primals(ctx)).tangent((x_moves, s_moves, b_moves))

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], run: _Run, vjp: _Run, variant: Variant, *values: Any
    ) -> tuple[Tensor, int]:
        """Return the weights of a batch, its axis in front."""
        del run, vjp
        return batched_weights(weights, info.batch_size, in_dims[3:], variant, *values)


class GradientsRule:
    """Derivatives of the gradients, by the arguments of the weights and dy."""

    @staticmethod
    def forward(
        run: _Run,
        vjp: _Run,
        variant: Variant,
        x: Tensor,
        dy: Tensor,
        s: Parameter,
        b: Parameter,
        n: Parameter,
        where: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """Return (dx,), of SSMax (dx, ds, db)."""
        del vjp
        value: tuple[Tensor, ...] = run(variant, x, dy, s, b, n, where)
        return value

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the arguments."""
        WeightsRule.setup_context(ctx, inputs, output)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by x, dy, s and b.

        Cotangents of (dx, ds, db) are a direction in which x, s and b move.
        """
        x, dy, *others = _kept(ctx)
        u, s_moves, b_moves = (*cotangents, None, None)[:3]
        point, direction = Point(ctx.variant, x, *others), (u, s_moves, b_moves)
        needs_x, needs_dy, needs_s, needs_b = ctx.needs_input_grad[3:7]
        dx: Tensor | None = None
        ds: Tensor | None = None
        db: Tensor | None = None
        if needs_x or needs_s or needs_b:
            dx, ds, db = (*point.curvature(dy, direction), None, None)[:3]
        return (
            None,
            None,
            None,
            dx if needs_x else None,
            point.tangent(direction) if needs_dy else None,
            ds if needs_s else None,
            db if needs_b else None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        """Return the tangents of (dx,), of SSMax (dx, ds, db)."""
        x_moves, dy_moves, s_moves, b_moves = tangents[3:7]
        with _forward_mode():
            x, dy, *others = _primals(ctx)
            moves = Point(ctx.variant, x, *others).curvature(dy, (x_moves, s_moves, b_moves))
            if dy_moves is None:
                return moves
            # The product is linear in dy.
            more = ctx.vjp(ctx.variant, x, dy_moves, *others)
            return tuple(one + other for one, other in zip(moves, more, strict=True))

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], run: _Run, vjp: _Run, variant: Variant, *values: Any
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Return the gradients of a batch, its axis in front."""
        del run, vjp
        return batched_gradients(gradients, info.batch_size, in_dims[3:], variant, *values)


class _Weights(WeightsRule, torch.autograd.Function):
    pass


class _Gradients(GradientsRule, torch.autograd.Function):
    pass


def _apply(function: Any, *arguments: Any) -> Any:
    """Apply an autograd function as its ``apply`` does, but for defaults of its arguments.

    To look for them (there are none) takes longer than all the rest.
    """
    if _transforms_active():
        return function.apply(*arguments)
    alive = [_unwrap_dead(own) if isinstance(own, Tensor) else own for own in arguments]
    return super(torch.autograd.Function, function).apply(*alive)


def _recorded(values: tuple[Any, ...]) -> bool:
    """Return whether derivatives by one of the values are recorded, or may be."""
    # Tensors have tangents within a level of forward mode only, those of ``torch.func``, too.
    if forward_ad._current_level >= 0 or _transforms_active():
        return True
    if not _grad_enabled():
        return False
    for value in values:  # noqa: SIM110 - a generator takes twice as long
        if isinstance(value, Tensor) and value.requires_grad:
            return True
    return False


def weights(variant: Variant, *values: Any) -> Tensor:
    """Return the weights of (x, s, b, n, where), with derivatives."""
    x, s, b, n, where = values
    if x.is_cpu and not _recorded(values):
        # An autograd function takes longer than the rows of a small tensor.
        found = _cpu_rows.weights(variant, x, s, b, n, where, None)
        if found is not None:
            return found
    value: Tensor = _apply(_Weights, Variant.weights, gradients, variant, *values)
    return value


def gradients(variant: Variant, x: Tensor, dy: Tensor, *others: Any) -> tuple[Tensor, ...]:
    """Return (dx,), of SSMax (dx, ds, db), of (x, dy, s, b, n, where), with derivatives."""
    # Batches of torch.autograd (is_grads_batched, gradcheck, jacobian) are not those of torch.func:
    # autograd functions are not told of them, and some operations of the numerics cannot take
    # them. Of an operator, PyTorch makes a loop.
    if _is_batch_of_autograd(dy):
        return call_gradients(variant, x, dy, *others)
    values = (x, dy, *others)
    recorded = _recorded(values)
    if x.is_cpu and not recorded:
        found = _cpu_rows.gradients(variant, *values)
        if found is not None:
            return found
    if not _grad_enabled() and not recorded:
        return variant.gradients(*values)
    value: tuple[Tensor, ...] = _apply(_Gradients, Variant.gradients, gradients, variant, *values)
    return value
