"""Regimes of SSMax's scale c = s ln n + b."""

from __future__ import annotations

import math

import numpy as np

from .blocks import Block, Generator, Regime, to_format

__all__ = ["SCALE_REGIMES"]

_SSMAX = frozenset({"ssmax"})


def _column(g: Generator, values: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return to_format(np.asarray(values, dtype=np.float64).reshape(-1, 1), g.fmt)


def _scales(g: Generator) -> list[Block]:
    s = _column(g, [0.43, 1.0, 0.168, 3.0, -0.43, 0.0, 0.0, 1e-3, -2.0, 12.0])
    b = _column(g, [0.0, 0.0, 0.1, -1.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0])
    x = g.normal(4.0, (10, 21))
    where = g.random.random(x.shape) < 0.7
    where[:, 3] = True
    return [
        g.block(x, s=s, b=b),
        g.block(x, s=s, b=b, where=where),
        g.block(x, s=0.43),
        g.block(x, s=1 / 3, b=math.pi),
        g.block(x, s=-1, b=2),
    ]


def _large_centre_scaled(g: Generator) -> list[Block]:
    limit = min(2.0 ** (g.fmt.precision - 3), g.fmt.max / 4)
    centres = np.geomspace(10.0, limit, 8)[:, None]
    x = centres + g.uniform(-3.0, 3.0, (8, 16))
    return [g.block(x, s=0.43, n=4096), g.block(x, s=-0.43, n=4096)]


def _given_n(g: Generator) -> list[Block]:
    integers = np.asarray([[1], [2], [3], [1000], [4096], [131072], [2**24 + 1], [2**31 - 1]])
    # Numbers that binary32 has too, for libraries without binary64.
    small, large = 2.0**-100, 2.0**100
    reals = np.asarray([[1.0], [1.0 + 2.0**-20], [0.25], [3.5], [65520.0], [large], [small], [7.0]])
    x = g.normal(2.0, (8, 13))
    s = _column(g, [0.43, 1.0, 0.5, -0.25, 0.125, 0.43, 0.3, 0.2])
    return [
        g.block(x, s=s, n=integers),
        g.block(x, s=s, n=reals),
        g.block(x, s=s, b=0.5, n=3),
        g.block(x, s=0.7, n=0.75),
    ]


def _large_n(g: Generator) -> list[Block]:
    integers = np.asarray([[2**32 - 1], [2**40 + 1], [2**53 + 1], [2**63 - 1]])
    x = g.normal(2.0, (4, 13))
    s = _column(g, [0.43, -0.125, 0.1, 0.2])
    return [g.block(x, s=s, n=integers), g.block(x, s=0.1, n=2**53 + 1)]


def _cancelling(g: Generator) -> list[Block]:
    # b close to -s ln n, as far as the format of b lets it: |c| from 2**-4 to 2**-18 of it.
    n = 10
    s = _column(g, [1.0, 0.5, 2.0, 1.0, 0.25, 1.0])
    offset = np.asarray([[2.0**-4], [-(2.0**-6)], [2.0**-10], [-(2.0**-12)], [2.0**-16], [2**-18]])
    b = to_format(-s * math.log(n) * (1 + offset), g.fmt)
    c = s * math.log(n) + b
    kept = (np.abs(c) > 2.0**-19 * np.abs(b))[:, 0]
    spread = np.minimum(g.reach / np.abs(c), g.fmt.max / 8)
    x = g.uniform(-1.0, 1.0, (6, 12)) * spread * 0.4
    return [g.block(x[kept], s=s[kept], b=b[kept], n=n)]


def _cancelled(g: Generator) -> list[Block]:
    x = g.uniform(-1.0, 1.0, (4, 12)) * np.asarray([[1.0], [100.0], [1e4], [3e4]])
    return [g.block(x, s=1.0, b=-math.log(10), n=10), g.block(x, s=3, b=-3 * math.log(7), n=7)]


def _extreme(g: Generator) -> list[Block]:
    # A scale that undoes the size of the logits: the product is moderate.
    fmt, shape = g.fmt, (4, 11)
    top, tiny = fmt.max / 4, 2.0 ** -(7 * fmt.emax // 8)
    huge_logits = g.uniform(-1.0, 1.0, shape) * top
    blocks = [g.block(huge_logits, s=0.3 * g.reach / top / math.log(11))]
    blocks.append(g.block(huge_logits, s=-0.2 * g.reach / top, b=0.1 * g.reach / top))
    blocks.append(g.block(g.normal(1.0, shape) * tiny, s=0.1 * g.reach / tiny))
    return blocks


SCALE_REGIMES = (
    Regime("scales", "Positive, negative and zero scales, s and b by row.", _scales, _SSMAX),
    Regime(
        "scaled-large-centre",
        "A large centre under a scale: scale before shift loses everything.",
        _large_centre_scaled,
        _SSMAX,
    ),
    Regime("given-n", "n given: integers, reals, beyond 2**24.", _given_n, _SSMAX),
    Regime("large-n", "n beyond 2**32 and 2**53, in 64 bits.", _large_n, _SSMAX),
    Regime("cancelling-scale", "b nearly cancels s ln n.", _cancelling, _SSMAX),
    Regime(
        "cancelled-scale",
        "b cancels s ln n beyond what the classes promise.",
        _cancelled,
        _SSMAX,
        beyond_condition=True,
    ),
    Regime("extreme-scale", "Huge or tiny logits under a tiny or huge scale.", _extreme, _SSMAX),
)
