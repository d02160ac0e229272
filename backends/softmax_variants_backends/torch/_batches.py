"""Rules of vmap: a batch of calls is one call with an axis in front, row for row the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from array_api_compat import array_namespace
from torch import Tensor

from softmax_variants_backends.array_api._rounding import round_to
from softmax_variants_backends.array_api._working import working_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._variant import Parameter, Variant

__all__ = ["batched_gradients", "batched_weights"]


def batched_weights(
    weights: Callable[..., Any],
    size: int,
    axes: Sequence[int | None],
    variant: Variant,
    x: Tensor,
    *others: Any,
) -> tuple[Any, int]:
    """Return the weights of a batch of (x, s, b, n, where), and the axis that it lies along.

    ``axes`` are those of the batch in each argument, None where it has none.
    """
    ndim = x.ndim if axes[0] is None else x.ndim - 1
    moved = [_aligned(value, axis, ndim) for value, axis in zip(others, axes[1:], strict=True)]
    return weights(variant.behind_batch(), _leading(x, axes[0], size), *moved), 0


def batched_gradients(
    gradients: Callable[..., tuple[Any, ...]],
    size: int,
    axes: Sequence[int | None],
    variant: Variant,
    x: Tensor,
    dy: Tensor,
    s: Parameter,
    b: Parameter,
    n: Parameter,
    where: Tensor | None,
) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Return the gradients of a batch, and the axis that each lies along.

    Each call of the batch has ds and db of its own, so s and b get the batch too.
    """
    x, dy = _leading(x, axes[0], size), _leading(dy, axes[1], size)
    ndim = x.ndim - 1
    dx, *sums = gradients(
        variant.behind_batch(),
        x,
        dy,
        _own(s, axes[2], size, x),
        _own(b, axes[3], size, x),
        _aligned(n, axes[4], ndim),
        _aligned(where, axes[5], ndim),
    )
    shaped = [
        _shaped(total, parameter, axis, x)
        for total, parameter, axis in zip(sums, (s, b), axes[2:4], strict=False)
    ]
    return (dx, *shaped), (0,) * (1 + len(shaped))


def _leading(value: Tensor, axis: int | None, size: int) -> Tensor:
    """Return a tensor with the batch in front, whether it has one or not."""
    if axis is None:
        return value.unsqueeze(0).expand(size, *value.shape)
    return value.movedim(axis, 0)


def _aligned(value: Any, axis: int | None, ndim: int) -> Any:
    """Return what broadcasts to a batch of arrays of ``ndim`` axes as it did to each."""
    if axis is None:
        return value
    value = value.movedim(axis, 0)
    return value.reshape(value.shape[0], *(1,) * (ndim + 1 - value.ndim), *value.shape[1:])


def _own(parameter: Parameter, axis: int | None, size: int, x: Tensor) -> Tensor | None:
    """Return a parameter for each call of the batch."""
    if parameter is None:
        return None
    if not isinstance(parameter, Tensor):
        wide = working_for(array_namespace(x), x.device, x.dtype).dtype
        return torch.full((size, *(1,) * (x.ndim - 1)), parameter, dtype=wide, device=x.device)
    own: Tensor = _aligned(_leading(parameter, axis, size), 0, x.ndim - 1)
    return own


def _shaped(total: Tensor, parameter: Parameter, axis: int | None, x: Tensor) -> Tensor:
    """Return the gradients of a parameter in its own shape, of a number in x's dtype."""
    if isinstance(parameter, Tensor):
        shape = list(parameter.shape)
        if axis is not None:
            del shape[axis]
        return total.reshape(total.shape[0], *shape)
    working = working_for(array_namespace(x), x.device, x.dtype)
    rounded: Tensor = round_to(working, (total, torch.zeros_like(total)), x.dtype)
    return rounded.reshape(total.shape[0])
