"""Rows for the property checks: ordinary ones, some with absent entries."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from softmax_variants_spec.conformance.blocks import Block, Generator

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.context import Context

__all__ = ["masked_sample", "same", "sample"]


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
