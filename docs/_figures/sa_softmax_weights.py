"""Weights of one logit in a row with 2, 0 and −1, by form: plain falls below 0, others do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exact_values import sa_softmax, softmax

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["OTHERS", "draw"]

OTHERS = (2.0, 0.0, -1.0)
"""The other logits of the row."""


def draw(figure: Figure) -> None:
    """Draw the weight of a logit against the logit."""
    axes = figure.subplots()
    x = np.linspace(-4.0, 5.0, 91)
    axes.plot(x, [float(softmax(xi, *OTHERS)[0]) for xi in x], ":", label="softmax")
    for form in ("normalized", "minmax", "shifted", "plain"):
        weights = [float(sa_softmax(xi, *OTHERS, form=form)[0]) for xi in x]
        axes.plot(x, weights, "--" if form == "minmax" else "-", label=form)
    axes.set_ylim(-0.3, 1.6)
    axes.set_xlabel("a logit; the others are 2, 0 and −1")
    axes.set_ylabel("its weight")
    axes.legend()
