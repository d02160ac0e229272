"""Dots of errors on a logarithmic scale, a line an entry, as HTML that needs nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from .wording import error_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DTYPES", "Dot", "Line", "plot"]

DTYPES = ("float16", "bfloat16", "float32", "float64")
"""What a dot's colour stands for: the style names a class of each."""

_LEAST = -5
"""The binary logarithm at the left edge; smaller errors, 0 among them, stand there."""


@dataclass(frozen=True)
class Dot:
    """One error."""

    dtype: str
    value: float
    where: str
    """The input with that error."""
    holds: bool


@dataclass(frozen=True)
class Line:
    """The errors of one entry of the suite."""

    name: str
    dots: tuple[Dot, ...]


def plot(lines: Sequence[Line], marks: Sequence[tuple[float, str]]) -> str:
    """Return a plot, the largest errors first.

    Parameters
    ----------
    lines
        What to show.
    marks
        Values with a rule of their own, and how they are written.

    Examples
    --------
    >>> dot = Dot("float32", 0.5, "normal[0][0, 0]", holds=True)
    >>> "left:100%" in plot([Line("normal", (dot,))], [(0.5, "½")])
    True
    """
    values = [dot.value for line in lines for dot in line.dots]
    finite = [value for value in values if math.isfinite(value)]
    last = max(math.ceil(math.log2(max([*finite, *(value for value, _ in marks)]))), _LEAST + 1)
    # What is not finite has a place of its own, behind the largest that is.
    edge = last + 1 if len(finite) < len(values) else last
    rules = "".join(
        f'<i class="rule" style="left:{_place(value, edge)}"></i>' for value, _ in marks
    )
    # Beyond the marks a few powers of two, apart as far as names need it.
    first = math.ceil(math.log2(max(value for value, _ in marks)))
    step = max(4, math.ceil((edge - first) / 3))
    powers = range(first + step, edge - step // 2, step)
    scale = [(2.0**power, _written(2.0**power)) for power in powers]
    scale += [(math.inf, "∞")] if edge > last else []
    names = "".join(
        f'<span class="mark" style="left:{_place(value, edge)}">{escape(name)}</span>'
        for value, name in [*marks, *scale]
    )
    rows = [f'<div class="line axis"><span></span><div class="track">{names}</div></div>']
    for line in sorted(lines, key=lambda line: -max(_order(dot.value) for dot in line.dots)):
        dots = "".join(_dot(dot, edge) for dot in line.dots)
        rows.append(
            f'<div class="line"><span class="name">{escape(line.name)}</span>'
            f'<div class="track">{rules}{dots}</div></div>'
        )
    return f'<div class="plot">{"".join(rows)}</div>'


def _written(value: float) -> str:
    return f"{value:.0f}" if value < 10_000 else f"{value:.0e}".replace("e+0", "e").replace("+", "")


def _order(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _place(value: float, edge: int) -> str:
    """Return the distance from the left edge."""
    if not math.isfinite(value):
        return "100%"
    power = _LEAST if value <= 0 else max(math.log2(value), _LEAST)
    return f"{100 * (power - _LEAST) / (edge - _LEAST):.4g}%"


def _dot(dot: Dot, edge: int) -> str:
    said = f"{dot.dtype}: {error_text(dot.value)} at {dot.where}"
    kind = f"dot {dot.dtype}" if dot.holds else f"dot {dot.dtype} bad"
    return f'<b class="{kind}" style="left:{_place(dot.value, edge)}" title="{escape(said)}"></b>'
