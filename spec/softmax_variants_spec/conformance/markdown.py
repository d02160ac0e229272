"""A report as Markdown, for the log of a CI run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .wording import alike, conclusion, error_text, ratio_text, share_text, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .runner import Report

__all__ = ["markdown"]

_COLUMNS = ("function", "dtype", "max ULP", "apart", "gradient", "correct", "claim", "met", "")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def markdown(report: Report, *, shown: int = 10) -> str:
    """Return a report as Markdown: the conclusion, the table, the failures, what was expected.

    Parameters
    ----------
    report
        Of a run.
    shown
        How many failures come with their lines to paste.
    """
    sign = "✅" if report.holds else "❌"
    lines = [f"### {sign} {conclusion(report)}", "", _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
    lines += [
        _row(
            [
                s.variant,
                s.dtype,
                error_text(s.max_error),
                error_text(s.apart_error),
                ratio_text(s.gradient_ratio),
                share_text(s),
                s.claim,
                s.class_met or "none",
                verdict(s) if s.holds else f"**{verdict(s)}**",
            ]
        )
        for s in report.summaries
    ]
    for position, (head, outcomes) in enumerate(alike(report)):
        first = outcomes[0]
        lines += ["", f"**FAIL** `{first.id}`{head.removeprefix(first.id)}  ", first.message]
        if position < shown and first.detail:
            lines += ["", "```python", first.detail, "```"]
    expected = [o for o in report.outcomes if o.status == "expected failure"]
    if expected:
        lines += ["", "<details><summary>Expected failures</summary>", ""]
        lines += [f"- `{o.id}`: {o.reason}" for o in expected]
        lines += ["", "</details>"]
    environment = ", ".join(f"{name} {value}" for name, value in report.environment.items())
    return "\n".join([*lines, "", environment, ""])
