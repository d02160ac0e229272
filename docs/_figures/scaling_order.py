"""Error of SSMax by the centre of the logits: scaled first it grows, shifted first it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

DATA = Path(__file__).resolve().parents[1] / "results/scaling-order.json"


def draw(figure: Figure) -> None:
    """Draw the committed data."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    axes = figure.subplots()
    for name, errors in data["largest error in ULP"].items():
        ours = name.startswith("softmax_variants")
        axes.plot(data["centre"], errors, "o-", label=name, linewidth=2.6 if ours else 1.4)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_yscale("log")
    axes.set_xlabel("centre of the logits")
    axes.set_ylabel("largest error of a weight, ULP")
    axes.legend()
