"""Operators ``torch.ops.softmax_variants.*``: what compiled programs see of the family.

``torch.compile`` does not trace autograd functions with a rule for forward mode, and is not to look
into the hundreds of small operations of the numerics. Each operator has a fake implementation
(shapes and dtypes), a rule for vmap, and an autograd kernel of its own: the one that
``torch.library.custom_op`` makes gives a silent 0 in forward mode.

Arguments are those of the backend's functions; SSMax's Python numbers stand beside its tensors, and
count where the tensor is None. Results are contiguous.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd.forward_ad import _is_fwd_grad_enabled, _set_fwd_grad_enabled
from torch.autograd.function import _SingleLevelFunction

from ._autograd import GradientsRule, WeightsRule
from ._batches import batched_gradients, batched_weights
from ._calls import call_gradients, call_weights
from ._variant import Parameter, Variant, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["operators"]

_Values: TypeAlias = "tuple[Parameter, Parameter, Parameter, Tensor | None]"

# PyTorch's own annotations leave these untyped.
_library: Any = torch.library
_fwd_grad_enabled: Any = _set_fwd_grad_enabled
_below_autograd: Any = torch._C._AutoDispatchBelowAutograd
_single_level: Any = enable_single_level_autograd_function
_LIBRARY: Any = _library.Library("softmax_variants", "FRAGMENT")

operators: Any = torch.ops.softmax_variants
"""softmax, ssmax, sa_softmax, and their vector-Jacobian products, ``*_vjp``."""


class _Weights(WeightsRule, _SingleLevelFunction):
    """The weights at one level of differentiation; the levels below are the dispatcher's."""


class _Gradients(GradientsRule, _SingleLevelFunction):
    """The gradients at one level of differentiation."""


# Its base class has the method, which PyTorch's own annotations leave out.
_weights_function: Any = _Weights
_gradients_function: Any = _Gradients


def _read_softmax(x: Any, axis: int = -1, where: Any = None) -> tuple[Variant, _Values]:
    return variant_of("softmax", axis % x.ndim), (None, None, None, where)


def _read_ssmax(
    x: Any,
    s: Any = None,
    b: Any = None,
    n: Any = None,
    s_number: float = 1.0,
    b_number: float = 0.0,
    n_number: float | None = None,
    axis: int = -1,
    where: Any = None,
) -> tuple[Variant, _Values]:
    values = (
        s_number if s is None else s,
        b_number if b is None else b,
        n_number if n is None else n,
        where,
    )
    return variant_of("ssmax", axis % x.ndim), values


def _read_sa_softmax(
    x: Any,
    form: str = "normalized",
    detach_extrema: bool = False,  # noqa: FBT001, FBT002 - the dispatcher passes it by position
    axis: int = -1,
    where: Any = None,
) -> tuple[Variant, _Values]:
    variant = variant_of("sa_softmax", axis % x.ndim, form, detach_extrema=detach_extrema)
    return variant, (None, None, None, where)


@dataclass(frozen=True)
class _Signature:
    """What follows x, or x and dy, among the arguments of an operator."""

    schema: str
    read: Callable[..., tuple[Variant, _Values]]
    tensors: tuple[int | None, ...]
    """Positions of s, b, n and where."""
    gradients: int = 1
    """Number of results of the vector-Jacobian product."""

    def axes(self, in_dims: Sequence[int | None]) -> list[int | None]:
        """Return the axes of a batch in s, b, n and where; defaults at the end may be missing."""
        return [
            None if position is None or position >= len(in_dims) else in_dims[position]
            for position in self.tensors
        ]


_SIGNATURES = {
    "softmax": _Signature("int axis=-1, Tensor? where=None", _read_softmax, (None, None, None, 1)),
    "ssmax": _Signature(
        "Tensor? s=None, Tensor? b=None, Tensor? n=None, Scalar s_number=1.0, "
        "Scalar b_number=0.0, Scalar? n_number=None, int axis=-1, Tensor? where=None",
        _read_ssmax,
        (0, 1, 2, 7),
        gradients=3,
    ),
    "sa_softmax": _Signature(
        'str form="normalized", bool detach_extrema=False, int axis=-1, Tensor? where=None',
        _read_sa_softmax,
        (None, None, None, 3),
    ),
}


