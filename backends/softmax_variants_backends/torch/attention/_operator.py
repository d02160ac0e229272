"""Library operators with derivatives of our own, for eager and compiled programs alike.

``torch.library.custom_op`` with ``register_autograd`` gives a silent 0 where forward-mode
derivatives are asked for. An operator with a kernel of its own for autograd does not: the kernel
runs an autograd function at the level of differentiation at hand, and goes on to the next level
with the caller's grad mode, so that nested levels are differentiated as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._functorch import autograd_function
from torch.autograd.function import _SingleLevelFunction

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Below", "Derivative", "define"]

# PyTorch's own annotations leave these untyped, or these names out.
_functions: Any = autograd_function
_library: Any = torch.library
_LIBRARY = _library.Library("softmax_variants", "FRAGMENT")
_after_autograd: Any = torch._C._after_autograd_keyset


class Below:
    """The operator below autograd, called from the autograd function."""

    def __init__(self, operator: Any, keyset: Any) -> None:
        self._operator, self._keyset = operator, keyset
        self._grad_enabled = torch.is_grad_enabled()

    def __call__(self, *arguments: Any) -> Any:
        """Return what the operator gives, as tracked by the levels further out."""
        with torch.set_grad_enabled(self._grad_enabled):
            return self._operator.redispatch(self._keyset & _after_autograd, *arguments)


class Derivative(_SingleLevelFunction):
    """Base of autograd functions of an operator.

    ``forward(ctx, below, *arguments)`` calls ``below`` with the arguments; gradients and tangents
    have an entry for ``below`` first.
    """


def define(
    name: str,
    schema: str,
    implementation: Callable[..., Any],
    fake: Callable[..., Any],
    derivative: Any,
) -> Any:
    """Return the operator ``softmax_variants::name``, for any device.

    ``derivative`` is a subclass of :class:`Derivative`. Under vmap the operator is called for one
    element of the batch after another.
    """
    _LIBRARY.define(name + schema)
    overload = getattr(torch.ops.softmax_variants, name).default

    def without_grad(*arguments: Any) -> Any:
        with torch.no_grad():
            return implementation(*arguments)

    def with_derivative(keyset: Any, *arguments: Any) -> Any:
        with _functions.enable_single_level_autograd_function():
            return derivative.apply(Below(overload, keyset), *arguments)

    def one_by_one(info: Any, in_dims: Any, *arguments: Any) -> Any:
        results = [
            overload(
                *(
                    argument if axis is None else argument.select(axis, index)
                    for argument, axis in zip(arguments, in_dims, strict=True)
                )
            )
            for index in range(info.batch_size)
        ]
        stacked = tuple(map(torch.stack, zip(*results, strict=True)))
        return stacked, (0,) * len(stacked)

    _LIBRARY.impl(name, without_grad, "CompositeExplicitAutograd")
    _LIBRARY.impl(name, with_derivative, "Autograd", with_keyset=True)
    _library.register_fake(f"softmax_variants::{name}", fake, lib=_LIBRARY)
    _library.register_vmap(f"softmax_variants::{name}", one_by_one, lib=_LIBRARY)
    return overload
