"""SSMax's largest weight against n for five gaps: above the gap 1/s it rises, below it falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(figure: Figure) -> None:
    """Draw the largest weight where all others lie the same gap below it."""
    axes = figure.subplots()
    n = np.logspace(0.3, 8, 80)
    for gap, style in ((0.5, ":"), (0.8, "--"), (1.0, "-"), (1.2, "--"), (1.5, ":")):
        # (n − 1) others weigh n^(−s·gap) of the largest each.
        largest = 1 / (1 + (n - 1) * n ** (-gap))
        axes.plot(n, largest, style, label=f"gap = {gap:g}/s")
    axes.set_xscale("log")
    axes.set_xlabel("n")
    axes.set_ylabel("weight of the largest")
    axes.set_ylim(0.0, 1.25)
    axes.legend(ncols=3, loc="upper left")
