"""Gradients by the logits and by SSMax's parameters against the exact ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from softmax_variants_spec.accuracy import CLASSES
from softmax_variants_spec.conformance.context import Context, Entry, present_of
from softmax_variants_spec.conformance.judge import Allowance, gradient_ratios, parameter_ratios
from softmax_variants_spec.conformance.outcome import GradientMeasure, Outcome
from softmax_variants_spec.conformance.regimes import REGIMES
from softmax_variants_spec.conformance.repro import gradient_lines, parameter_lines

from .values import not_promised, worst_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.blocks import Block, Regime
    from softmax_variants_spec.conformance.references import BlockReference
    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries"]


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return an entry a regime and kind of gradient: dx, dx detached, ds, db."""
    del smoke
    kinds = ["dx"]
    if variant.has_extrema:
        kinds.append("dx-detached")
    if variant.function == "ssmax":
        kinds += ["ds", "db"]
    return [
        Entry("gradients", f"{kind}.{regime.name}", _Check(regime, kind), not_promised(regime))
        for kind in kinds
        for regime in REGIMES
        if variant.function in regime.functions
    ]


class _Check:
    def __init__(self, regime: Regime, kind: str) -> None:
        self.regime, self.kind = regime, kind

    def __call__(self, context: Context) -> Outcome:
        regime, kind = self.regime, self.kind
        near_tie = context.variant.form in regime.near_tie
        allowance = Allowance.of(
            context.claim, near_tie=near_tie, beyond_condition=regime.beyond_condition
        )
        name = f"{context.variant.label}/{context.dtype}/gradients/{kind}.{regime.name}"
        ratio, worst, message, detail = -1.0, None, "", ""
        meets = dict.fromkeys(CLASSES, True)
        for block, reference in context.references[regime.name]:
            results = context.regime_gradients(
                regime.name, block, detach_extrema=kind == "dx-detached"
            )
            got = results[("dx", "ds", "db").index(kind.removesuffix("-detached"))]
            judge = _judge(context, kind, block, reference, got)
            for class_name in CLASSES:
                meets[class_name] &= bool((judge(class_name) <= 1).all())
            ratios = judge(allowance.weight_class)
            row, entry = (int(i) for i in np.unravel_index(ratios.argmax(), ratios.shape))
            if ratios[row, entry] > ratio:
                ratio = float(ratios[row, entry])
                worst = worst_place(regime, block, row, entry)
                if ratio > 1:
                    value = float(got[row, entry] if got.ndim else got)
                    message = (
                        f"{regime.sentence} {kind} is off by {ratio:.4g} times what "
                        f"{allowance.weight_class} allows, at {worst}"
                    )
                    detail = _detail(context, regime, kind, block, row, entry, value)
        met = next((name for name, ok in meets.items() if ok), None)
        return Outcome(
            name,
            "failed" if message else "passed",
            message,
            detail,
            gradient=GradientMeasure(ratio, met, worst),
            apart=near_tie or regime.beyond_condition,
        )


def _judge(
    context: Context, kind: str, block: Block, reference: BlockReference, got: Any
) -> Callable[[str], Any]:
    fmt, flushes = context.fmt, context.flushes_subnormals
    if kind in {"ds", "db"}:
        parameters = reference.parameters
        assert parameters is not None
        bound = float(reference.weights.bound.max(initial=0.0))
        return lambda c: parameter_ratios(got, parameters, kind, bound, fmt, c, flushes=flushes)
    exact = reference.detached if kind == "dx-detached" else reference.gradient
    assert exact is not None
    present = present_of(block)
    return lambda c: gradient_ratios(
        got, exact, reference.weights, fmt, present, c, flushes=flushes
    )


def _detail(
    context: Context, regime: Regime, kind: str, block: Block, row: int, entry: int, got: float
) -> str:
    place = f"{regime.name}[{block.number}]"
    if kind.startswith("dx"):
        detached = kind == "dx-detached"
        lines = gradient_lines(context, block, place, row, entry, got, detach_extrema=detached)
    else:
        lines = parameter_lines(context, block, place, row, kind, got)
    return "\n".join(lines)
