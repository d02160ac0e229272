"""As rows grow, softmax's largest weight falls towards 0; SSMax's, with s = 0.43, rises to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

SMALL, LARGE, SCALE = -2.0, 3.0, 0.43
"""The row of the paper's figure 1: one logit of 3, all others −2."""


def draw(figure: Figure) -> None:
    """Draw the largest weight against the length of the row."""
    axes = figure.subplots()
    n = np.logspace(0.5, 6, 60)
    for name, c in (("softmax", np.ones_like(n)), ("SSMax", SCALE * np.log(n))):
        axes.plot(n, 1 / (1 + (n - 1) * np.exp(-c * (LARGE - SMALL))), label=name)
    axes.set_xscale("log")
    axes.set_xlabel("n: one logit is 3, the others −2")
    axes.set_ylabel("weight of the largest")
    axes.legend()
