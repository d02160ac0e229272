"""Draw how softmax variants find a needle in haystacks longer than those they were trained on.

Run ``python docs/figures/needle.py`` with the extra ``docs`` installed. It draws
``docs/figures/needle.svg`` from ``docs/results/needle.json``, which
``examples/needle_in_a_haystack/train.py`` wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import PercentFormatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs/results/needle.json"
FIGURE = ROOT / "docs/figures/needle.svg"

sys.path.insert(0, str(ROOT / "examples/needle_in_a_haystack"))
from summary import NAMES  # noqa: E402

COLOURS = {
    "softmax": "#c1553b",
    "softmax_then_ssmax": "#d9a441",
    "ssmax": "#1f7a4d",
    "ssmax_bias": "#7fb069",
    "ssmax_fixed": "#4aa3a2",
    "sa_softmax": "#5d7fb3",
    "sa_softmax_plain": "#9a7bb0",
}


def band(axes: Axes, variant: str, x: Sequence[float], seeds: Sequence[Sequence[float]]) -> None:
    """Draw the mean over the seeds, and from the least to the largest."""
    at_each = [*zip(*seeds, strict=True)]
    mean = [sum(values) / len(values) for values in at_each]
    style = {"color": COLOURS[variant], "linestyle": "--" if "then" in variant else "-"}
    axes.plot(x, mean, label=NAMES[variant], linewidth=1.8, **style)
    least, largest = ([end(values) for values in at_each] for end in (min, max))
    axes.fill_between(x, least, largest, color=COLOURS[variant], alpha=0.15, linewidth=0)


def draw(results: dict[str, Any], figure_file: Path) -> None:
    """Draw what ``train.py`` wrote."""
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "needle", "svg.fonttype": "path"})
    figure, panels = plt.subplot_mosaic(
        [["length"] * 3 + ["share"] * 3, ["depth"] * 2 + ["step"] * 2 + ["loss"] * 2],
        figsize=(9.2, 6.2),
        layout="constrained",
    )
    figure.patch.set_facecolor("white")
    lengths, settings = results["lengths"], results["settings"]
    for variant in NAMES:
        runs = [run for run in results["runs"] if run["variant"] == variant]
        if not runs:
            continue
        steps = [*map(int, runs[0]["accuracy"])]
        last = str(steps[-1])
        parts = len(runs[0]["by_depth"][-1])
        middles = [(part + 0.5) / parts for part in range(parts)]
        band(panels["length"], variant, lengths, [run["accuracy"][last] for run in runs])
        band(panels["share"], variant, lengths, [run["needle_share"] for run in runs])
        band(panels["depth"], variant, middles, [run["by_depth"][-1] for run in runs])
        trained = [[at_lengths[-1] for at_lengths in run["accuracy"].values()] for run in runs]
        band(panels["step"], variant, steps, trained)
        if runs[0]["loss"]:
            averaged = settings["steps"] / len(runs[0]["loss"])
            ends = [averaged * (i + 1) for i in range(len(runs[0]["loss"]))]
            band(panels["loss"], variant, ends, [run["loss"] for run in runs])

    trained_at, longest = settings["length"], lengths[-1]
    titles = {
        "length": f"needles found, trained at length {trained_at}",
        "share": "the needle's share of attention, best head",
        "depth": f"needles found at {longest}, by depth",
        "step": f"needles found at {longest}, in training",
        "loss": f"training loss, length {trained_at}",
    }
    for name, title in titles.items():
        panels[name].set_title(title, fontsize=9.5)
        panels[name].grid(visible=True, alpha=0.25)
        panels[name].spines[["top", "right"]].set_visible(False)
    for name in ("length", "share"):
        panels[name].set_xscale("log", base=2)
        panels[name].set_xticks(lengths, [str(length) for length in lengths])
        panels[name].minorticks_off()
        panels[name].set_xlabel("length")
    for name in ("length", "share", "depth", "step"):
        panels[name].yaxis.set_major_formatter(PercentFormatter(1.0))
    panels["share"].set_ylim(bottom=0)
    panels["depth"].set_xlim(0, 1)
    panels["depth"].set_xlabel("needle's place: 0 start, 1 next to the question")
    for name in ("step", "loss"):
        panels[name].set_xlabel("step")
    panels["loss"].set_yscale("log")
    handles, labels = panels["length"].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(figure_file, metadata={"Date": None})


def main() -> None:
    """Draw the committed results, or others."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--results", type=Path, default=DATA, help="file that train.py wrote")
    parser.add_argument("--out", type=Path, default=FIGURE, help="figure to write")
    options = parser.parse_args()
    draw(json.loads(options.results.read_text(encoding="utf-8")), options.out)


if __name__ == "__main__":
    main()
