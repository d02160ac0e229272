"""Draw errors of softmax in float32 against the distance from the largest logit.

Run ``python docs/figures/errors_by_distance.py`` with the extras ``test`` and ``docs`` installed.
It measures, writes the data to ``docs/results/errors-by-distance.json`` and draws
``docs/figures/errors-by-distance.svg`` from it; ``--draw`` draws from the committed data only.
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

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs/results/errors-by-distance.json"
FIGURE = ROOT / "docs/figures/errors-by-distance.svg"
SEED, ROWS, LENGTH, SPREAD, BINS = 2502, 4000, 64, 83.0, 58


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
    from softmax_variants_spec import bulk
    from softmax_variants_spec.formats import FORMATS

    rng = np.random.default_rng(SEED)
    # All weights are normal numbers, e^-83/64 the smallest: JAX makes others 0, as XLA does.
    # Largest logits from -20 to 20: the others cross binades and signs on their way down.
    top = rng.uniform(-20.0, 20.0, (ROWS, 1))
    x = (top - rng.uniform(0.0, SPREAD, (ROWS, LENGTH))).astype(np.float32)
    exact = bulk.weights("softmax", x.astype(np.float64), FORMATS["float32"])
    distance = x.max(axis=1, keepdims=True).astype(np.float64) - x
    bins = np.minimum((distance / SPREAD * BINS).astype(int), BINS - 1)
    results = {
        "exp(x - max) / sum in NumPy": plain(x),
        "scipy.special.softmax": scipy.special.softmax(x, axis=1),
        "torch.softmax": torch.softmax(torch.from_numpy(x), dim=1).numpy(),
        "jax.nn.softmax": np.asarray(jax.nn.softmax(x, axis=1)),
        "softmax_variants.softmax": sv.softmax(x),
    }
    largest = {}
    for name, y in results.items():
        steps = np.ldexp(y.astype(np.float64) - exact.rounded, -exact.ulp_exponent)
        errors = np.abs(steps - exact.residual)
        largest[name] = [round(float(errors[bins == i].max()), 4) for i in range(BINS)]
    packages = ("numpy", "scipy", "torch", "jax")
    return {
        "seed": SEED,
        "rows": ROWS,
        "length": LENGTH,
        "dtype": "float32",
        "distance": [round((i + 0.5) * SPREAD / BINS, 4) for i in range(BINS)],
        "largest error in ULP": largest,
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {package: version(package) for package in packages},
    }


def draw(data: dict[str, object]) -> None:
    """Draw the committed data."""
    colours = ["#c1553b", "#d9a441", "#5d7fb3", "#9467bd", "#1f7a4d"]
    plt.rcParams.update({"font.size": 10, "svg.hashsalt": "softmax", "svg.fonttype": "path"})
    figure, axes = plt.subplots(figsize=(7.6, 3.5), layout="constrained")
    figure.patch.set_facecolor("white")
    largest = data["largest error in ULP"]
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
    draw(json.loads(DATA.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
