"""The page on judging an implementation says what the command and the plugin do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from softmax_variants_spec.conformance.checks import entries
from softmax_variants_spec.conformance.expected import ExpectedFailures
from softmax_variants_spec.conformance.runner import ids
from softmax_variants_spec.conformance.settings import Settings
from softmax_variants_spec.conformance.subject import load_subject
from softmax_variants_spec.conformance.variants import VARIANTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")


def test_options_are_those_of_the_command() -> None:
    command = [sys.executable, "-m", "softmax_variants", "conformance", "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    options = {*re.findall(r"--[a-z-]+", text)} - {"--help"}
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `--"))
    assert {*re.findall(r"--[a-z-]+", table)} == options


def test_kinds_are_those_of_the_suite() -> None:
    kinds = {entry.kind for variant in VARIANTS for entry in entries(variant, smoke=False)}
    table = re.search(r"\| kind \|.*?\n\n", PAGE, re.DOTALL)
    assert table is not None
    assert {*re.findall(r"^\| `([a-z-]+)` \|", table[0], re.MULTILINE)} == kinds


def test_settings_can_be_used(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "my.conformance.toml"
    path.write_text(text, encoding="utf-8")
    values = Settings.read(path).values
    known = ExpectedFailures.of(values["expected-failures"], "the page")
    known.check(ids(load_subject("numpy")))
    assert len(known.reasons) == 2


def test_statuses_are_those_of_outcomes() -> None:
    source = ROOT / "spec/softmax_variants_spec/conformance/outcome.py"
    said = re.search(r"status: str\n\s+\"\"\"(.*?)\"\"\"\n", source.read_text("utf-8"), re.DOTALL)
    assert said is not None
    for status in re.findall(r"\"([a-z ]+)\"", said[1]):
        assert f"`{status}`" in PAGE, status


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", PAGE))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()
