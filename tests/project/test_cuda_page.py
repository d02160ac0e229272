"""The page about NVIDIA GPUs says what the committed results and the code say."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from softmax_variants_backends._axes import MAX_AXES
from softmax_variants_backends._cuda import CLAIMS
from softmax_variants_backends._cuda._launch import Limits
from softmax_variants_backends._cuda._plan import MAX_PARTS, STRIDED_BYTES, path_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/results"
PAGE = (ROOT / "docs/cuda.md").read_text(encoding="utf-8")
DTYPES = {"float16", "bfloat16", "float32", "float64"}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return json.loads((FOLDER / "cuda-h100.json").read_text(encoding="utf-8"))


def test_tables_are_those_of_the_results() -> None:
    printed = subprocess.run(
        [sys.executable, FOLDER / "cuda_table.py"], check=True, capture_output=True, text=True
    ).stdout.strip()
    between = PAGE.split("cuda_table.py -->")[1].split("<!-- end -->")[0]
    assert printed.count("### ") == 7
    assert between.strip() == printed


def test_nothing_went_wrong(results: dict[str, Any]) -> None:
    assert set(results) == {"bits", "benchmark", "sanitize"}
    for name, part in results.items():
        assert not part.get("failures"), name
        assert all("failure" not in row for row in part["rows"]), name
        assert part["environment"]["device"].startswith("NVIDIA H100"), name
        assert part["command"].startswith("python docs/results/cuda_h100.py "), name


def test_libraries_agree(results: dict[str, Any]) -> None:
    rows = results["bits"]["rows"]
    assert {row["dtype"] for row in rows} == DTYPES
    # bfloat16 is PyTorch's alone.
    pairs = {(row["dtype"], row["between"][1]) for row in rows}
    assert {dtype for dtype, other in pairs if other == "CuPy"} == DTYPES - {"bfloat16"}
    for row in rows:
        if row["between"] == ["PyTorch", "CuPy"]:
            assert row["differing"] == 0, row
        if row["inputs"] == "random":
            wanted = 10**8 if row["result"] == "weights" else 10**7
            assert row["elements"] >= wanted or row["result"] in {"ds", "db"}, row


def test_narrow_weights_are_those_of_the_array_api_numerics(results: dict[str, Any]) -> None:
    """All but one in a million: both are within 2^-13 ULP of the nearest number."""
    for row in results["bits"]["rows"]:
        if row["inputs"] == "random" and row["result"] == "weights" and row["dtype"] != "float64":
            assert row["differing"] - row["zeros"] <= 1e-6 * row["elements"], row
            assert row["largest_ulp"] <= 1, row


def test_sanitizers_find_nothing(results: dict[str, Any]) -> None:
    rows = results["sanitize"]["rows"]
    assert {row["tool"] for row in rows} == {"memcheck", "racecheck"}
    for dtype in DTYPES:
        for tool in ("memcheck", "racecheck"):
            assert any(row["tool"] == tool and f" {dtype}" in row["arguments"] for row in rows)
    assert all(row["errors"] == 0 and row["calls"] > 0 for row in rows)


def test_paths_are_those_of_the_plan() -> None:
    limits = Limits(capability=(9, 0), shared=227 << 10)
    weights, gradients = limits.capacity
    assert weights == gradients
    assert f"up to {weights:,} entries (16-bit weights: {2 * weights:,})" in PAGE
    half = weights // 2
    assert f"parts of {weights:,} entries, in float32 {half:,}" in PAGE
    for gradients_too in (False, True):
        for item_size, entries in ((2, weights), (4, half)):
            for parts in (4, 8, 16):
                path = path_of(parts * entries, item_size, limits, gradients=gradients_too)
                assert (path.parts, path.part_length) == (parts, entries)
        for item_size in (2, 4):
            path = path_of(32 * weights, item_size, limits, gradients=gradients_too)
            assert (path.parts, path.split) == (16, False)
        assert path_of(weights, 4, limits, gradients=gradients_too).parts == 1
        assert path_of(weights + 1, 4, limits, gradients=gradients_too).parts == 4
    for gradients_too, most in ((False, 2 * weights), (True, weights)):
        assert path_of(most, 2, limits, gradients=gradients_too).parts == 1
        assert path_of(most + 1, 2, limits, gradients=gradients_too).parts > 1
    assert path_of(32 * weights + 1, 4, limits, gradients=False).split
    assert path_of(weights + 1, 4, replace(limits, capability=(8, 0)), gradients=False).split
    assert f"| to {2 * MAX_PARTS * weights:,} | a cluster of 2 to {MAX_PARTS} blocks" in PAGE
    assert f"{limits.worthwhile:,} entries or more" in PAGE
    assert f"{STRIDED_BYTES} bytes of them" in PAGE
    assert f"up to {MAX_AXES} axes" in PAGE


def test_claims_are_those_of_the_backend() -> None:
    for (_, dtype), claim in CLAIMS.items():
        assert claim == ("tight" if dtype == "float64" else 0.5 + 2.0**-15)
    assert "at most 1/2 + 2^-15 ULP" in PAGE
    assert "class tight" in PAGE


def test_extras_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in ("cuda12", "cuda13"):
        assert re.search(rf"^{extra} = ", project, re.MULTILINE)
        assert extra in PAGE


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[)#]", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_a_tally_counts_what_differs() -> None:
    import torch

    spec = importlib.util.spec_from_file_location(
        "cuda_h100_differences", FOLDER / "cuda_h100_differences.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = torch.tensor([1.0, -2.0, 0.0, torch.nan, 5.0, torch.nan], dtype=dtype)
        eps = torch.finfo(dtype).eps
        y = torch.tensor([1 + 3 * eps, -2 + eps, -0.0, -torch.nan, 5.0, 1.0], dtype=dtype)
        tally = module.Tally()
        tally.add(x, y, "here")
        counted = (tally.elements, tally.differing, tally.zeros, tally.nans, tally.beyond_one)
        assert counted == (6, 4, 1, 1, 1)
        assert tally.largest_ulp == 3
        assert [one["index"] for one in tally.first] == [0, 1, 2, 5]
        assert [one["ulp"] for one in tally.first] == [3, 1, 0, None]
    ends = torch.tensor([-torch.finfo(torch.float64).max], dtype=torch.float64)
    assert int(module.distances(ends, -ends)[0]) == 2 * 0x7FEFFFFFFFFFFFFF


def test_commands_are_those_of_the_script() -> None:
    tree = ast.parse((FOLDER / "cuda_h100.py").read_text(encoding="utf-8"))
    (parts,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PARTS"
    ]
    (named,) = re.findall(r"^python docs/results/cuda_h100.py (.*)$", PAGE, re.MULTILINE)
    assert sorted(named.split()) == sorted(parts)
