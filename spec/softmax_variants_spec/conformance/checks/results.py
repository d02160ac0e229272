"""Results are arrays of the same library, dtype, shape and device; zero sizes are served."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from softmax_variants_spec.conformance.blocks import Block
from softmax_variants_spec.conformance.context import Context, Entry, Fault
from softmax_variants_spec.conformance.judge import parameter_ratios
from softmax_variants_spec.conformance.references import reference_of
from softmax_variants_spec.formats import FORMATS

from .samples import ordinary

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries"]


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return the entries on what kind of array comes back."""
    del smoke
    found = [
        Entry("result", "dtype", _dtype),
        Entry("result", "gradient-dtype", _gradient_dtype),
        Entry("result", "device", _device),
        Entry("result", "zero-size", _zero_size),
    ]
    if variant.function == "ssmax":
        found.append(Entry("result", "parameter-dtypes", _parameter_dtypes))
    return found


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


def _parameter_dtypes(context: Context) -> None:
    """Each gradient has the dtype of its parameter, which may be another than that of x."""
    subject, fmt = context.subject, context.fmt
    lib = subject.library
    block = replace(ordinary(context, (3, 7)), s=np.full((3, 1), 0.5), b=np.full((3, 1), 0.25))
    reference = reference_of(block, context.variant, fmt)
    exact = reference.parameters
    assert exact is not None
    for other in lib.formats():
        arguments = subject.arguments(block, context.dtype)
        arguments["s"] = lib.asarray(block.s, other)
        gradients = subject.vjp(context.variant, arguments)
        for name, gradient, wanted in zip(
            ("ds", "db"), gradients[1:], (other, context.dtype), strict=True
        ):
            if lib.dtype_name(gradient) != wanted:
                msg = (
                    f"{name} has dtype {lib.dtype_name(gradient)}, wants that of {name[1]}, "
                    f"{wanted}, where x has {context.dtype}"
                )
                raise Fault(msg)
            coarser = min(fmt, FORMATS[wanted], key=lambda one: one.precision)
            bound = float(reference.weights.bound.max())
            ratios = parameter_ratios(
                lib.values(gradient), exact, name, bound, coarser, context.claim.weight_class
            )
            if not (ratios <= 1).all():
                msg = (
                    f"{name} is off by {ratios.max():.4g} times what {context.claim.weight_class} "
                    f"allows, where s has dtype {other} and x {context.dtype}"
                )
                raise Fault(msg)
