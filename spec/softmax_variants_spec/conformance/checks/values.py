"""Weights against the exact reference, regime by regime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from softmax_variants_spec.conformance.context import Context, Entry, Fault, present_of
from softmax_variants_spec.conformance.judge import Allowance, WeightErrors, weight_errors
from softmax_variants_spec.conformance.outcome import Outcome, WeightMeasure, Worst
from softmax_variants_spec.conformance.regimes import REGIMES
from softmax_variants_spec.conformance.repro import weight_lines

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.blocks import Block, Regime
    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries", "not_promised", "worst_place"]


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return an entry a regime."""
    del smoke
    return [
        Entry("values", regime.name, _Check(regime), not_promised(regime))
        for regime in REGIMES
        if variant.function in regime.functions
    ]


class not_promised:  # noqa: N801  (reads as a function where it is used)
    """Why a backend does not promise a regime: subnormal logits where it declares flushing."""

    def __init__(self, regime: Regime) -> None:
        self.regime = regime

    def __call__(self, context: Context) -> str:
        """Return the reason, or "" where the regime is promised."""
        if self.regime.subnormal and context.flushes_subnormals:
            return "subnormal logits, and the backend declares FLUSHES_SUBNORMALS"
        return ""


def worst_place(regime: Regime, block: Block, row: int, entry: int) -> Worst:
    """Return where an error was."""
    logits, present = block.x[row], present_of(block)[row]
    top = float(logits[present].max()) if present.any() else float("nan")
    return Worst(
        regime=regime.name,
        block=block.number,
        row=row,
        entry=entry,
        logit=float(logits[entry]).hex(),
        top=top.hex(),
        length=len(logits),
    )


class _Check:
    def __init__(self, regime: Regime) -> None:
        self.regime = regime

    def __call__(self, context: Context) -> Outcome:
        regime, fmt = self.regime, context.fmt
        near_tie = context.variant.form in regime.near_tie
        allowance = Allowance.of(
            context.claim, near_tie=near_tie, beyond_condition=regime.beyond_condition
        )
        largest, worst, classes = -1.0, None, []
        entries_, inexact, correct = 0, 0, 0
        fault: Fault | None = None
        for block, reference in context.references[regime.name]:
            y = context.weights(block)
            errors = weight_errors(y, reference.weights, fmt, flushes=context.flushes_subnormals)
            entries_ += y.size
            inexact += int(errors.inexact.sum())
            correct += int((errors.correct & errors.inexact).sum())
            classes.append(errors)
            row, entry = (int(i) for i in np.unravel_index(errors.ulps.argmax(), y.shape))
            if errors.ulps[row, entry] > largest:
                largest = float(errors.ulps[row, entry])
                worst = worst_place(regime, block, row, entry)
            allowed = errors.allowed(allowance)
            if fault is None and not allowed.all():
                fault = _fault(context, regime, block, y, errors, allowed, allowance)
        measure = WeightMeasure(
            max_error=largest,
            class_met=_class_met(classes),
            entries=entries_,
            inexact=inexact,
            correct=correct,
            worst=worst,
        )
        apart = near_tie or regime.beyond_condition
        name = f"{context.variant.label}/{context.dtype}/values/{regime.name}"
        if fault is None:
            return Outcome(name, "passed", weights=measure, apart=apart)
        return Outcome(name, "failed", fault.message, fault.detail, weights=measure, apart=apart)


def _class_met(errors: list[WeightErrors]) -> str | None:
    from softmax_variants_spec.accuracy import CLASSES

    met = [e.class_met() for e in errors]
    if None in met:
        return None
    return max((m for m in met if m is not None), key=CLASSES.index)


def _fault(
    context: Context,
    regime: Regime,
    block: Block,
    y: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    errors: WeightErrors,
    allowed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    allowance: Allowance,
) -> Fault:
    ranked = np.where(allowed, -1.0, errors.ulps)
    row, entry = (int(i) for i in np.unravel_index(ranked.argmax(), y.shape))
    place = worst_place(regime, block, row, entry)
    got = float(y[row, entry])
    if np.isnan(got):
        text = "NaN"
    elif not present_of(block)[row, entry]:
        text = f"{got!r} at an absent entry"
    else:
        text = f"error {errors.ulps[row, entry]:.6g} ULP"
    count = int((~allowed).sum())
    message = (
        f"{regime.sentence} {text}, wants {allowance.text}; "
        f"{count} of {y.size} entries, largest at {place}"
    )
    lines = weight_lines(context, block, f"{regime.name}[{block.number}]", row, entry, got)
    return Fault(message, "\n".join(lines))
