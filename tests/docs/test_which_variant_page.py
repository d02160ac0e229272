"""The examples of the page for users run, and print what the page says."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/which-variant.md"


def test_examples_run_one_after_another() -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```pycon\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) > 10
    examples = doctest.DocTestParser().get_doctest(
        "\n".join(blocks), {}, "which-variant.md", str(PAGE), 0
    )
    report: list[str] = []
    failed, tried = doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert tried > 30
    assert failed == 0, "\n".join(report)
