"""Largest error by distance: a staircase for five implementations, flat for ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

OURS, OTHERS = "#2e9c66", ("#c1553b", "#5d7fb3", "#d9a441", "#9467bd", "#17a2b8")
"""Colours; each stands out on white and on black."""
RESULTS = Path(__file__).resolve().parents[1] / "results"


def draw(figure: Figure) -> None:
    """Draw the committed data."""
    data, on_gpu = (
        json.loads((RESULTS / f"errors-by-distance{kind}.json").read_text(encoding="utf-8"))
        for kind in ("", "-gpu")
    )
    axes = figure.subplots()
    curves = dict(data["largest error in ULP"])
    ours_last = curves.popitem()
    curves["quack.softmax"] = on_gpu["largest error in ULP"]["quack.softmax"]
    for (name, errors), colour in zip(curves.items(), OTHERS, strict=True):
        axes.plot(data["distance"], errors, label=name, color=colour, linewidth=1.4)
    name, errors = ours_last
    axes.plot(data["distance"], errors, label=name, color=OURS, linewidth=2.6)
    # What rounding x − max can do alone: u · 2^⌊log₂ z⌋ of the result, as many ULP at most.
    z = np.linspace(0.5, data["distance"][-1], 2000)
    bound = 2.0 ** np.floor(np.log2(z))
    axes.plot(z, bound, ":", color="#808080", label="bound on what rounding x − max adds")
    axes.set_yscale("log", base=2)
    ticks = [0.5, 1, 2, 4, 8, 16, 32, 64]
    axes.set_yticks(ticks, ["½", *(f"{tick:g}" for tick in ticks[1:])])
    axes.set_xlabel("distance of the logit from the largest of its row")
    axes.set_ylabel("largest error of the weight, ULP")
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.3), fontsize=8.5)