def _next_level(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operator's function below autograd.

    PyTorch computes the values of an autograd function without recording derivatives, but the
    levels further out, if any, are to record theirs where the caller lets them: a grad of a grad
    would be 0. (``torch.func`` does so, too.)
    """
    backward, forward = torch.is_grad_enabled(), _is_fwd_grad_enabled()

    def run(*arguments: Any) -> Any:
        with torch.set_grad_enabled(backward), _fwd_grad_enabled(forward), _below_autograd():
            return function(*arguments)

    return run


def _define(name: str, signature: _Signature) -> None:
    read, vjp = signature.read, f"{name}_vjp"
    results = ", ".join(["Tensor"] * signature.gradients)
    _LIBRARY.define(f"{name}(Tensor x, {signature.schema}) -> Tensor")
    _LIBRARY.define(f"{vjp}(Tensor x, Tensor dy, {signature.schema}) -> ({results})")

    def plain(found: Sequence[Any]) -> Any:
        return found[0] if signature.gradients == 1 else tuple(found)

    def weights(x: Tensor, *rest: Any) -> Tensor:
        variant, values = read(x, *rest)
        return variant.weights(x, *values).contiguous()

    def gradients(x: Tensor, dy: Tensor, *rest: Any) -> Any:
        variant, values = read(x, *rest)
        return plain([value.contiguous() for value in variant.gradients(x, dy, *values)])

    def fake_weights(x: Tensor, *rest: Any) -> Tensor:
        del rest
        return x.new_empty(x.shape)

    def fake_gradients(x: Tensor, dy: Tensor, *rest: Any) -> Any:
        del dy
        _, (s, b, *_) = read(x, *rest)
        totals = [
            value.new_empty(value.shape) if isinstance(value, Tensor) else x.new_empty(())
            for value in (s, b)
        ]
        return plain([x.new_empty(x.shape), *totals])

    def differentiable_weights(x: Tensor, *rest: Any) -> Tensor:
        variant, values = read(x, *rest)
        with _single_level():
            run = _next_level(call_weights)
            found: Tensor = _weights_function.apply(run, call_gradients, variant, x, *values)
        return found

    def differentiable_gradients(x: Tensor, dy: Tensor, *rest: Any) -> Any:
        variant, values = read(x, *rest)
        with _single_level():
            run = _next_level(call_gradients)
            found = _gradients_function.apply(run, call_gradients, variant, x, dy, *values)
        return plain(found)

    def batch_of_weights(info: Any, in_dims: Any, x: Tensor, *rest: Any) -> Any:
        variant, values = _read_each(read, x, in_dims[0], rest)
        axes = [in_dims[0], *signature.axes(in_dims[1:])]
        return batched_weights(call_weights, info.batch_size, axes, variant, x, *values)

    def batch_of_gradients(info: Any, in_dims: Any, x: Tensor, dy: Tensor, *rest: Any) -> Any:
        variant, values = _read_each(read, x, in_dims[0], rest)
        axes = [*in_dims[:2], *signature.axes(in_dims[2:])]
        found, out = batched_gradients(
            call_gradients, info.batch_size, axes, variant, x, dy, *values
        )
        return plain(found), plain(out)

    for operator, kernel, fake, differentiable, batch in (
        (name, weights, fake_weights, differentiable_weights, batch_of_weights),
        (vjp, gradients, fake_gradients, differentiable_gradients, batch_of_gradients),
    ):
        _LIBRARY.impl(operator, kernel, "CompositeExplicitAutograd")
        _LIBRARY.impl(operator, differentiable, "Autograd")
        _library.register_fake(f"softmax_variants::{operator}", fake, lib=_LIBRARY)
        _library.register_vmap(f"softmax_variants::{operator}", batch, lib=_LIBRARY)


def _read_each(
    read: Callable[..., tuple[Variant, _Values]], x: Tensor, axis: int | None, rest: Any
) -> tuple[Variant, _Values]:
    """Return the arguments of one call of a batch."""
    return read(x if axis is None else x.select(axis, 0), *rest)


for _name, _signature in _SIGNATURES.items():
    _define(_name, _signature)
