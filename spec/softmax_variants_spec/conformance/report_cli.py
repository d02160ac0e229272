"""The command ``softmax-variants report``: a report of the suite as a page for browsers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .expected import SettingsError
from .html_report import html_report
from .recorded import read_report
from .report import unwritable, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv
        Arguments after ``report``; those of the process if None.

    Returns
    -------
    int
        0 if the page was written, whatever the report says; 2 if not.
    """
    parser = argparse.ArgumentParser(
        prog="softmax-variants report",
        description="Turn a report of `softmax-variants conformance --report FILE` into one HTML "
        "page, which loads nothing.",
    )
    parser.add_argument("report", type=Path, metavar="FILE", help="the report")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="the page (default: the report's name with .html)"
    )
    arguments = parser.parse_args(argv)
    page = arguments.html or arguments.report.with_suffix(".html")
    try:
        report = read_report(arguments.report)
    except SettingsError as error:
        return _refuse(str(error))
    if page.absolute() == arguments.report.absolute():
        return _refuse(f"--html {page}: is the report itself, wants another file")
    problem = unwritable("--html", page)
    if problem:
        return _refuse(problem)
    write_text(html_report(report), page)
    print(f"html: {page}")
    return 0


def _refuse(message: str) -> int:
    print(f"softmax-variants report: {message}", file=sys.stderr)
    return 2
