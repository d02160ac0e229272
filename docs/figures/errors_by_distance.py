"""Draw errors of softmax in float32 against the distance from the largest logit.

Run ``python docs/figures/errors_by_distance.py`` with the extras ``test`` and ``docs`` installed.
It measures, writes the data to ``docs/results/errors-by-distance.json`` and draws
``docs/figures/errors-by-distance.svg`` from it and from ``errors-by-distance-gpu.json``; with
``--draw`` it draws from the committed data only.
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("svg")
import matplotlib.pyplot as plt
from rows_by_distance import SPREAD, largest_errors, logits, what_they_are

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs/results/errors-by-distance.json"
GPU_DATA = ROOT / "docs/results/errors-by-distance-gpu.json"
FIGURE = ROOT / "docs/figures/errors-by-distance.svg"


def plain(x: np.ndarray) -> np.ndarray:
    """Return exp(x - max) / sum, as it is usually written."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def measure() -> dict[str, object]:
    """Return the largest error in ULP of each implementation, by distance from the maximum."""
    import jax
    import scipy.special
    import torch

    import softmax_variants as sv

    x = logits()
    results = {
        "exp(x - max) / sum in NumPy": plain(x),
        "scipy.special.softmax": scipy.special.softmax(x, axis=1),
        "torch.softmax": torch.softmax(torch.from_numpy(x), dim=1).numpy(),
        "jax.nn.softmax": np.asarray(jax.nn.softmax(x, axis=1)),
        "softmax_variants.softmax": sv.softmax(x),
    }
    packages = ("numpy", "scipy", "torch", "jax")
    return what_they_are() | {
        "largest error in ULP": largest_errors(x, results),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {package: version(package) for package in packages},
    }


def draw() -> None:
    """Draw the committed data, and QuACK's, which was measured on a GPU."""
    data, on_gpu = (json.loads(path.read_text(encoding="utf-8")) for path in (DATA, GPU_DATA))
    colours = ["#c1553b", "#d9a441", "#5d7fb3", "#9467bd", "#6b6b6b", "#1f7a4d"]
    plt.rcParams.update({"font.size": 10, "svg.hashsalt": "softmax", "svg.fonttype": "path"})
    figure, axes = plt.subplots(figsize=(7.6, 3.5), layout="constrained")
    figure.patch.set_facecolor("white")
    largest = dict(data["largest error in ULP"])
    ours_last = largest.popitem()
    largest["quack.softmax"] = on_gpu["largest error in ULP"]["quack.softmax"]
    largest.update([ours_last])
    for (name, errors), colour in zip(largest.items(), colours, strict=True):
        ours = name.startswith("softmax_variants")
        label = f"{name}: {max(errors):.4g}" if ours else f"{name}: {max(errors):.3g}"
        axes.plot(
            data["distance"],
            errors,
            color=colour,
            label=label,
            linewidth=2.6 if ours else 1.4,
            zorder=3 if ours else 2,
        )
    axes.set_yscale("log", base=2)
    axes.set_yticks([0.5, 1, 2, 4, 8, 16, 32, 64], ["½", "1", "2", "4", "8", "16", "32", "64"])
    axes.set_xlabel("distance of the logit from the largest of its row")
    axes.set_ylabel("largest error of the weight, ULP")
    axes.set_xlim(0, SPREAD)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        title="float32, largest error in ULP",
        frameon=False,
        fontsize=9,
        loc="center right",
        bbox_to_anchor=(1.0, 0.3),
    )
    figure.savefig(FIGURE, metadata={"Date": None})


def main() -> None:
    """Measure, unless told not to, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", action="store_true", help="draw from the committed data")
    if not parser.parse_args().draw:
        DATA.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    draw()


if __name__ == "__main__":
    main()
