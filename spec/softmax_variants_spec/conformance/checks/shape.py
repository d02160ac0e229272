"""Every axis and every length: rows are where they are said to be, and nothing pads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from softmax_variants_spec import exact
from softmax_variants_spec.accuracy import gradient_tolerance, relative_bound
from softmax_variants_spec.conformance.blocks import Block
from softmax_variants_spec.conformance.context import Context, Entry, Fault
from softmax_variants_spec.conformance.references import rows_of
from softmax_variants_spec.conformance.repro import call_lines

from .samples import error_over_allowed, ordinary

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.blocks import Floats
    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries"]

_SHAPE = (2, 3, 4)


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return the entries on axes and lengths."""
    del smoke, variant
    return [
        Entry("shape", "axis", _axis),
        Entry("shape", "gradient-axis", _gradient_axis),
        Entry("shape", "lengths", _lengths),
    ]


def _rows_along(values: Floats, axis: int) -> Floats:
    return np.moveaxis(values, axis, -1).reshape(-1, _SHAPE[axis])


def _block_along(context: Context, axis: int) -> Block:
    """Return the rows along an axis of one array, the same for all axes."""
    flat = ordinary(context, (6, 4))
    whole = Block(flat.x.reshape(_SHAPE), flat.dy.reshape(_SHAPE), s=0.5, b=0.25)
    return Block(_rows_along(whole.x, axis), _rows_along(whole.dy, axis), s=whole.s, b=whole.b)


def _axis(context: Context) -> None:
    _judge_axes(context, vjp=False)


def _gradient_axis(context: Context) -> None:
    _judge_axes(context, vjp=True)


def _judge_axes(context: Context, *, vjp: bool) -> None:
    name = "gradients" if vjp else "weights"
    flat = ordinary(context, (6, 4))
    if not _rows_hold(context, vjp=vjp):
        return  # wrong along the last axis as well, which other entries tell
    for axis in range(3):
        whole = Block(flat.x.reshape(_SHAPE), flat.dy.reshape(_SHAPE), s=0.5, b=0.25)
        arguments = context.subject.arguments(whole, context.dtype)
        if vjp:
            result = context.subject.vjp(context.variant, arguments, axis=axis)[0]
        else:
            result = context.subject.weights(context.variant, arguments, axis=axis)
        got = context.read(result, _SHAPE, "dx" if vjp else "the result")
        if _holds(context, axis, got, vjp=vjp):
            continue
        others = [o for o in range(3) if o != axis and _holds(context, o, got, vjp=vjp)]
        said = f"are those along axis {others[0]}" if others else "are wrong"
        msg = f"along axis {axis} of an array of shape {_SHAPE} the {name} {said}"
        rows = _block_along(context, axis)
        # One row of it, which may well be right alone.
        raise Fault(msg, "\n".join(["# a row of it:", *call_lines(context, rows, "", 0, vjp=vjp)]))


def _rows_hold(context: Context, *, vjp: bool) -> bool:
    """Return whether rows in an array of two dimensions come out right, along its last axis."""
    block = _block_along(context, 2)
    got = context.gradients(block)[0] if vjp else context.weights(block)
    return _holds(context, 2, got.reshape(_SHAPE), vjp=vjp)


def _holds(context: Context, axis: int, got: Floats, *, vjp: bool) -> bool:
    """Return whether the results are those along an axis, to what the claim allows."""
    block = _block_along(context, axis)
    values = _rows_along(got, axis)
    if not vjp:
        return bool((error_over_allowed(context, block, values) <= 1.0).all())
    fmt, weight_class = context.fmt, context.claim.weight_class
    for row, dy, dx in zip(
        rows_of(block, context.variant), block.dy.tolist(), values.tolist(), strict=True
    ):
        bound = max(relative_bound(row, fmt))
        for gradient, value in zip(exact.gradient(row, dy, fmt), dx, strict=True):
            allowed = gradient_tolerance(weight_class, gradient, fmt, bound=bound)
            if not abs(value - gradient.value) <= allowed:
                return False
    return True


def _lengths(context: Context) -> None:
    last = 9 if context.smoke else 40
    wrong: dict[int, Block] = {}
    for length in range(1, last + 1):
        rows = ordinary(context, (1, length))
        block = Block(rows.x, rows.dy, s=0.5, b=0.25)
        if not (error_over_allowed(context, block, context.weights(block)) <= 1.0).all():
            wrong[length] = block
    if not wrong:
        return
    right = [length for length in range(1, last + 1) if length not in wrong]
    said = "every length" if not right else f"lengths {_ranges(list(wrong))}"
    msg = f"rows of {said} up to {last} are wrong"
    # A row that is padded to a multiple of k is right where there is nothing to pad.
    for k in (16, 8, 4, 2, 32):
        if right and right == list(range(k, last + 1, k)):
            msg += (
                f", those of {_ranges(right)}, multiples of {k}, right: what fills rows up to "
                f"blocks of {k} counts as entries"
            )
            break
    length = next(iter(wrong))
    raise Fault(msg, "\n".join(call_lines(context, wrong[length], "", 0)))


def _ranges(numbers: list[int]) -> str:
    """Return ascending numbers as text, runs shortened: 1-7, 9."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)
