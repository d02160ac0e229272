"""The page about PyTorch says what the committed results say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/pytorch.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "docs/results/attention-h100.json").read_text(encoding="utf-8"))


def test_tables_are_those_of_the_results() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "docs/results/attention_table.py"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert len(printed.splitlines()) == 11 + 2 + 1 + 2 + 6  # rows, heads, a line between
    assert printed.strip() in PAGE


def test_errors_hold_and_lie_where_the_page_says() -> None:
    low, high = map(float, re.findall(r"errors are ([\d.]+) to ([\d.]+) of that bound", PAGE)[0])
    shares = [
        row["error"] / (2.0 * row["as_written"] + row["rounding"])
        for row in RESULTS["check"]["errors"]
        if row["error"] > 0.0
    ]
    assert max(shares) <= 1.0
    largest: dict[tuple[object, ...], float] = {}
    for row in RESULTS["check"]["errors"]:
        key = tuple(row[name] for name in ("dtype", "dim", "form", "detach_extrema", "tensor"))
        bound = 2.0 * row["as_written"] + row["rounding"]
        largest[key] = max(largest.get(key, 0.0), row["error"] / bound if bound else 0.0)
    assert (round(min(largest.values()), 2), round(max(largest.values()), 2)) == (low, high)
    assert all(row["same_bits"] for row in RESULTS["check"]["errors"])


def test_other_ratios_of_the_page() -> None:
    times = {(row["name"], *row["shape"]): row for row in RESULTS["time"]}
    for form, text in (
        ("normalized", r"take ([\d.]+) to ([\d.]+) times"),
        ("plain", r"form ([\d.]+) to ([\d.]+) times"),
    ):
        name = f"sa_softmax {form} over FlexAttention calls"
        slower = [1.0 / row["inference"]["ratio"] for key, row in times.items() if key[0] == name]
        (found,) = re.findall(text, PAGE)
        assert [round(min(slower), 1), round(max(slower), 1)] == [float(each) for each in found]
    peak = times[("sa_softmax normalized", 1, 16, 16384, 128)]["peak_GiB"]
    assert abs(peak - 1 / 3) < 0.02
