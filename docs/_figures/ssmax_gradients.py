"""Derivatives of SSMax's largest weight by its logit and by s: both fade as it nears 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exact_values import derivative, scale_derivative, ssmax

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

LENGTHS = (4, 16, 64)


def draw(figure: Figure) -> None:
    """Draw them against the distance of the largest logit from the others."""
    figure.set_size_inches(5.6, 5.2)
    by_logit, by_scale = figure.subplots(2, 1, sharex=True)
    gaps = np.linspace(0.0, 4.0, 61)
    for n in LENGTHS:
        rows = [(gap, *(0.0,) * (n - 1)) for gap in gaps]
        by_logit.plot(
            gaps, [float(derivative(ssmax, 0, 0, *row)) for row in rows], label=f"n = {n}"
        )
        by_scale.plot(gaps, [float(scale_derivative(0, *row)) for row in rows], label=f"n = {n}")
    by_logit.set_title("∂y/∂x of the largest, s = 1", fontsize=10)
    by_scale.set_title("∂y/∂s of the largest, s = 1", fontsize=10)
    by_scale.set_xlabel("its distance from the others")
    by_logit.legend()
