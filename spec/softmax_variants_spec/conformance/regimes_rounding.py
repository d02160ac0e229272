"""Regimes of rounding: where a sum, the last rounding, a missing division or a clipped tail shows.

SSMax has s = 0 and b = 1 in them, which makes its weights those of softmax.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .blocks import Block, Generator, Regime, to_format

if TYPE_CHECKING:
    from .blocks import Floats

__all__ = ["ROUNDING_REGIMES"]


def _swamped_sum(g: Generator) -> list[Block]:
    # Exponentials just below half an ULP of 1: added to 1 one by one, each of them is lost.
    below = g.fmt.precision * math.log(2) + g.uniform(0.02, 0.3, (4, 40))
    below[np.arange(4), [0, 3, 20, 39]] = 0.0
    return [g.block(1.0 - below, s=0.0, b=1.0)]


def _powers_of_two(g: Generator) -> list[Block]:
    values = np.asarray([[1000.0], [0.7], [0.0], [-3.3], [g.reach / 3], [-g.fmt.max / 4]])
    return [g.block(np.repeat(values, n, axis=1), s=0.0, b=1.0) for n in (32, 2, 4, 8, 16, 64)]


def _tail(g: Generator) -> list[Block]:
    distance = np.linspace(0.5, 1.03, 30) * g.reach + g.uniform(-0.2, 0.2, (5, 30))
    return [g.block(np.concatenate([np.full((5, 1), 1.0), 1.0 - distance], axis=1), s=0.0, b=1.0)]


def _midpoints(g: Generator) -> list[Block]:
    if g.fmt.name == "float64":
        # Two logits δ apart have a weight 1/2 + δ/4 - δ**3/48: next to a midpoint where δ is an
        # odd number of ULP of 1. No search in binary64 finds rows for binary64.
        odd = np.asarray([[1.0], [3.0], [5.0], [77.0], [1001.0], [2.0**30 + 1]])
        pairs = np.concatenate([1.0 + odd * 2.0**-52, np.ones_like(odd)], axis=1)
        return [g.block(pairs, s=0.0, b=1.0)]
    # The fewer bits, the rarer: a weight in 2**(25 - precision) lies so near to a midpoint that
    # binary32 rounds it there, and half of them end on the wrong side.
    count = 1 << (17 if g.fmt.precision < 10 else 15)
    rows = to_format(g.uniform(-4.0, 4.0, (count, 3)), g.fmt)
    in_ulps = _weights_in_ulps(rows, g)
    distance = np.abs(in_ulps - np.floor(in_ulps) - 0.5).min(axis=1)
    # Rows first that go wrong when rounded to binary32 on the way; then the nearest ones.
    twice = np.rint(in_ulps.astype(np.float32).astype(np.float64)) != np.rint(in_ulps)
    order = np.lexsort((distance, ~twice.any(axis=1)))
    return [g.block(rows[order[:8]], s=0.0, b=1.0)]


def _weights_in_ulps(x: Floats, g: Generator) -> Floats:
    """Return weights in ULP of the format, as good as binary64 gives them: for a search."""
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    e = np.exp(x - high)
    p = e / e.sum(axis=1, keepdims=True)
    zero_low, zero_high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    with np.errstate(invalid="ignore"):  # equal logits, whose gate is 0/0: never near a midpoint
        gate = {
            None: 1.0,
            "plain": x,
            "shifted": x - low,
            "minmax": (x - low) / (high - low),
            "normalized": (x - zero_low) / (zero_high - zero_low),
        }[g.form]
    y = np.nan_to_num(gate * p)
    _, exponent = np.frexp(y)
    in_ulps: Floats = np.ldexp(y, g.fmt.precision - np.maximum(exponent, g.fmt.emin + 1))
    return in_ulps


ROUNDING_REGIMES = (
    Regime(
        "swamped-sum",
        "One exponential 1, the others just below half an ULP of it: a sum that is narrow and "
        "takes them one by one loses them all.",
        _swamped_sum,
    ),
    Regime(
        "powers-of-two",
        "Equal logits, 2**k of them, have probability 2**-k exactly, which a form without a "
        "division, exp(x - logsumexp), misses.",
        _powers_of_two,
    ),
    Regime(
        "tail",
        "Probabilities over all the subnormal range, down to where they underflow: a tail that is "
        "clipped or cut off shows.",
        _tail,
    ),
    Regime(
        "midpoints",
        "Weights next to midpoints of the format: one that is rounded twice, to a wider format on "
        "the way, ends on the wrong side.",
        _midpoints,
    ),
)
