"""A row's result has the same bits on every run and in every arrangement."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace

from softmax_variants_spec.conformance.blocks import Block
from softmax_variants_spec.conformance.context import Context, Entry, Fault

from .samples import masked_sample, same, sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.variants import Variant

    Result = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

__all__ = ["entries"]


def _lengths(context: Context) -> tuple[int, ...]:
    return (37,) if context.smoke else (37, 300)


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return an entry an arrangement."""
    del smoke
    arrangements: dict[str, Callable[[Context], None]] = {
        "run": _run,
        "batch": _batch,
        "layout": _layout,
        "axis": _axis,
        "mask": _mask,
    }
    if variant.function == "ssmax":
        arrangements["parameter-sums"] = _parameter_sums
    return [Entry("same-bits", name, check, _not_promised) for name, check in arrangements.items()]


def _not_promised(context: Context) -> str:
    return "" if context.subject.ordered_sums else "the backend declares ORDERED_SUMS = False"


def _results(context: Context, block: Block) -> dict[str, Result]:
    return {"weights": context.weights(block), "dx": context.gradients(block)[0]}


def _compare(
    context: Context, block: Block, wanted: dict[str, Result], got: dict[str, Result], what: str
) -> None:
    """Raise where results have other bits than those of the block as it is."""
    for name, values in wanted.items():
        if not same(values, got[name]):
            first = _results(context, block)[name]
            if not all(same(first, _results(context, block)[name]) for _ in range(3)):
                what = "on a second run"
            count = int((values != got[name]).sum())
            msg = f"{name} have other bits {what}: {count} of {values.size} entries"
            raise Fault(msg)


def _run(context: Context) -> None:
    for length in _lengths(context):
        block = sample(context, (6, length))
        wanted = _results(context, block)
        for _ in range(5):  # one may be the same by chance
            _compare(context, block, wanted, _results(context, block), "on a second run")


def _batch(context: Context) -> None:
    for length in _lengths(context):
        block = sample(context, (7, length))
        wanted = _results(context, block)
        for rows in (slice(0, 1), slice(3, 4), slice(2, 7), slice(None, None, -1)):
            got = _results(context, block.take(rows))
            part = {name: values[rows] for name, values in wanted.items()}
            _compare(context, block, part, got, "in another batch or at another position")


def _arranged(
    context: Context, block: Block, arrange: Callable[[Any], Any], axis: int
) -> dict[str, Result]:
    """Return results of a call on rearranged arrays of the library, with the rows put back."""
    subject = context.subject

    def arranged() -> dict[str, Any]:
        # Anew for each call: what a call does to its inputs is for other checks to find.
        return {
            name: arrange(value) if subject.library.is_array(value) else value
            for name, value in subject.arguments(block, context.dtype).items()
        }

    y = subject.weights(context.variant, arranged(), axis=axis)
    dx = subject.vjp(context.variant, arranged(), axis=axis)[0]
    return {"weights": subject.library.values(y), "dx": subject.library.values(dx)}


def _layout(context: Context) -> None:
    for length in _lengths(context):
        block = sample(context, (5, length))
        wanted = _results(context, block)
        turned = _turned(block)
        got = _arranged(context, turned, lambda a: array_namespace(a).permute_dims(a, (1, 0)), 1)
        _compare(context, block, wanted, got, "in column-major layout")
        doubled = Block(np.repeat(block.x, 2, axis=1), np.repeat(block.dy, 2, axis=1))
        doubled = replace(doubled, s=block.s, b=block.b)
        got = _arranged(context, doubled, lambda a: a[:, ::2], 1)
        _compare(context, block, wanted, got, "with a stride of 2")
        if context.subject.library.name != "torch":  # it has no negative strides
            backwards = replace(block, x=block.x[:, ::-1], dy=block.dy[:, ::-1])
            got = _arranged(context, backwards, lambda a: a[:, ::-1], 1)
            _compare(context, block, wanted, got, "with a negative stride")


def _turned(block: Block) -> Block:
    def turn(value: Any) -> Any:
        return np.ascontiguousarray(value.T) if isinstance(value, np.ndarray) else value

    return replace(block, x=turn(block.x), dy=turn(block.dy), s=turn(block.s), b=turn(block.b))


def _axis(context: Context) -> None:
    for length in _lengths(context):
        block = sample(context, (6, length))
        wanted = _results(context, block)
        turned = _turned(block)
        got = _arranged(context, turned, lambda a: a, 0)
        turned_back = {name: values.T for name, values in got.items()}
        _compare(context, block, wanted, turned_back, "along axis 0")


def _mask(context: Context) -> None:
    block = masked_sample(context)
    assert block.where is not None
    hidden = np.where(block.where, block.x, -np.inf)
    by_infinity = Block(hidden, block.dy, s=block.s, b=block.b)
    wanted = _results(context, block)
    _compare(
        context, block, wanted, _results(context, by_infinity), "with -inf in place of where=False"
    )
    whole = Block(block.x, block.dy, s=block.s, b=block.b)
    all_true = Block(block.x, block.dy, where=np.ones_like(block.where), s=block.s, b=block.b)
    wanted = _results(context, whole)
    _compare(context, whole, wanted, _results(context, all_true), "with where all True")


def _parameter_sums(context: Context) -> None:
    block = sample(context, (9, 37))
    scalar = Block(block.x, block.dy, s=0.5, b=0.25)
    first, second = (context.gradients(scalar)[1:] for _ in range(2))
    for name, one, other in zip(("ds", "db"), first, second, strict=True):
        if not same(one, other):
            msg = f"{name} has other bits on a second run"
            raise Fault(msg)
