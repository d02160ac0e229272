"""The command ``softmax-variants conformance``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from softmax_variants_spec.formats import FORMATS

from .report import ConsoleProgress, print_report, write_report
from .runner import run
from .subject import SubjectError, load_subject
from .variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="softmax-variants conformance",
        description="Judge a backend against the exact reference. "
        "The exit code is 0 only if every claim holds.",
    )
    parser.add_argument(
        "backend", help="a name (numpy, torch, cupy, array_api) or a module by its dotted path"
    )
    labels = list(dict.fromkeys([*(v.function for v in VARIANTS), *(v.label for v in VARIANTS)]))
    parser.add_argument(
        "--function",
        action="append",
        default=[],
        choices=labels,
        metavar="NAME",
        help=f"judge only this function (may be repeated): {', '.join(labels)}",
    )
    parser.add_argument(
        "--dtype",
        action="append",
        default=[],
        choices=list(FORMATS),
        help="judge only this dtype (may be repeated)",
    )
    parser.add_argument("--smoke", action="store_true", help="a few rows of everything, seconds")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a JSON report")
    parser.add_argument(
        "--namespace", metavar="MODULE", help="array namespace (default: the backend's NAMESPACE)"
    )
    parser.add_argument("--device", help="device of the arrays (default: the backend's DEVICE)")
    return parser


def _unwritable(path: Path) -> str:
    """Return why a report cannot be written, or ""; asked before the run, not after."""
    try:
        if path.is_dir():
            return f"--report {path}: is a directory, wants a file"
        if not path.parent.is_dir():
            return f"--report {path}: there is no directory {path.parent}"
        # Only trying tells: whether names are too long, file systems read-only, for root as well.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            return ""
    except OSError as error:
        return f"--report {path}: {error.strerror or error}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv
        Arguments after ``conformance``; those of the process if None.

    Returns
    -------
    int
        0 if every claim holds, 1 if one fails, 2 if nothing could be judged.
    """
    arguments = _parser().parse_args(argv)
    if arguments.report is not None:
        problem = _unwritable(arguments.report)
        if problem:
            return _refuse(problem)
    try:
        subject = load_subject(arguments.backend, arguments.namespace, arguments.device)
    except SubjectError as error:
        return _refuse(str(error))
    missing = [d for d in arguments.dtype if d not in subject.formats()]
    if missing:
        return _refuse(
            f"--dtype {missing[0]}: {subject.name} on {subject.library.name} is judged in "
            f"{', '.join(subject.formats())}"
        )
    console = Console(stderr=False)
    if not console.is_terminal:
        console = Console(width=140)
    with ConsoleProgress(Console(stderr=True)) as progress:
        report = run(
            subject,
            functions=arguments.function,
            dtypes=arguments.dtype,
            smoke=arguments.smoke,
            progress=progress,
        )
    print_report(report, console)
    if arguments.report is not None:
        try:
            write_report(report, arguments.report)
        except OSError as error:
            return _refuse(f"--report {arguments.report}: {error.strerror or error}")
        console.print(f"report: {arguments.report}", markup=False, highlight=False)
    return 0 if report.holds else 1


def _refuse(message: str) -> int:
    print(f"softmax-variants conformance: {message}", file=sys.stderr)
    return 2
