"""Regimes: families of rows that are hard, or easy, for one known reason each.

"Big logits" are not what makes softmax hard: crossing binades and signs is. The sentence of each
regime says what it is after. A new regime is one function here (or beside it) and one line in
``REGIMES``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .blocks import Regime
from .regimes_gates import GATE_REGIMES
from .regimes_recorded import RECORDED_REGIMES
from .regimes_rounding import ROUNDING_REGIMES
from .regimes_scales import SCALE_REGIMES

if TYPE_CHECKING:
    from .blocks import Block, Generator

__all__ = ["REGIMES", "regime"]


def _normal(g: Generator) -> list[Block]:
    sigmas = np.repeat([[0.5], [2.0], [8.0], [30.0]], 3, axis=0)
    return [g.block(g.normal(1.0, (12, n)) * sigmas) for n in (33, 8)]


def _binade_crossing(g: Generator) -> list[Block]:
    top = g.uniform(0.0, 0.3 * g.reach, (10, 1))
    distance = g.uniform(0.0, 1.05 * g.reach, (10, 33))
    distance[:, 7] = 0.0
    return [g.block(top - distance)]


def _sign_crossing(g: Generator) -> list[Block]:
    spread = np.geomspace(0.1, g.reach / 2, 10)[:, None]
    return [g.block(g.uniform(-1.0, 1.0, (10, 29)) * spread)]


def _sterbenz(g: Generator) -> list[Block]:
    top = np.geomspace(1.0, 1.9 * g.reach, 8)[:, None]
    return [g.block(top * g.uniform(0.5, 1.0, (8, 29)))]


def _ties(g: Generator) -> list[Block]:
    levels = g.uniform(-4.0, 4.0, (8, 3))
    picked = np.take_along_axis(levels, g.random.integers(0, 3, (8, 21)), axis=1)
    block = g.block(picked)
    up = np.where(g.random.random((8, 21)) < 0.5, 1.0 + 2.0 * g.fmt.unit_roundoff, 1.0)
    return [block, g.block(block.x * up), g.block(np.repeat(levels[:, :1], 6, axis=1))]


def _entropy(g: Generator) -> list[Block]:
    sizes = np.exp2(np.linspace(-20.0, 9.0, 12))[:, None]
    return [g.block(g.normal(1.0, (12, 24)) * sizes)]


def _thresholds(g: Generator) -> list[Block]:
    fmt = g.fmt
    marks = [math.log(fmt.max), -math.log(fmt.min_normal), g.reach, g.reach - math.log(2), 1.0]
    marks += [fmt.precision * math.log(2), (fmt.precision + 1) * math.log(2)]
    near = [mark * (1 + k * 2 * fmt.unit_roundoff) for mark in marks for k in (-2, -1, 0, 1, 2)]
    row = np.asarray([0.0, *(-mark for mark in near)])
    shift = np.asarray([[0.0], [1 / 3], [1.0], [-3.0], [row.min() / -2], [-row.min()]])
    return [g.block(row + shift), g.block(-row + shift[[0, 2]])]


def _range_ends(g: Generator) -> list[Block]:
    top = g.fmt.max
    below = top * (1 - 2 * g.fmt.unit_roundoff)
    rows = [
        [top, -top, 0.0, 1.0],
        [top, top, -top, below],
        [-top, -top, -top, -below],
        [top / 2, -top, -top / 2, 0.0],
        [-top, -top / 2, -below, -top],
        [below, top / 2, top / 4, top],
        [top, 0.0, 0.0, g.fmt.min_subnormal],
        [-top, 0.0, -0.0, -1.0],
    ]
    return [g.block(rows), g.block(np.asarray(rows), dy=g.normal(1.0, (8, 4)) * 100.0)]


def _subnormal_logits(g: Generator) -> list[Block]:
    eta = g.fmt.min_subnormal
    counts = g.random.integers(-12, 13, (8, 15)).astype(float)
    counts[:4] *= 1 + g.random.integers(0, 2 ** (g.fmt.precision - 1) // 16, (4, 15))
    mixed = np.concatenate([counts[4:] * eta, [[1.0], [-1.0], [0.0], [8.0]]], axis=1)
    blocks = [g.block(counts * eta), g.block(mixed), g.block([[eta, eta], [3 * eta, -eta]])]
    if g.function == "ssmax" and g.fmt.name != "float64":  # its scale would be beyond binary64
        small = np.round(counts[:4] / np.abs(counts[:4]).max() * 40.0)
        blocks.insert(0, g.block(small * eta, s=0.01 * g.reach / eta))
    return blocks


def _zeros(g: Generator) -> list[Block]:
    small = g.fmt.min_normal
    rows = [[0.0, -0.0, 0.0, -0.0, 0.0], [0.0, small, -small, 0.0, -0.0]]
    rows += [[-0.0, -0.0, -1.0, -0.0, -2.0], [0.0, 1.0, 2.0, -0.0, 0.0]]
    return [g.block(rows)]


def _large_centre(g: Generator) -> list[Block]:
    limit = 2.0 ** (g.fmt.precision - 3)
    centres = np.geomspace(10.0, min(limit, g.fmt.max / 4), 8)[:, None]
    signs = np.where(np.arange(8) % 3 == 2, -1.0, 1.0)[:, None]
    return [g.block(signs * centres + g.uniform(-2.0, 2.0, (8, 23)))]


def _masked(g: Generator) -> list[Block]:
    x = g.normal(1.0, (12, 19)) * np.geomspace(1.0, g.reach / 3, 12)[:, None]
    hidden = x.copy()
    hidden[g.random.random(x.shape) < 0.2] = -np.inf
    where = g.random.random(x.shape) < np.linspace(0.1, 0.95, 12)[:, None]
    return [g.block(x, where=where), g.block(hidden, where=where[::-1]), g.block(hidden)]


def _lengths(g: Generator) -> list[Block]:
    lengths = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, 129, 255, 257, 1000, 2049)
    return [g.block(g.normal(6.0, (2 if n < 100 else 1, n))) for n in lengths]


def _any_finite(g: Generator) -> list[Block]:
    x = g.any_finite((10, 17))
    x[5:] = np.where(np.abs(x[5:]) < 2 * g.reach, x[5:], g.uniform(-1, 1, (5, 17)) * g.reach)
    return [g.block(x)]


def _cotangents(g: Generator) -> list[Block]:
    x = g.normal(3.0, (8, 16))
    one_hot = np.eye(16)[[0, 3, 5, 15, 7, 1, 2, 9]]
    alternate = np.where(np.arange(16) % 2, -1.0, 1.0)
    order = np.argsort(x, axis=1)
    at_the_least = np.zeros_like(x)
    np.put_along_axis(at_the_least, order[:, :1], 1.0, axis=1)
    large, small = 2.0 ** (g.fmt.emax // 2), 2.0 ** -(g.fmt.emax // 3)
    wide = x * (g.reach / 12)
    return [
        g.block(x, dy=one_hot),
        g.block(x, dy=np.ones_like(x)),
        g.block(x, dy=alternate * g.uniform(0.9, 1.1, x.shape)),
        g.block(x, dy=g.normal(1.0, x.shape) * large),
        g.block(x, dy=g.normal(1.0, x.shape) * small),
        g.block(wide, dy=at_the_least),
        g.block(wide, dy=at_the_least * large),
    ]


REGIMES: tuple[Regime, ...] = (
    Regime("normal", "Normal logits of standard deviation 0.5 to 30.", _normal),
    Regime("binade-crossing", "x - max crosses binades, so the shift rounds.", _binade_crossing),
    Regime("sign-crossing", "Logits of both signs: every shift rounds.", _sign_crossing),
    Regime("sterbenz", "Logits within a factor 2 of the largest: the shift is exact.", _sterbenz),
    Regime("ties", "Equal logits, and logits one ULP apart.", _ties),
    Regime("entropy", "From one-hot to uniform rows.", _entropy),
    Regime("thresholds", "exp overflows, becomes subnormal, becomes 0.", _thresholds),
    Regime(
        "range-ends",
        "The largest and the lowest finite logits, whose differences overflow.",
        _range_ends,
    ),
    Regime(
        "subnormal-logits",
        "Subnormal logits: gates that are subnormal, and scales that undo it.",
        _subnormal_logits,
        near_tie=frozenset({"plain", "shifted"}),
        subnormal=True,
    ),
    Regime("zeros", "Zeros of both signs are equal.", _zeros),
    Regime("large-centre", "A small spread about a large centre.", _large_centre),
    Regime("masked", "Absent entries, by where and by -inf.", _masked),
    Regime("lengths", "Row lengths 1 to 2049, most of them unaligned.", _lengths),
    Regime("any-finite", "Logits uniform in ULP over all finite numbers.", _any_finite),
    Regime("cotangents", "One-hot, constant, alternating, large and small dy.", _cotangents),
    *SCALE_REGIMES,
    *GATE_REGIMES,
    *ROUNDING_REGIMES,
    *RECORDED_REGIMES,
)


def regime(name: str) -> Regime:
    """Return the regime of that name."""
    return next(one for one in REGIMES if one.name == name)
