"""Write broken-backends.md: what the conformance suite prints of each deliberately broken backend.

Run it in the root of the repository: ``python docs/results/broken_backends.py``. It runs the smoke
part of the suite on the function at fault, as ``softmax-variants conformance`` does with
``tests/`` on the path, and leaves out only how long that took and, where many entries fail, the
lines after the one that names the fault.
"""

from __future__ import annotations

import importlib
import re
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from softmax_variants_spec.conformance.runner import Report, plan, run
from softmax_variants_spec.conformance.subject import load_subject
from softmax_variants_spec.conformance.terminal import print_report
from softmax_variants_spec.conformance.wording import alike

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.outcome import Outcome

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[1] / "tests"

HEAD = """# What the suite says of broken backends

Each backend here has one fault, on purpose. What follows is what the command prints of it, and then
what the fault is: can you name it before you read that? `python docs/results/broken_backends.py`
wrote this page; `tests/conformance/test_conformance_broken_backends.py` holds the messages.
"""

_MORE = 4
"""Failures that are shown in one line each after the one that names the fault."""


class _Silent:
    """A progress that tells nothing."""

    def start(self, total: int) -> None:
        """Take no notice."""

    def step(self, what: str, outcome: Outcome | None = None) -> None:
        """Take no notice."""


def output(report: Report, named: set[str]) -> str:
    """Return what is printed of a run, cut after the failure that names the fault."""
    groups = alike(report)
    naming = [
        position
        for position, (_, outcomes) in enumerate(groups)
        if named & {outcome.id.split("/", maxsplit=2)[2] for outcome in outcomes}
    ]
    stream = StringIO()
    print_report(report, Console(file=stream, width=100), shown=naming[0] + 1)
    text = re.sub(r", [\d.]+ s$", "", stream.getvalue().rstrip())
    lines = [line.rstrip() for line in text.splitlines()]
    single = [i for i, line in enumerate(lines) if re.match(r"FAIL \S+.*: ", line)]
    if len(single) > _MORE:
        left_out = f"... {len(single) - _MORE} more failures"
        lines[single[_MORE] : single[-1] + 1] = [left_out]
    return "\n".join(lines)


def section(module: str, function: str, dtype: str, named: set[str]) -> str:
    """Return the section of one broken backend."""
    name = f"broken_backends.{module}"
    report = run(
        plan(load_subject(name), functions=[function], dtypes=[dtype], smoke=True), _Silent()
    )
    fault = " ".join((importlib.import_module(name).__doc__ or "").split())
    command = f"softmax-variants conformance {name} --smoke --function {function} --dtype {dtype}"
    shown = f"```text\n$ {command}\n{output(report, named)}\n```"
    return f"## `{module}`, {function}\n\n{shown}\n\n{fault}\n"


def main() -> None:
    """Write the page."""
    # In place of the folder of this script, whose name is that of the package it is about.
    sys.path[0] = str(TESTS)
    catalogue = importlib.import_module("broken_backends.catalogue")
    sections = [
        section(broken.module, broken.function, broken.dtype, set(broken.named))
        for broken in catalogue.BROKEN
    ]
    (HERE / "broken-backends.md").write_text("\n".join([HEAD, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main()
