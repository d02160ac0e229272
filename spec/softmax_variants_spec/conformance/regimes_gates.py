"""Regimes of SA-Softmax's gates."""

from __future__ import annotations

import numpy as np

from .blocks import Block, Generator, Regime

__all__ = ["GATE_REGIMES"]

_SA = frozenset({"sa_softmax"})


def _tied_extrema(g: Generator) -> list[Block]:
    rows = [
        [3.0, 3.0, -1.0, -1.0, -1.0, 0.5],
        [0.0, 0.0, 2.0, 1.0, 2.0, 1.5],
        [0.0, -0.0, -2.0, -1.0, -2.0, -1.5],
        [2.0, 2.0, 2.0, 2.0, 2.0, 2.0],
        [-2.0, -2.0, -2.0, -2.0, -2.0, -2.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [2.0, 2.0, -1.0, 0.0, 0.0, 1.0],
        [5.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [-5.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0],
        [12.0, 0.0, -3.0, 0.0, 1.0, -3.0],
    ]
    x = np.asarray(rows)
    where = np.ones_like(x, dtype=bool)
    where[:, 1] = False
    return [g.block(x), g.block(x, where=where), g.block(x, dy=np.eye(6)[np.arange(12) % 6])]


def _underflowing_weight(g: Generator) -> list[Block]:
    # p underflows, x p does not: rounding p before the gate costs hundreds of ULP.
    at = g.reach * np.linspace(0.9, 1.08, 12)[:, None]
    top = g.reach * 0.05
    low = np.concatenate([-at + top, np.full_like(at, top), g.uniform(-1, 1, (12, 3))], axis=1)
    return [g.block(low), g.block(low[:, [1, 0]])]


def _narrow(g: Generator) -> list[Block]:
    # Logits a few ULP apart: gates with a tiny denominator.
    steps = g.random.integers(0, 9, (8, 9))
    sign = np.where(np.arange(8) % 2, -1, 1)[:, None]
    base = np.geomspace(2.0**-6, 64.0, 8)[:, None] * sign
    # Next to 0 the denominator of the normalized gate is tiny as well.
    small = max(2.0**-30, g.fmt.min_normal)
    near = np.geomspace(small, 2.0**10 * small, 8)[:, None] * sign
    return [g.block(near * steps[::-1]), g.block(base * (1 + steps * 2 * g.fmt.unit_roundoff))]


def _dominated(g: Generator) -> list[Block]:
    # One logit far above the others: x - min has more bits than the format, and p is 1 - 1e-30.
    x = g.normal(1.0, (8, 9)) * np.geomspace(1.0, g.reach / 2, 8)[:, None]
    x[:, 4] = np.abs(x).max(axis=1) + g.uniform(0.5, 1.0, 8) * g.reach
    return [g.block(x)]


def _small_logits(g: Generator) -> list[Block]:
    # Nearly uniform probabilities, gates from tiny to moderate in one row.
    sizes = np.exp2(g.uniform(-float(g.fmt.emax) + 2.0, 1.0, (8, 12)))
    return [g.block(sizes * g.random.choice([-1.0, 1.0], sizes.shape))]


GATE_REGIMES = (
    Regime("tied-extrema", "Ties at the extrema and with the appended 0.", _tied_extrema, _SA),
    Regime(
        "underflowing-weight",
        "The probability underflows where gate times probability does not: one that is rounded "
        "before it is multiplied by the gate shows.",
        _underflowing_weight,
        _SA,
    ),
    Regime(
        "narrow",
        "Logits a few ULP apart, or next to 0: tiny denominators, in which an epsilon shows.",
        _narrow,
        _SA,
    ),
    Regime(
        "dominated",
        "One logit far above the rest.",
        _dominated,
        _SA,
        near_tie=frozenset({"shifted"}),
    ),
    Regime(
        "small-gates",
        "Gates of all sizes in one row.",
        _small_logits,
        _SA,
        near_tie=frozenset({"plain", "shifted"}),
    ),
)
