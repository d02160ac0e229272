"""Measure errors of SSMax in float32 by where the logits lie, and by the order of its operations.

Run ``python docs/figures/scaling_order.py`` with the extra ``test`` installed. It writes
``docs/results/scaling-order.json``; the page on accuracy draws it.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

import softmax_variants as sv
from softmax_variants_spec import bulk
from softmax_variants_spec.formats import FORMATS

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs/results/scaling-order.json"
SEED, ROWS, LENGTH, SPREAD, SCALE, COUNT = 2503, 500, 16, 2.0, 0.43, 4096
CENTRES = (0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)


def normalized(z: np.ndarray) -> np.ndarray:
    """Return exponentials over their sum."""
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def implementations(x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the weights by each order, all in float32, and by this library."""
    c = np.float32(SCALE * np.log(COUNT))
    scaled = c * x
    return {
        "scaled, then shifted": normalized(scaled - scaled.max(axis=1, keepdims=True)),
        "shifted, then scaled": normalized(c * (x - x.max(axis=1, keepdims=True))),
        "softmax_variants.ssmax": sv.ssmax(x, SCALE, n=COUNT),
    }


def main() -> None:
    """Measure and write."""
    rng = np.random.default_rng(SEED)
    largest: dict[str, list[float]] = {}
    for centre in CENTRES:
        x = (centre + rng.uniform(-SPREAD / 2, SPREAD / 2, (ROWS, LENGTH))).astype(np.float32)
        exact = bulk.weights("ssmax", x.astype(np.float64), FORMATS["float32"], s=SCALE, n=COUNT)
        for name, y in implementations(x).items():
            steps = np.ldexp(y.astype(np.float64) - exact.rounded, -exact.ulp_exponent)
            error = float(np.abs(steps - exact.residual).max())
            largest.setdefault(name, []).append(float(f"{error:.5g}"))
    data = {
        "command": "python docs/figures/scaling_order.py",
        "seed": SEED,
        "rows": ROWS,
        "length": LENGTH,
        "spread": SPREAD,
        "s": SCALE,
        "n": COUNT,
        "dtype": "float32",
        "centre": list(CENTRES),
        "largest error in ULP": largest,
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {"numpy": version("numpy")},
    }
    DATA.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
