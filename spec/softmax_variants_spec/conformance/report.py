"""Reports: JSON for machines, a table and the failures for people."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from .outcome import Outcome
    from .runner import Report, Summary

__all__ = ["ConsoleProgress", "print_report", "write_report"]

FORMAT_VERSION = 1


def _plain(value: Any) -> Any:
    """Return a value that JSON has: infinities and NaN as strings, without what is empty."""
    if isinstance(value, float):
        return float(f"{value:.8g}") if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items() if v not in (None, "")}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value


def _json(content: dict[str, Any]) -> str:
    """Return JSON with a line for each element of the lists, so that reports compare by line."""
    lines = []
    for key, value in content.items():
        if isinstance(value, list):
            rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in value)
            lines.append(f"{json.dumps(key)}: [\n  {rows}\n ]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written; what was there before is then left as it was.
    """
    content = {
        "format": "softmax-variants conformance report",
        "version": FORMAT_VERSION,
        "holds": report.holds,
        **_plain(asdict(report)),
    }
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as file:
        try:
            file.write(_json(content))
            file.close()
            Path(file.name).chmod(0o666 & ~_umask())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class ConsoleProgress:
    """A progress bar on a terminal; silence elsewhere."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> ConsoleProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, total: int) -> None:
        """Announce how many entries there are."""
        self._bar.update(self._task, total=total)

    def step(self, what: str, outcome: Outcome | None = None) -> None:
        """Announce an entry done, or what is being computed."""
        done = 0 if outcome is None else 1
        self._bar.update(self._task, advance=done, description=f"{what[:56]:56}")


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}g}"


def _error(value: float | None) -> str:
    """Return an error in ULP; just above one half by what it exceeds it."""
    if value is None:
        return "-"
    over = value - 0.5
    if 0 < over < 0.01:
        return f"0.5 + {over:.1e}"
    return f"{value:.4f}" if value < 1000 else f"{value:.3e}"


def _share(summary: Summary) -> str:
    if summary.correct_share is None:
        return "-"
    wrong = 1.0 - summary.correct_share
    if wrong == 0:
        return "100 %"
    # 99.99..., with digits until the first that is no 9.
    digits = max(1, math.ceil(-math.log10(wrong)) - 1)
    return f"{math.floor(summary.correct_share * 10 ** (digits + 2)) / 10**digits:.{digits}f} %"


def print_report(report: Report, console: Console, *, shown: int = 10) -> None:
    """Print the table, the worst inputs and the failures."""
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    for column in ("function", "dtype"):
        table.add_column(column, no_wrap=True)
    for column in ("max ULP", "apart", "gradient", "correct"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("claim", "met", ""):
        table.add_column(column, no_wrap=True)
    for s in report.summaries:
        verdict = "[green]holds[/]" if s.holds else f"[red]{s.failed} of {s.total} fail[/]"
        table.add_row(
            s.variant,
            s.dtype,
            _error(s.max_error),
            _error(s.apart_error),
            _number(s.gradient_ratio, 2),
            _share(s),
            s.claim,
            s.class_met or "none",
            verdict,
        )
    console.print(table)
    console.print(
        "max ULP: largest error of a weight, against the unrounded value; apart: the same next to "
        "midpoints\nand where c cancels; gradient: largest error over what the claim allows; "
        "correct: share of entries\nrounded correctly, of those not representable; met: the best "
        "class that weights and gradients meet.",
        style="dim",
        markup=False,
        highlight=False,
    )
    console.print("\nInputs with the largest errors", style="bold")
    for s in report.summaries:
        if s.worst is not None:
            console.print(
                f"  {s.variant}/{s.dtype}: {_error(s.max_error)} at {s.worst}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    _print_failures(report, console, shown)
    count = len(report.outcomes)
    failed = sum(not o.holds for o in report.outcomes)
    away = sum(o.status == "not promised" for o in report.outcomes)
    verdict = "every claim holds" if report.holds else f"{failed} entries fail"
    extra = f", {away} not promised" if away else ""
    console.print(
        f"\n{report.backend}: {verdict}; {count} entries{extra}, {report.seconds:.1f} s",
        style="bold green" if report.holds else "bold red",
        markup=False,
        highlight=False,
    )


def _print_failures(report: Report, console: Console, shown: int) -> None:
    # One fault fails many entries, a missing function all that call it: it is told once.
    alike: dict[str, list[Outcome]] = {}
    for outcome in report.outcomes:
        if not outcome.holds:
            alike.setdefault(outcome.message, []).append(outcome)
    for position, (message, outcomes) in enumerate(alike.items()):
        first, others = outcomes[0], len(outcomes) - 1
        head = f"FAIL {first.id}"
        if others:
            head += f" and {others} other {'entry' if others == 1 else 'entries'}"
        if position >= shown:
            console.print(f"{head}: {message}", markup=False, highlight=False, soft_wrap=True)
            continue
        console.print(f"\n{head}", style="red", markup=False, highlight=False, soft_wrap=True)
        console.print(f"  {message}", markup=False, highlight=False, soft_wrap=True)
        for line in first.detail.splitlines():
            console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
