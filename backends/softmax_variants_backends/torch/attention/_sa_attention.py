"""SA-Softmax attention: the choice of its evaluation, and its derivative.

It is a library operator, so that compiled programs take it as it is. First derivatives only:
second ones and forward mode raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import _blocks
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
    seed = torch.randint(2**62, ()) if dropout_p > 0.0 else torch.zeros((), dtype=torch.int64)
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
    )
    return out


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    start: Tensor,
    stop: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    seed: Tensor,
    form: str,
    detach_extrema: bool,  # noqa: FBT001
    scale: float,
    dropout_p: float,
) -> tuple[Tensor, Tensor]:
    visible = Visible(k.shape[2], start, stop, mask)
    arguments = Arguments(form, detach_extrema, scale, dropout_p, int(seed))
    return _blocks.attend(q, k, v, visible, bias, arguments), q.new_empty(0)


def _fake_forward(q: Tensor, k: Tensor, v: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    del k, others
    return q.new_empty((*q.shape[:-1], v.shape[-1])), q.new_empty(0)


def _backward(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    start: Tensor,
    stop: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    seed: Tensor,
    out: Tensor,
    statistics: Tensor,
    bias_needed: bool,  # noqa: FBT001
    form: str,
    detach_extrema: bool,  # noqa: FBT001
    scale: float,
    dropout_p: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    visible = Visible(k.shape[2], start, stop, mask)
    arguments = Arguments(form, detach_extrema, scale, dropout_p, int(seed))
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
    seed: Tensor,
    out: Tensor,
    statistics: Tensor,
    bias_needed: bool,  # noqa: FBT001
    *options: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    del dout, start, stop, mask, seed, out, statistics, options
    dbias = q.new_empty(0) if bias is None or not bias_needed else torch.empty_like(bias)
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v), dbias


_FIRST_ONLY = (
    "SA-Softmax attention has first derivatives only, by reverse mode; for second ones or forward "
    "mode write it as softmax_variants.sa_softmax(q @ k.mT * scale, where=mask) @ v"
)


class _Attention(Derivative):
    """The weighted values, with first derivatives."""

    @staticmethod
    def forward(ctx: Any, below: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        out, statistics = below(*arguments)
        ctx.save_for_backward(*arguments[:8], out, statistics)
        ctx.options = arguments[8:]
        ctx.mark_non_differentiable(statistics)
        ctx.set_materialize_grads(False)
        return out, statistics

    @staticmethod
    def backward(ctx: Any, dout: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
        if dout is None:
            return (None,) * 13
        needed = ctx.needs_input_grad[1:4]
        bias_needed = ctx.needs_input_grad[7]
        dq, dk, dv, dbias = _backward_operator(dout, *ctx.saved_tensors, bias_needed, *ctx.options)
        gradients = [g if n else None for g, n in zip((dq, dk, dv), needed, strict=True)]
        return (None, *gradients, None, None, None, dbias if bias_needed else None) + (None,) * 5

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
    f"Tensor seed, {_OPTIONS}) -> (Tensor, Tensor)",
    _forward,
    _fake_forward,
    _Attention,
)

_backward_operator: Callable[..., Any] = define(
    "sa_attention_backward",
    "(Tensor dout, Tensor q, Tensor k, Tensor v, Tensor start, Tensor stop, Tensor? mask, "
    "Tensor? bias, Tensor seed, Tensor out, Tensor statistics, bool bias_needed, "
    f"{_OPTIONS}) -> (Tensor, Tensor, Tensor, Tensor)",
    _backward,
    _fake_backward,
    _AttentionGradients,
)
