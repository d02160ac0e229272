"""The README's commands are those that CI runs, its example runs, its links lead somewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from transformers_support.small_models import small_model

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_two_commands():
    main_job, tests = _blocks("sh")
    assert main_job.rstrip().endswith("softmax-variants conformance numpy")
    assert tests.rstrip().endswith("pytest -n 2")
    for command in (main_job, tests):
        assert command.startswith("python3 -m venv .venv && ")
        assert "--constraint constraints.txt" in command
        assert command.count("\n") == 1


def test_ci_runs_the_readme_s_test_command_first():
    command = _blocks("sh")[1].strip()
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert lines[:3] == [
        "set -euo pipefail",
        'cd "$(dirname "${BASH_SOURCE[0]}")/.."',
        "rm -rf .venv",
    ]
    assert lines[3:] == [command, ".ci/extra"]


def test_example_runs_and_says_what_it_does():
    code = _blocks("python")[0]
    names: dict[str, object] = {}
    for line in code.splitlines():
        exec(line, names)
        if line.startswith("w = "):
            w = np.asarray(names["w"])
            assert w.dtype == np.float32
            assert w.shape == (2, 4)
            assert (w[1, 2:] == 0).all()
    assert names["dx"].shape == (2, 4)
    assert names["ds"].shape == names["db"].shape == ()


def test_attention_examples_run():
    _, attention, replacement = _blocks("python")
    names: dict[str, object] = {}
    exec(attention, names)
    assert names["out"].shape == names["q"].shape
    model = names["model"] = small_model("llama")
    exec(replacement, names)
    assert names["model"] is model
    parameters = [name for name, _ in model.named_parameters() if name.endswith("_variant.s")]
    assert len(parameters) == model.config.num_hidden_layers


def test_table_is_that_of_the_reports():
    printed = subprocess.run(
        [sys.executable, ROOT / "docs/results/table.py"], check=True, capture_output=True, text=True
    ).stdout
    assert printed in README


def test_every_report_is_named_with_its_command():
    results = ROOT / "docs/results"
    described = (results / "README.md").read_text(encoding="utf-8")
    for file in results.glob("*.json"):
        assert f"`{file.name}`" in described, file.name


def test_every_report_holds_and_is_whole():
    for file in (ROOT / "docs/results").glob("conformance-*.json"):
        report = json.loads(file.read_text(encoding="utf-8"))
        assert report["holds"], file.name
        assert not report["smoke"], file.name


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_links_lead_somewhere(text: str):
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    for target in targets:
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_constraints_pin_what_the_extras_name():
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.split("[project.optional-dependencies]")[1].split("[project.scripts]")[0]
    named = set(re.findall(r'"([a-z][a-z0-9-]*)[>=]', section))
    # The extras for GPUs, which differ by CUDA's version.
    assert named - set(pins) == {"cuda-bindings", "cupy-cuda12x", "cupy-cuda13x"}
    assert pins["torch"] == "2.13.0"
