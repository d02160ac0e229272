"""Derivative of the largest weight by its logit: plain and detached stay up, others fall to 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from exact_values import derivative, sa_softmax, softmax

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

OTHERS = (0.0, -3.0)
"""The other logits of the row."""
LINES: tuple[tuple[str, Any, dict[str, Any], str], ...] = (
    ("softmax", softmax, {}, "-"),
    ("normalized", sa_softmax, {"form": "normalized"}, "--"),
    ("normalized, detached", sa_softmax, {"form": "normalized", "detach_extrema": True}, "-"),
    ("plain", sa_softmax, {"form": "plain"}, "-"),
)


def draw(figure: Figure) -> None:
    """Draw it against the largest logit."""
    axes = figure.subplots()
    x = np.linspace(0.25, 12.0, 95)
    for name, function, options, style in LINES:
        slopes = [float(derivative(function, 0, 0, xi, *OTHERS, **options)) for xi in x]
        axes.plot(x, slopes, style, label=name)
    axes.set_yscale("log")
    axes.set_ylim(1e-5, 3)
    axes.set_xlabel("the largest logit; the others are 0 and −3")
    axes.set_ylabel("∂y/∂x of the largest")
    axes.legend()
