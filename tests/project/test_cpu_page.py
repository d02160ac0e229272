"""The page about CPUs says what the committed results and the code say."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cpu_support.random_rows import DISTRIBUTIONS, Block
from cpu_support.timed_calls import COPY, FUNCTIONS, SHAPES, TORCH
from softmax_variants._cpu_status import NUMBA_MINIMUM
from softmax_variants_backends._axes import MAX_AXES
from softmax_variants_backends._cpu import CLAIMS, _wide_facts
from softmax_variants_backends._cpu._intrinsics import LANES
from softmax_variants_backends._cpu._layout import BAND_ROWS, BLOCK
from softmax_variants_backends._cpu._plan import GRAIN, WHOLE_LENGTH
from softmax_variants_backends._cpu._short_tiles import SHORT_LENGTH
from softmax_variants_backends._cpu._walk import STREAMED_BYTES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/results"
PAGE = (ROOT / "docs/cpu.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
DTYPES = {"float16", "bfloat16", "float32", "float64"}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return json.loads((FOLDER / "cpu-benchmark.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def accuracy() -> dict[str, Any]:
    return json.loads((FOLDER / "cpu-accuracy.json").read_text(encoding="utf-8"))


def test_tables_are_those_of_the_results() -> None:
    printed = subprocess.run(
        [sys.executable, FOLDER / "cpu_table.py"], check=True, capture_output=True, text=True
    ).stdout.strip()
    between = PAGE.split("cpu_table.py -->")[1].split("<!-- end -->")[0]
    assert printed.count("### ") == 5
    assert between.strip() == printed


def test_all_is_timed(results: dict[str, Any]) -> None:
    rows = results["speed"]["rows"]
    found = {
        (tuple(row["shape"]), row["axis"], row["dtype"], row["direction"], row["name"])
        for row in rows
    }
    wanted = {
        (*case, dtype, direction, name)
        for case in SHAPES
        for dtype in DTYPES
        for direction in ("forward", "backward")
        for name in (COPY, TORCH, *FUNCTIONS)
    }
    assert wanted <= found
    peers = {"scipy.special.softmax", "jax.nn.softmax"}
    peers |= {
        f"{name}, {how}" for name in ("ssmax", "sa_softmax") for how in ("NumPy", "torch.compile")
    }
    assert peers <= {row["name"] for row in rows}
    assert all(len(row["rounds"]) >= 3 for row in rows)
    for name, part in results.items():
        assert part["command"] == f"python docs/results/cpu_benchmark.py --only {name}"
        versions = part["environment"]
        assert all(versions[library] for library in ("numpy", "numba", "torch", "scipy", "jax"))
        assert {"model", "cores", "caches", "simd"} <= set(versions["processor"])


def test_errors_are_those_of_the_results() -> None:
    printed = subprocess.run(
        [sys.executable, FOLDER / "cpu_accuracy_table.py"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    between = PAGE.split("cpu_accuracy_table.py -->")[1].split("<!-- end -->")[0]
    assert printed.count("\n\n|") == 2
    assert between.strip() == printed


def test_random_rows_keep_the_claims(accuracy: dict[str, Any]) -> None:
    assert accuracy["command"] == "python docs/results/cpu_accuracy.py"
    rows = accuracy["rows"]
    kinds = {(row["dtype"], row["function"], row["distribution"]) for row in rows}
    assert kinds == set(itertools.product(DTYPES, FUNCTIONS, DISTRIBUTIONS))
    counts = dict.fromkeys(DTYPES, 0)
    for row in rows:
        claim = CLAIMS[row["function"].split()[0], row["dtype"]]
        weights = row["weights"]
        counts[row["dtype"]] += weights["elements"]
        assert weights["ulp"] <= (4 if claim == "tight" else claim)
        assert row["dx"]["elements"] == weights["elements"]
        for kind in ("dx", "ds", "db") if row["function"] == "ssmax" else ("dx",):
            # The class tight allows four times as much as faithful, or more.
            assert row[kind]["of faithful"] <= (4 if claim == "tight" else 1)
    assert counts.pop("float32") >= 10**8
    assert min(counts.values()) >= 10**7
    evaluation = accuracy["log2 of errors of the evaluation"]
    assert evaluation["elements"] > 10_000
    assert max(evaluation[kind] for kind in ("weights", "dx", "ds", "db")) < -90


def test_random_rows_can_be_made_again(accuracy: dict[str, Any]) -> None:
    rows = [row for row in accuracy["rows"] if row["dtype"] == "float32"]
    for row in rows[:: len(DISTRIBUTIONS)]:
        worst = row["weights"]["worst"]
        own = (row["function"], row["distribution"], worst["length"], worst["rows"])
        block = Block("float32", *own)
        assert block.seed == worst["seed"]
        x = block.make().x[worst["row"]]
        found = (float(v).hex() for v in (x[worst["entry"]], x.min(), x.max()))
        assert tuple(found) == (worst["x"], worst["min"], worst["max"])


def test_all_kernels_are_compiled(results: dict[str, Any]) -> None:
    names = {
        f"{function}{direction} {dtype}"
        for function in ("softmax", "ssmax", "sa_softmax")
        for direction in ("", "_vjp")
        for dtype in DTYPES
    }
    assert set(results["compile"]["compiled"]) == set(results["compile"]["loaded"]) == names


def test_numbers_are_those_of_the_code() -> None:
    assert f"| up to {SHORT_LENGTH} entries | {LANES} at a time" in TEXT
    assert f"| up to {WHOLE_LENGTH:,} entries | one at a time" in TEXT
    assert f"blocks of {BLOCK:,} entries" in TEXT
    assert f"| {BAND_ROWS} neighbouring rows are copied together" in TEXT
    assert f"{LANES} sums side by side" in TEXT
    assert f"in vectors of {LANES} numbers" in TEXT
    assert f"Results of {STREAMED_BYTES >> 20} MiB and more" in TEXT
    assert f"Each gets {GRAIN:,} entries at least" in TEXT
    assert f"more than {MAX_AXES} axes" in TEXT


def test_ends_of_the_range_are_those_of_the_code() -> None:
    powers = {"_LARGE": 200, "_SMALL": -200, "_LARGEST": 1022, "_LEAST": -900}
    for name, power in powers.items():
        assert getattr(_wide_facts, name) == 2.0**power
        assert f"2^{power}" in TEXT


def test_claims_are_those_of_the_backend() -> None:
    for (_, dtype), claim in CLAIMS.items():
        assert claim == ("tight" if dtype == "float64" else 0.5 + 2.0**-18)
    assert "at most 1/2 + 2^-18 ULP" in TEXT
    assert "class tight" in TEXT


def test_extra_is_that_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'cpu = ["numba>={NUMBA_MINIMUM}"]' in project
    assert "softmax-variants[cpu]" in PAGE
    assert f"Numba ({NUMBA_MINIMUM} or newer)" in PAGE


def test_links_lead_somewhere() -> None:
    titles = {
        title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    for target, title in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
        assert target or title in titles, title
