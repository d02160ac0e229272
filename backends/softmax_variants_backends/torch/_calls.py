"""Calls of the operators ``torch.ops.softmax_variants.*`` with the arguments of the variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._variant import Parameter, Variant

__all__ = ["call_gradients", "call_weights", "split_parameters"]

_operators: Any = torch.ops.softmax_variants


def split_parameters(s: Parameter, b: Parameter, n: Parameter) -> tuple[Any, ...]:
    """Return SSMax's parameters as its operator takes them: the tensors, then the numbers.

    Raises
    ------
    ValueError
        If one is an integer beyond 64 bits that no float equals.
    """
    for name, value in (("s", s), ("b", b), ("n", n)):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            msg = (
                f"{name} must be a float or an integer of 64 bits in a compiled program, got an "
                f"int of {value.bit_length()} bits: pass float({name})"
            )
            raise ValueError(msg)
    return (
        *(value if isinstance(value, Tensor) else None for value in (s, b, n)),
        1.0 if isinstance(s, Tensor) else s,
        0.0 if isinstance(b, Tensor) else b,
        None if isinstance(n, Tensor) else n,
    )


def _after_logits(variant: Variant, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return what follows x, or x and dy, in a call of the variant's operator."""
    *parameters, where = values
    if variant.function == "ssmax":
        return *split_parameters(*parameters), variant.axis, where
    if variant.function == "sa_softmax":
        return variant.form, variant.detach_extrema, variant.axis, where
    return variant.axis, where


def call_weights(variant: Variant, x: Tensor, *values: Any) -> Tensor:
    """Return the weights of (x, s, b, n, where) by the operator."""
    operator = getattr(_operators, variant.function)
    weights: Tensor = operator(x, *_after_logits(variant, values))
    return weights


def call_gradients(variant: Variant, x: Tensor, dy: Tensor, *values: Any) -> tuple[Tensor, ...]:
    """Return (dx,), of SSMax (dx, ds, db), of (x, dy, s, b, n, where) by the operator."""
    operator = getattr(_operators, f"{variant.function}_vjp")
    found = operator(x, dy, *_after_logits(variant, values))
    return found if isinstance(found, tuple) else (found,)
