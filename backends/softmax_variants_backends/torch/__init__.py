"""The family on PyTorch tensors of any device: the array-API numerics, as a native citizen.

Derivatives of every order and in both modes, under ``torch.func`` and under ``torch.compile``. The
weights and their first gradients are the numerics' own, the same bits with and without autograd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from softmax_variants_backends.array_api import CLAIMS as _CLAIMS

from ._autograd import gradients, weights
from ._calls import split_parameters
from ._operators import operators
from ._variant import Variant, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable

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

CLAIMS = _CLAIMS
"""Accuracy class, or largest error in ULP, by function and dtype."""

_is_compiling: Callable[[], bool] = torch.compiler.is_compiling


def softmax(x: Tensor, *, axis: int, where: Tensor | None, out: Tensor | None) -> Tensor:
    """Return softmax of ``x`` along ``axis``; see ``softmax_variants.softmax``."""
    if _is_compiling():
        return _stored(operators.softmax(x, axis, where), out)
    variant = variant_of("softmax", axis)
    return _weights(variant, out, x, None, None, None, where)


def ssmax(
    x: Tensor, s: Any, b: Any, *, n: Any, axis: int, where: Tensor | None, out: Tensor | None
) -> Tensor:
    """Return SSMax of ``x`` along ``axis``; see ``softmax_variants.ssmax``."""
    if _is_compiling():
        return _stored(operators.ssmax(x, *split_parameters(s, b, n), axis, where), out)
    variant = variant_of("ssmax", axis)
    return _weights(variant, out, x, s, b, n, where)


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
    if _is_compiling():
        return _stored(operators.sa_softmax(x, form, detach_extrema, axis, where), out)
    variant = variant_of("sa_softmax", axis, form, detach_extrema=detach_extrema)
    return _weights(variant, out, x, None, None, None, where)


def softmax_vjp(x: Tensor, dy: Tensor, *, axis: int, where: Tensor | None) -> Tensor:
    """Return dx of softmax; see ``softmax_variants.softmax_vjp``."""
    if _is_compiling():
        dx: Tensor = operators.softmax_vjp(x, dy, axis, where)
        return dx
    return gradients(variant_of("softmax", axis), x, dy, None, None, None, where)[0]


def ssmax_vjp(
    x: Tensor, dy: Tensor, s: Any, b: Any, *, n: Any, axis: int, where: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, ds, db) of SSMax; see ``softmax_variants.ssmax_vjp``."""
    if _is_compiling():
        dx, ds, db = operators.ssmax_vjp(x, dy, *split_parameters(s, b, n), axis, where)
    else:
        dx, ds, db = gradients(variant_of("ssmax", axis), x, dy, s, b, n, where)
    return dx, ds, db


def sa_softmax_vjp(
    x: Tensor, dy: Tensor, *, form: str, detach_extrema: bool, axis: int, where: Tensor | None
) -> Tensor:
    """Return dx of SA-Softmax; see ``softmax_variants.sa_softmax_vjp``."""
    if _is_compiling():
        dx: Tensor = operators.sa_softmax_vjp(x, dy, form, detach_extrema, axis, where)
        return dx
    variant = variant_of("sa_softmax", axis, form, detach_extrema=detach_extrema)
    return gradients(variant, x, dy, None, None, None, where)[0]


def _weights(variant: Variant, out: Tensor | None, *values: Any) -> Tensor:
    if out is None:
        return weights(variant, *values)
    x, s, b, n, where = values
    with torch.no_grad():
        return variant.weights(x, s, b, n, where, out)


def _stored(value: Tensor, out: Tensor | None) -> Tensor:
    return value if out is None else out.copy_(value)
