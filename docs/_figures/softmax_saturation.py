"""Softmax's largest weight rises from 0 to 1; its derivative is largest in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exact_values import derivative, softmax

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

OTHERS = (0.0,) * 3
"""The other logits of the row."""


def draw(figure: Figure) -> None:
    """Draw a weight and its derivative against its logit."""
    axes = figure.subplots()
    x = np.linspace(-8.0, 10.0, 145)
    axes.plot(x, [float(softmax(xi, *OTHERS)[0]) for xi in x], label="weight p")
    slopes = [float(derivative(softmax, 0, 0, xi, *OTHERS)) for xi in x]
    axes.plot(x, slopes, "--", label="derivative p (1 − p)")
    axes.set_xlabel("a logit; the three others are 0")
    axes.legend()
