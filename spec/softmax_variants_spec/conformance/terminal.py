"""A run on the terminal: progress, the table, the inputs with the largest errors, the failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .wording import alike, conclusion, error_text, ratio_text, share_text, verdict

if TYPE_CHECKING:
    from rich.console import Console

    from .outcome import Outcome
    from .runner import Report

__all__ = ["ConsoleProgress", "print_report"]


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
        colour = "green" if s.holds else "red"
        table.add_row(
            s.variant,
            s.dtype,
            error_text(s.max_error),
            error_text(s.apart_error),
            ratio_text(s.gradient_ratio),
            share_text(s),
            s.claim,
            s.class_met or "none",
            f"[{colour}]{verdict(s)}[/]",
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
                f"  {s.variant}/{s.dtype}: {error_text(s.max_error)} at {s.worst}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    _print_failures(report, console, shown)
    console.print(
        f"\n{conclusion(report)}, {report.seconds:.1f} s",
        style="bold green" if report.holds else "bold red",
        markup=False,
        highlight=False,
    )


def _print_failures(report: Report, console: Console, shown: int) -> None:
    for position, (head, outcomes) in enumerate(alike(report)):
        first = outcomes[0]
        if position >= shown:
            line = f"FAIL {head}: {first.message}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            continue
        style = "red"
        console.print(f"\nFAIL {head}", style=style, markup=False, highlight=False, soft_wrap=True)
        console.print(f"  {first.message}", markup=False, highlight=False, soft_wrap=True)
        for line in first.detail.splitlines():
            console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
