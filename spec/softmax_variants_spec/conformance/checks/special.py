"""The special-value sentences of the specification: the suite runs what the docs print."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from softmax_variants_spec.conformance.blocks import Block
from softmax_variants_spec.conformance.context import Context, Entry, Fault
from softmax_variants_spec.conformance.repro import call_lines
from softmax_variants_spec.special_values import SPECIAL_VALUES

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.variants import Variant
    from softmax_variants_spec.special_values import Case, SpecialValue

__all__ = ["entries"]


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return an entry a sentence that has cases for the variant."""
    del smoke
    return [
        Entry("special", value.id.split(".", maxsplit=1)[1], _Check(value))
        for value in SPECIAL_VALUES
        if value.id.startswith(f"{variant.function}.")
    ]


class _Check:
    def __init__(self, value: SpecialValue) -> None:
        self.value = value

    def __call__(self, context: Context) -> None:
        for case in self.value.cases(context.fmt):
            if context.variant.form is not None and case.form != context.variant.form:
                continue
            failures = case.failures(_evaluate(case, context))
            if failures:
                message = f"{self.value.sentence} {failures[0]}"
                raise Fault(message, "\n".join([*_lines(case, context), f"# {failures[0]}"]))


def _block(case: Case) -> Block:
    def column(value: Any) -> Any:
        # Python numbers that are not finite are for the public API to refuse; a backend gets
        # such parameters in arrays only.
        usable = value is None or math.isfinite(value)
        return value if usable else np.asarray([[value]], dtype=np.float64)

    n: Any = case.n
    if n is not None and (not math.isfinite(n) or n <= 0):
        n = np.asarray([[n]], dtype=np.int64 if isinstance(n, int) else np.float64)
    return Block(
        x=np.asarray([case.x], dtype=np.float64),
        dy=np.asarray([case.dy or (0.0,) * len(case.x)], dtype=np.float64),
        where=None if case.where is None else np.asarray([case.where]),
        s=column(case.s),
        b=column(case.b),
        n=n,
    )


def _evaluate(case: Case, context: Context) -> list[float]:
    block = _block(case)
    if case.expect == "weights":
        return [float(v) for v in context.weights(block)[0]]
    results = context.gradients(block, detach_extrema=case.detach_extrema)
    chosen = results[("gradient", "ds", "db").index(case.expect)]
    return [float(v) for v in np.ravel(chosen)]


def _lines(case: Case, context: Context) -> list[str]:
    vjp = case.expect != "weights"
    block = _block(case)
    if len(case.x) <= 40:
        return call_lines(context, block, "", 0, vjp=vjp, detach_extrema=case.detach_extrema)
    shown = {f.name: getattr(case, f.name) for f in fields(case) if f.name != "x"}
    return [f"# a row of {len(case.x)} logits that starts {case.x[:4]}; {shown}"]
