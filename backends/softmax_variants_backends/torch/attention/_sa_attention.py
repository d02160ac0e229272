"""SA-Softmax attention: the choice of its evaluation, and its derivative.

It is a library operator, so that compiled programs take it as it is. First derivatives only:
second ones and forward mode raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import _blocks, _triton_launch
from ._blocks import Arguments
from ._operator import Derivative, define
from ._visible import Visible

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["sa_attention"]


def sa_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    visible: Visible,
    *,
    form: str,
    detach_extrema: bool,
    scale: float,
    bias: Tensor | None,
    dropout_p: float,
) -> Tensor:
    """Return sum_j y_ij v_j, with y_i the SA-Softmax of scale q_i k + bias_i over visible keys.

    ``bias`` broadcasts to (batch, heads, queries, keys), with its last axis in full.
    """
    # Drawn on the CPU, from the generator that torch.manual_seed sets: a GPU is not waited for.
    # Without dropout there is none: tensors of the CPU have no place in CUDA graphs.
    seed = torch.randint(2**62, ()) if dropout_p > 0.0 else None
    for_backward = False  # The derivative sets it.
    out: Tensor
    out, _ = _forward_operator(
        q,
        k,
        v,
        visible.start,
        visible.stop,
        visible.mask,
        bias,
        seed,
        form,
        detach_extrema,
        scale,
        dropout_p,
        for_backward,
    )
    return out


def _by_kernels(q: Tensor, v: Tensor, bias: Tensor | None, dropout_p: float) -> bool:
    """Return whether the kernels serve a call; blocks do where they do not."""
    return bias is None and dropout_p == 0.0 and _triton_launch.available(q, v)


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    start: Tensor,
    stop: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    seed: Tensor | None,
    form: str,
    detach_extrema: bool,  # noqa: FBT001
    scale: float,
    dropout_p: float,
    for_backward: bool,  # noqa: FBT001
) -> tuple[Tensor, Tensor]:
    if _by_kernels(q, v, bias, dropout_p):
        return _triton_launch.forward(
            q,
            k,
            v,
            start,
            stop,
            mask,
            form=form,
            scale=scale,
            extrema=for_backward and not detach_extrema,
        )
    visible = Visible(k.shape[2], start, stop, mask)
    arguments = Arguments(form, detach_extrema, scale, dropout_p, 0 if seed is None else int(seed))
    return _blocks.attend(q, k, v, visible, bias, arguments), q.new_empty(0)


def _fake_forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    start: Tensor,
    stop: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    seed: Tensor | None,
    form: str,
    detach_extrema: bool,  # noqa: FBT001
    scale: float,
    dropout_p: float,
    for_backward: bool,  # noqa: FBT001
) -> tuple[Tensor, Tensor]:
    del k, start, stop, mask, seed, scale
    out = q.new_empty((*q.shape[:-1], v.shape[-1]))
    if not _by_kernels(q, v, bias, dropout_p):
        return out, q.new_empty(0)
    size = _triton_launch.statistics_size(
        q, v, form=form, extrema=for_backward and not detach_extrema
    )
    return out, q.new_empty(size, dtype=torch.float32)


def _backward(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    start: Tensor,
    stop: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    seed: Tensor | None,
    out: Tensor,
    statistics: Tensor,
    bias_needed: bool,  # noqa: FBT001
    form: str,
    detach_extrema: bool,  # noqa: FBT001
    scale: float,
    dropout_p: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if _by_kernels(q, v, bias, dropout_p):
        gradients = _triton_launch.backward(
            q,
            k,
            v,
            out,
            dout,
            statistics,
            start,
            stop,
            mask,
            form=form,
            detach_extrema=detach_extrema,
            scale=scale,
        )
        return *gradients, q.new_empty(0)
    visible = Visible(k.shape[2], start, stop, mask)
    arguments = Arguments(form, detach_extrema, scale, dropout_p, 0 if seed is None else int(seed))
    dq, dk, dv, dbias = _blocks.attend_backward(
        q, k, v, dout, visible, bias, arguments, bias_needed=bias_needed
    )
    return dq, dk, dv, q.new_empty(0) if dbias is None else dbias


def _fake_backward(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    start: Tensor,
    stop: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    seed: Tensor | None,
    out: Tensor,
    statistics: Tensor,
    bias_needed: bool,  # noqa: FBT001
    *options: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    del dout, start, stop, mask, seed, out, statistics, options
    dbias = q.new_empty(0) if bias is None or not bias_needed else bias.new_empty(bias.shape)
    return q.new_empty(q.shape), q.new_empty(k.shape), q.new_empty(v.shape), dbias


_FIRST_ONLY = (
    "SA-Softmax attention has first derivatives only, by reverse mode; for second ones or forward "
    "mode write it as softmax_variants.sa_softmax(q @ k.mT * scale, where=mask) @ v"
)


class _Attention(Derivative):
    """The weighted values, with first derivatives."""

    @staticmethod
    def forward(ctx: Any, below: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        *arguments, for_backward = inputs
        out, statistics = below(*arguments, for_backward or any(ctx.needs_input_grad))
        ctx.save_for_backward(*arguments[:8], out, statistics)
        ctx.options = arguments[8:]
        ctx.mark_non_differentiable(statistics)
        ctx.set_materialize_grads(False)
        return out, statistics

    @staticmethod
    def backward(ctx: Any, dout: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
        if dout is None:
            return (None,) * 14
        needed = ctx.needs_input_grad[1:4]
        bias_needed = ctx.needs_input_grad[7]
        dq, dk, dv, dbias = _backward_operator(dout, *ctx.saved_tensors, bias_needed, *ctx.options)
        gradients = [g if n else None for g, n in zip((dq, dk, dv), needed, strict=True)]
        return (None, *gradients, None, None, None, dbias if bias_needed else None) + (None,) * 6

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        del ctx, tangents
        raise NotImplementedError(_FIRST_ONLY)


class _AttentionGradients(Derivative):
    """The first derivatives, whose own derivatives raise where they would be a silent 0."""

    @staticmethod
    def forward(ctx: Any, below: Any, *arguments: Any) -> Any:
        del ctx
        return below(*arguments)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        del ctx, gradients
        raise NotImplementedError(_FIRST_ONLY)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        del ctx, tangents
        raise NotImplementedError(_FIRST_ONLY)


_OPTIONS = "str form, bool detach_extrema, float scale, float dropout_p"

_forward_operator: Callable[..., Any] = define(
    "sa_attention",
    "(Tensor q, Tensor k, Tensor v, Tensor start, Tensor stop, Tensor? mask, Tensor? bias, "
    f"Tensor? seed, {_OPTIONS}, bool for_backward) -> (Tensor, Tensor)",
    _forward,
    _fake_forward,
    _Attention,
)

_backward_operator: Callable[..., Any] = define(
    "sa_attention_backward",
    "(Tensor dout, Tensor q, Tensor k, Tensor v, Tensor start, Tensor stop, Tensor? mask, "
    "Tensor? bias, Tensor? seed, Tensor out, Tensor statistics, bool bias_needed, "
    f"{_OPTIONS}) -> (Tensor, Tensor, Tensor, Tensor)",
    _backward,
    _fake_backward,
    _AttentionGradients,
)
