"""The share of correctly rounded weights, over at least a million entries a regime."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from softmax_variants_spec import bulk
from softmax_variants_spec.accuracy import CLASSES
from softmax_variants_spec.conformance.blocks import Block, Generator
from softmax_variants_spec.conformance.context import Context, Entry
from softmax_variants_spec.conformance.judge import Allowance, weight_errors
from softmax_variants_spec.conformance.outcome import Outcome, WeightMeasure, Worst
from softmax_variants_spec.conformance.references import WeightReference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries"]

_ENTRIES = 1 << 20


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return an entry a bulk regime; none in the smoke run."""
    del variant
    if smoke:
        return []
    return [
        Entry("bulk", "normal", _Check("normal", _normal)),
        Entry("bulk", "wide", _Check("wide", _wide)),
        Entry("bulk", "long-row", _Check("long-row", _long_row)),
    ]


def _normal(g: Generator) -> Iterator[Block]:
    for _ in range(4):
        yield g.block(g.normal(4.0, (_ENTRIES // 4 // 256, 256)), s=0.43, b=0.1)


def _wide(g: Generator) -> Iterator[Block]:
    for _ in range(4):
        x = g.uniform(-1.0, 0.1, (_ENTRIES // 4 // 64, 64)) * g.reach
        yield g.block(x, s=0.25, b=0.0)


def _long_row(g: Generator) -> Iterator[Block]:
    yield g.block(g.normal(3.0, (1, 100_003)), s=0.3, b=0.0)


class _Check:
    def __init__(self, name: str, make: Callable[[Generator], Iterator[Block]]) -> None:
        self.name, self.make = name, make

    def __call__(self, context: Context) -> Outcome:
        variant, fmt = context.variant, context.fmt
        seed = zlib.crc32(f"bulk/{self.name}/{fmt.name}".encode())
        generator = Generator(fmt, variant.function, variant.form, seed)
        allowance = Allowance.of(context.claim, near_tie=False, beyond_condition=False)
        entries_, inexact, correct, largest, wrong = 0, 0, 0, -1.0, 0
        worst: Worst | None = None
        meets = dict.fromkeys(CLASSES, True)
        for number, block in enumerate(self.make(generator)):
            reference = _reference(block, context)
            y = context.weights(block)
            errors = weight_errors(y, reference, fmt, flushes=context.flushes_subnormals)
            entries_ += y.size
            inexact += int(errors.inexact.sum())
            correct += int((errors.correct & errors.inexact).sum())
            wrong += int((~errors.allowed(allowance)).sum())
            for one in CLASSES:
                meets[one] &= bool(errors.meets[one].all())
            row, entry = (int(i) for i in np.unravel_index(errors.ulps.argmax(), y.shape))
            if errors.ulps[row, entry] > largest:
                largest = float(errors.ulps[row, entry])
                worst = Worst(
                    regime=f"bulk-{self.name}",
                    block=number,
                    row=row,
                    entry=entry,
                    logit=float(block.x[row, entry]).hex(),
                    top=float(block.x[row].max()).hex(),
                    length=block.x.shape[1],
                )
        met = next((one for one in CLASSES if meets[one]), None)
        measure = WeightMeasure(largest, met, entries_, inexact, correct, worst)
        name = f"{variant.label}/{context.dtype}/bulk/{self.name}"
        if wrong and allowance.weight_class != "bounded":
            message = (
                f"error {largest:.6g} ULP, wants {allowance.text}; {wrong} of {entries_} "
                f"entries, largest at {worst}"
            )
            return Outcome(name, "failed", message, weights=measure)
        return Outcome(name, "passed", weights=measure)


def _reference(block: Block, context: Context) -> WeightReference:
    """Return certified weights; the bound of the class "bounded" is not computed for them."""
    variant = context.variant
    result = bulk.weights(
        variant.function,
        block.x,
        context.fmt,
        s=block.s,
        b=block.b,
        form=variant.form or "normalized",
    )
    endless = np.full(block.x.shape, np.inf)
    return WeightReference(
        rounded=result.rounded,
        residual=result.residual,
        ulp_exponent=result.ulp_exponent,
        exact=result.exact,
        bound=endless,
        tolerance=endless,
    )
