"""The summary in Markdown, for the logs of CI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance.cli import main
from softmax_variants_spec.conformance.expected import ExpectedFailures
from softmax_variants_spec.conformance.markdown import markdown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from softmax_variants_spec.conformance.runner import Report

    Judge = Callable[..., Report]
    Backend = Callable[..., str]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def off(x: Any, **options: Any) -> Any:
    return honest.softmax(x, **options) + x.dtype.type(0.5)


def test_backend_that_holds(judge: Judge) -> None:
    report = judge("numpy", functions=["softmax"], dtypes=["float16", "float32"])
    lines = markdown(report).splitlines()
    assert lines[0].startswith("### ✅ numpy: every claim holds; ")
    header, rule, *rows = [line for line in lines if line.startswith("|")]
    assert cells(header)[:3] == ["function", "dtype", "max ULP"]
    assert set(rule) == set("|- ")
    assert len(rule.split("|")) == len(header.split("|"))
    assert [cells(row)[:2] for row in rows] == [["softmax", "float16"], ["softmax", "float32"]]
    assert all(row.endswith("| holds |") for row in rows)
    assert "FAIL" not in markdown(report)
    assert lines[-1].startswith("python 3.")


def test_failures_with_their_lines(judge: Judge, backend: Backend) -> None:
    report = judge(backend(softmax=off), functions=["softmax"])
    text = markdown(report)
    assert text.startswith("### ❌ backend_of_a_test: ")
    assert f"| **{report.summaries[0].failed} of {report.summaries[0].total} fail** |" in text
    assert "**FAIL** `softmax/float32/values/normal`  \nNormal logits" in text
    assert "```python\nimport numpy as xp, backend_of_a_test as backend\n" in text
    assert text.count("```") % 2 == 0
    assert text.count("```python") == 10
    assert markdown(report, shown=1).count("```python") == 1


def test_expected_failures_are_listed(judge: Judge, backend: Backend) -> None:
    known = ExpectedFailures("known.toml", {"softmax/*": "it adds one half"})
    report = judge(backend(softmax=off), functions=["softmax"], expected=known)
    text = markdown(report)
    assert text.startswith("### ✅ backend_of_a_test: every claim holds but for ")
    assert "<details><summary>Expected failures</summary>\n\n- `softmax/float32/" in text
    assert "`softmax/float32/values/normal`: it adds one half\n" in text
    assert text.rstrip().count("</details>") == 1


def test_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "summary.md"
    options = ["--smoke", "--function", "softmax", "--dtype", "float32"]
    assert main(["numpy", *options, "--markdown", str(path)]) == 0
    assert f"markdown: {path}" in capsys.readouterr().out
    assert path.read_text(encoding="utf-8").startswith("### ✅ numpy: every claim holds; ")


def test_command_refuses_a_place_where_it_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["numpy", "--smoke", "--markdown", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"softmax-variants conformance: --markdown {tmp_path}: is a directory, wants a file\n"
    )
