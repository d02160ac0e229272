"""Permuting entries, padding rows, shifting logits and broadcasting s, b, n keep the class.

And what one row holds is nothing to the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from softmax_variants_spec.conformance.blocks import Block
from softmax_variants_spec.conformance.context import Context, Entry, Fault, present_of
from softmax_variants_spec.conformance.judge import (
    Allowance,
    gradient_ratios,
    parameter_ratios,
    weight_errors,
)
from softmax_variants_spec.conformance.references import reference_of
from softmax_variants_spec.conformance.repro import call_lines

from .samples import same, sample

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries"]

_SHIFT = 1024.0


def _rows(context: Context) -> Block:
    return sample(context, (2, 13) if context.smoke else (4, 23))


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return the entries; the shift is for the variants that it leaves alone."""
    del smoke
    found = [
        Entry("invariance", "permutation", _permutation),
        Entry("invariance", "padding", _padding),
        Entry("invariance", "other-rows", _other_rows),
        Entry("invariance", "gradient-other-rows", _gradient_other_rows),
    ]
    if variant.shift_invariant:
        found.append(Entry("invariance", "shift", _shift))
    if variant.function == "ssmax":
        found.append(Entry("invariance", "broadcast-parameters", _broadcast))
    return found


def _judge(context: Context, block: Block, what: str) -> None:
    """Raise where a block's weights or gradients do not keep the claim."""
    reference = reference_of(block, context.variant, context.fmt)
    allowance = Allowance.of(
        context.claim, near_tie=context.variant.form == "shifted", beyond_condition=False
    )
    y = context.weights(block)
    errors = weight_errors(
        y,
        reference.weights,
        context.fmt,
        flushes=context.flushes_subnormals,
    )
    allowed = errors.allowed(allowance)
    if not allowed.all():
        row = int(np.argwhere(~allowed)[0][0])
        text = "NaN" if np.isnan(y).any() else f"error {errors.ulps[~allowed].max():.6g} ULP"
        msg = f"{what}: {text}, wants {allowance.text}"
        raise Fault(msg, "\n".join(call_lines(context, block, "", row)))
    dx = context.gradients(block)[0]
    ratios = gradient_ratios(
        dx,
        reference.gradient,
        reference.weights,
        context.fmt,
        present_of(block),
        allowance.weight_class,
        flushes=context.flushes_subnormals,
    )
    if (ratios > 1).any():
        row = int(np.argwhere(ratios > 1)[0][0])
        msg = f"{what}: dx is off by {ratios.max():.4g} times what {allowance.weight_class} allows"
        raise Fault(msg, "\n".join(call_lines(context, block, "", row, vjp=True)))


def _permutation(context: Context) -> None:
    block = _rows(context)
    order = np.random.default_rng(7).permutation(block.x.shape[1])
    permuted = replace(block, x=block.x[:, order], dy=block.dy[:, order])
    _judge(context, permuted, "permuted rows")


def _padding(context: Context) -> None:
    block = _rows(context)
    for count in (9,) if context.smoke else (1, 9):
        width = ((0, 0), (0, count))
        x = np.pad(block.x, width, constant_values=-np.inf)
        dy = np.pad(block.dy, width, constant_values=1.0)
        _judge(context, replace(block, x=x, dy=dy), f"rows padded by {count} absent entries")


def _other_rows(context: Context) -> None:
    _judge_other_rows(context, vjp=False)


def _gradient_other_rows(context: Context) -> None:
    _judge_other_rows(context, vjp=True)


def _judge_other_rows(context: Context, *, vjp: bool) -> None:
    """Raise where the results of rows depend on what another row holds."""
    block, bad = _rows(context), 1
    names = ("dx", "ds", "db") if vjp else ("weights",)

    def results(block: Block) -> list[Any]:
        return context.gradients(block) if vjp else [context.weights(block)]

    wanted = results(block)
    others = np.arange(len(block.x)) != bad
    for what, changed in _bad_rows(block, bad, vjp=vjp).items():
        for name, clean, got in zip(names, wanted, results(changed), strict=False):
            if context.subject.ordered_sums:
                kept = same(clean[others], got[others])
            else:
                kept = same(np.isfinite(clean[others]), np.isfinite(got[others]))
            if not kept:
                if not all(map(same, wanted, results(block))):
                    msg = f"{name} have other bits on a second run"
                    raise Fault(msg)
                msg = f"{name} of other rows change where row {bad} of the array holds {what}"
                raise Fault(msg, _call_of(context, vjp=vjp))


