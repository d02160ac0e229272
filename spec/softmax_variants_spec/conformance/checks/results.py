"""Results are arrays of the same library, dtype, shape and device; zero sizes are served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from softmax_variants_spec.conformance.blocks import Block
from softmax_variants_spec.conformance.context import Context, Entry, Fault

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries"]


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return the entries on what kind of array comes back."""
    del smoke, variant
    return [
        Entry("result", "dtype", _dtype),
        Entry("result", "gradient-dtype", _gradient_dtype),
        Entry("result", "device", _device),
        Entry("result", "zero-size", _zero_size),
    ]


def _block(context: Context, shape: tuple[int, int]) -> Block:
    x = np.zeros(shape)
    x[:, ::2] = 1.0
    rows = (shape[0], 1)
    if context.variant.function == "ssmax":
        return Block(x, np.ones(shape), s=np.ones(rows), b=np.zeros(rows))
    return Block(x, np.ones(shape))


def _dtype(context: Context) -> None:
    context.weights(_block(context, (3, 5)))


def _gradient_dtype(context: Context) -> None:
    context.gradients(_block(context, (3, 5)))


def _device(context: Context) -> None:
    arguments = context.subject.arguments(_block(context, (3, 5)), context.dtype)
    device = getattr(arguments["x"], "device", None)
    found = getattr(context.subject.weights(context.variant, arguments), "device", None)
    if found != device:
        msg = f"the result is on {found}, x on {device}"
        raise Fault(msg)


def _zero_size(context: Context) -> None:
    for shape in ((0, 5), (3, 0), (0, 0)):
        block = _block(context, shape)
        context.weights(block)
        for name, gradient in zip(("ds", "db"), context.gradients(block)[1:], strict=False):
            if (gradient != 0).any():
                msg = f"{name} of arrays of size 0, shape {shape}, is {gradient.tolist()}, wants 0"
                raise Fault(msg)
