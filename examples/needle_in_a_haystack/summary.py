"""Print the results of ``train.py`` as a table: ``python summary.py needle.json``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

__all__ = ["NAMES", "main", "table"]

NAMES = {
    "softmax": "softmax",
    "softmax_then_ssmax": "softmax, then SSMax",
    "ssmax": "SSMax, s learned",
    "ssmax_bias": "SSMax, s and b learned",
    "ssmax_fixed": "SSMax, s = 1",
    "sa_softmax": "SA-Softmax, normalized",
    "sa_softmax_plain": "SA-Softmax, plain",
}
"""What people call the variants."""


def table(results: dict[str, Any]) -> str:
    """Return accuracy after training as Markdown: a row for each variant, a column for each length.

    Parameters
    ----------
    results : dict
        What ``train.py`` wrote.

    Returns
    -------
    str
        Percentages: the mean over the seeds and, where they differ, the least and the largest.
    """
    head = ["| trained with", *(f"length {length}" for length in results["lengths"])]
    lines = [" | ".join(head) + " |", "|---" * len(head) + "|"]
    for variant, name in NAMES.items():
        runs = [run["accuracy"] for run in results["runs"] if run["variant"] == variant]
        if runs:
            last = [run[max(run, key=int)] for run in runs]
            cells = [_cell([100 * a for a in at_length]) for at_length in zip(*last, strict=True)]
            lines.append(" | ".join([f"| {name}", *cells]) + " |")
    return "\n".join(lines)


def _cell(percentages: list[float]) -> str:
    mean = f"{sum(percentages) / len(percentages):.1f}"
    least, largest = f"{min(percentages):.1f}", f"{max(percentages):.1f}"
    return mean if least == largest else f"{mean} ({least}–{largest})"


def main() -> None:
    """Print the table of a file."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("results", type=Path, help="file that train.py wrote")
    print(table(json.loads(parser.parse_args().results.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
