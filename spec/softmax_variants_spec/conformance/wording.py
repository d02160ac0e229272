"""What a report says in words, on the terminal and in Markdown alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .outcome import Outcome
    from .runner import Report, Summary

__all__ = ["alike", "conclusion", "error_text", "ratio_text", "share_text", "verdict"]


def ratio_text(value: float | None) -> str:
    """Return the largest error of a gradient over what the claim allows."""
    return "-" if value is None else f"{value:.2g}"


def error_text(value: float | None) -> str:
    """Return an error in ULP; just above one half by what it exceeds it."""
    if value is None:
        return "-"
    over = value - 0.5
    if 0 < over < 0.01:
        return f"0.5 + {over:.1e}"
    return f"{value:.4f}" if value < 1000 else f"{value:.3e}"


def share_text(summary: Summary) -> str:
    """Return the share of correctly rounded entries, with digits up to the first that is no 9."""
    if summary.correct_share is None:
        return "-"
    wrong = 1.0 - summary.correct_share
    if wrong == 0:
        return "100 %"
    digits = max(1, math.ceil(-math.log10(wrong)) - 1)
    return f"{math.floor(summary.correct_share * 10 ** (digits + 2)) / 10**digits:.{digits}f} %"


def verdict(summary: Summary) -> str:
    """Return whether the claim for a function and dtype holds."""
    if not summary.holds:
        return f"{summary.failed} of {summary.total} fail"
    if summary.expected:
        return f"holds but for {summary.expected} expected"
    return "holds"


def alike(report: Report) -> list[tuple[str, list[Outcome]]]:
    """Return the failures with their heads, those with the same message together.

    One fault fails many entries, a missing function all that call it: it is told once.
    """
    groups: dict[str, list[Outcome]] = {}
    for outcome in report.outcomes:
        if not outcome.holds:
            groups.setdefault(outcome.message, []).append(outcome)
    found = []
    for outcomes in groups.values():
        others = len(outcomes) - 1
        head = outcomes[0].id
        if others:
            head += f" and {others} other {'entry' if others == 1 else 'entries'}"
        found.append((head, outcomes))
    return found


def conclusion(report: Report) -> str:
    """Return the last line."""
    failed = sum(not o.holds for o in report.outcomes)
    expected = sum(o.status == "expected failure" for o in report.outcomes)
    away = sum(o.status == "not promised" for o in report.outcomes)
    text = "every claim holds"
    if failed:
        text = "1 entry fails" if failed == 1 else f"{failed} entries fail"
    if expected:
        text += f", {expected} failing as expected" if failed else f" but for {expected} expected"
    text += f"; {len(report.outcomes)} entries"
    return f"{report.backend}: {text}" + (f", {away} not promised" if away else "")
