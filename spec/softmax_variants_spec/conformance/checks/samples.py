"""Rows for the property checks: ordinary ones, some with absent entries."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from softmax_variants_spec import exact
from softmax_variants_spec.accuracy import ulp_error, weight_allowance
from softmax_variants_spec.conformance.blocks import Block, Generator
from softmax_variants_spec.conformance.judge import Allowance
from softmax_variants_spec.conformance.references import rows_of

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.blocks import Floats
    from softmax_variants_spec.conformance.context import Context

__all__ = ["error_over_allowed", "masked_sample", "ordinary", "same", "sample"]

_ULPS = {"correct": 0.5, "faithful": 1.0, "tight": 4.0}


def sample(context: Context, shape: tuple[int, int] = (6, 37)) -> Block:
    """Return ordinary rows; for SSMax with s and b by row."""
    variant = context.variant
    seed = zlib.crc32(f"sample/{variant.function}/{context.dtype}/{shape}".encode())
    g = Generator(context.fmt, variant.function, variant.form, seed)
    rows = (shape[0], 1)
    s = g.block(g.uniform(0.1, 1.0, rows)).x
    b = g.block(g.uniform(-0.3, 0.3, rows)).x
    return g.block(g.normal(4.0, shape), s=s, b=b)


def masked_sample(context: Context) -> Block:
    """Return ordinary rows, about a third of their entries absent by ``where``; none is empty."""
    block = sample(context)
    where = np.random.default_rng(20).random(block.x.shape) < 0.65
    where[:, 5] = True
    return Block(block.x, block.dy, where=where, s=block.s, b=block.b)


def same(a: Any, b: Any) -> bool:
    """Return whether two results have the same bits but for the signs of zeros and NaNs."""
    return bool(np.array_equal(a, b, equal_nan=True))


def ordinary(context: Context, shape: tuple[int, int]) -> Block:
    """Return rows of a small spread, whose weights are normal numbers of every format."""
    variant = context.variant
    g = Generator(context.fmt, variant.function, variant.form, zlib.crc32(f"{shape}".encode()))
    return g.block(g.uniform(-2.0, 2.0, shape))


def error_over_allowed(context: Context, block: Block, y: Floats) -> Floats:
    """Return the error of each weight of a block over what the claim allows; NaN is infinite.

    For a few short rows of which no references are kept.
    """
    fmt, form = context.fmt, context.variant.form
    allowance = Allowance.of(context.claim, near_tie=form == "shifted", beyond_condition=False)
    ratios = np.zeros(y.shape)
    for i, row in enumerate(rows_of(block, context.variant)):
        bounds = weight_allowance(row, fmt)
        for j, (weight, bound) in enumerate(zip(exact.weights(row, fmt), bounds, strict=True)):
            error = abs(ulp_error(float(y[i, j]), weight, fmt))
            allowed = _ULPS.get(allowance.weight_class, max(bound, 0.5))
            allowed = allowed if allowance.limit is None else allowance.limit
            ratios[i, j] = error / allowed
    return ratios
