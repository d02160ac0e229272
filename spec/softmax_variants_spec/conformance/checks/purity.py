"""Inputs are never changed, and ``out=`` is filled and returned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from softmax_variants_spec.conformance.context import Context, Entry, Fault

from .samples import masked_sample, same

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.blocks import Block
    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries"]


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return the entries on inputs and out=."""
    del smoke, variant
    return [
        Entry("purity", "inputs-kept", _inputs_kept),
        Entry("purity", "gradient-inputs-kept", _gradient_inputs_kept),
        Entry("purity", "out", _out, _no_out),
        Entry("purity", "out-is-x", _out_is_x, _no_out),
    ]


def _no_out(context: Context) -> str:
    if context.subject.library.name in {"numpy", "cupy", "torch"}:
        return ""
    return f"out= is for NumPy, CuPy and PyTorch, not {context.subject.library.name}"


def _bits(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    lib = context.subject.library
    return {
        name: np.array(lib.values(value))
        for name, value in arguments.items()
        if lib.is_array(value)
    }


def _compare(context: Context, arguments: dict[str, Any], before: dict[str, Any]) -> None:
    after = _bits(context, arguments)
    for name, values in before.items():
        if not same(values, after[name]):
            msg = f"the call changed its input {name}"
            raise Fault(msg)


def _arguments(context: Context) -> dict[str, Any]:
    """Return arguments all of which are arrays."""
    block = masked_sample(context)
    if context.variant.function == "ssmax":
        block = replace(block, n=np.arange(2, 2 + len(block.x))[:, None])
    return context.subject.arguments(block, context.dtype)


def _inputs_kept(context: Context) -> None:
    arguments = _arguments(context)
    before = _bits(context, arguments)
    context.subject.weights(context.variant, arguments)
    _compare(context, arguments, before)


def _gradient_inputs_kept(context: Context) -> None:
    arguments = _arguments(context)
    before = _bits(context, arguments)
    context.subject.vjp(context.variant, arguments)
    _compare(context, arguments, before)


def _out(context: Context) -> None:
    block = masked_sample(context)
    arguments = context.subject.arguments(block, context.dtype)
    out = context.subject.library.asarray(np.full(block.x.shape, 7.0), context.dtype)
    returned = context.subject.weights(context.variant, arguments, out=out)
    _filled(context, block, returned, out, "out= holds")


def _out_is_x(context: Context) -> None:
    block = masked_sample(context)
    arguments = context.subject.arguments(block, context.dtype)
    returned = context.subject.weights(context.variant, arguments, out=arguments["x"])
    start = "with out=x, as if x were read after it was written, out holds"
    _filled(context, block, returned, arguments["x"], start)


def _filled(context: Context, block: Block, returned: Any, out: Any, start: str) -> None:
    if returned is not out:
        msg = "the call returns something other than out"
        raise Fault(msg)
    wanted = context.weights(block)
    if not same(context.subject.library.values(out), wanted):
        if not same(wanted, context.weights(block)):
            msg = "weights have other bits on a second run"
            raise Fault(msg)
        msg = f"{start} something other than the result without it"
        raise Fault(msg)
