"""Measure errors of softmax in float32 on a GPU against the distance from the largest logit.

``python docs/figures/errors_by_distance_gpu.py`` with QuACK (``quack-kernels``), PyTorch and this
repository on the path writes ``docs/results/errors-by-distance-gpu.json``: the rows of
``errors_by_distance.py``, whose figure shows QuACK, too.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import torch
from quack.softmax import softmax_fwd
from rows_by_distance import largest_errors, logits, what_they_are

import softmax_variants as sv

DATA = Path(__file__).resolve().parents[2] / "docs/results/errors-by-distance-gpu.json"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA, metavar="FILE")
    arguments = parser.parse_args()
    x = logits()
    on_device = torch.from_numpy(x).cuda()
    results = {
        "quack.softmax": softmax_fwd(on_device),
        "torch.softmax": torch.softmax(on_device, dim=1),
        "softmax_variants.softmax": sv.softmax(on_device),
    }
    found = what_they_are() | {
        "largest error in ULP": largest_errors(
            x, {name: y.cpu().numpy() for name, y in results.items()}
        ),
        "device": torch.cuda.get_device_name(),
        "versions": {package: version(package) for package in ("quack-kernels", "torch")},
    }
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