def _bad_rows(block: Block, bad: int, *, vjp: bool) -> dict[str, Block]:
    """Return the block with a row that has no finite result, by what the row holds."""

    def with_entry(values: Any, value: float) -> Any:
        changed = values.copy()
        changed[bad, 0] = value
        return changed

    rows = np.arange(len(block.x))[:, None]
    found = {
        "NaN": replace(block, x=with_entry(block.x, np.nan)),
        "+inf": replace(block, x=with_entry(block.x, np.inf)),
        "-inf only": replace(block, x=np.where(rows == bad, -np.inf, block.x)),
    }
    if vjp:
        found["a NaN in dy"] = replace(block, dy=with_entry(block.dy, np.nan))
        found["an infinity in dy"] = replace(block, dy=with_entry(block.dy, np.inf))
    if isinstance(block.s, np.ndarray):
        found["s = NaN"] = replace(block, s=with_entry(block.s, np.nan))
    return found


def _call_of(context: Context, *, vjp: bool) -> str:
    name = context.variant.function + ("_vjp" if vjp else "")
    return f"# compare {name} of an array of several rows with that of the rows one by one"


def _shift(context: Context) -> None:
    """Shift logits so far that their own exponentials overflow, or underflow, in every format."""
    block = _rows(context)
    # On the grid of the numbers about the shift, so that the shift is exact and the exact weights
    # stay the same.
    grid = 2.0 ** (context.fmt.ulp_exponent(_SHIFT))
    x = np.round(block.x / grid) * grid
    for shift in (_SHIFT,) if context.smoke else (_SHIFT, -_SHIFT):
        _judge(context, replace(block, x=x + shift), f"logits shifted by {shift:g}")


def _broadcast(context: Context) -> None:
    """Parameters of every shape that broadcasts: each row gets its own s, b and n."""
    subject, fmt, dtype = context.subject, context.fmt, context.dtype
    lib = subject.library
    flat = sample(context, (6, 11))
    x, dy = flat.x.reshape(2, 3, 11), flat.dy.reshape(2, 3, 11)
    by_head = np.asarray([[0.5], [1.0], [0.25]])
    cases: dict[str, tuple[Any, Any, Any]] = {
        "s of shape (3, 1), b a number": (by_head, 0.125, None),
        "s of shape (1,)": (np.asarray([0.75]), 0.0, None),
        "s of shape ()": (np.asarray(0.75), np.asarray(0.125), None),
        "s of shape (2, 1, 1), b of shape (3, 1)": (
            np.asarray([[[0.5]], [[2.0]]]),
            by_head / 4,
            None,
        ),
        "n of shape (3, 1)": (0.5, 0.25, np.asarray([[4], [9], [1000]])),
    }
    for name, (s, b, n) in cases.items():

        def spread(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            return np.broadcast_to(value, (2, 3, 1)).reshape(6, 1)

        rows = Block(flat.x, flat.dy, s=spread(s), b=spread(b), n=spread(n))
        reference = reference_of(rows, context.variant, fmt)

        def array(value: Any, kind: str | None) -> Any:
            return lib.asarray(value, kind) if isinstance(value, np.ndarray) else value

        arguments = {
            "x": lib.asarray(x, dtype),
            "dy": lib.asarray(dy, dtype),
            "where": None,
            "s": array(s, dtype),
            "b": array(b, dtype),
            "n": array(n, None),
        }
        y = context.read(subject.weights(context.variant, arguments, axis=2), x.shape, "result")
        allowance = Allowance.of(context.claim, near_tie=False, beyond_condition=False)
        errors = weight_errors(
            y.reshape(6, 11), reference.weights, fmt, flushes=context.flushes_subnormals
        )
        if not errors.allowed(allowance).all():
            msg = f"{name}: error {errors.ulps.max():.6g} ULP, wants {allowance.text}"
            raise Fault(msg)
        _judge_sums(context, arguments, reference, {"ds": s, "db": b}, name)


def _judge_sums(
    context: Context, arguments: dict[str, Any], reference: Any, given: dict[str, Any], name: str
) -> None:
    results = context.subject.vjp(context.variant, arguments, axis=2)
    class_name = context.claim.weight_class
    for (label, parameter), result in zip(given.items(), results[1:], strict=True):
        got = context.read(result, np.shape(parameter), label)
        # Sum the rows' exact terms over the axes that the parameter was broadcast along.
        shape = (1,) * (3 - np.ndim(parameter)) + np.shape(parameter)
        summed = reference.parameters.summed(label, (2, 3, 1), shape)
        bound = float(reference.weights.bound.max())
        values = got.reshape(shape).reshape(-1, 1)
        flushes = context.flushes_subnormals
        ratios = parameter_ratios(
            values, summed, label, bound, context.fmt, class_name, flushes=flushes
        )
        if (ratios > 1).any():
            msg = f"{name}: {label} is off by {ratios.max():.4g} times what {class_name} allows"
            raise Fault(msg)
