"""The command ``softmax-variants conformance``."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from softmax_variants_spec.formats import FORMATS

from .expected import ExpectedFailures, SettingsError
from .markdown import markdown
from .ratchet import Ratchet
from .report import unwritable, write_report, write_text
from .runner import TIME_LIMIT, plan, run
from .subject import SubjectError, load_subject
from .terminal import ConsoleProgress, print_report
from .variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .runner import Plan
    from .subject import Subject

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="softmax-variants conformance",
        description="Judge a backend against the exact reference. "
        "The exit code is 0 only if every claim holds, but for expected failures.",
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
        "--markdown", type=Path, metavar="FILE", help="write a summary in Markdown, for CI logs"
    )
    parser.add_argument(
        "--expected-failures",
        type=Path,
        metavar="FILE",
        help="TOML file whose table [expected-failures] gives ids (with wildcards) and reasons; "
        "one that fails no more, or matches nothing, is an error",
    )
    parser.add_argument(
        "--ratchet",
        type=Path,
        metavar="REPORT",
        help="an earlier report: an error larger than it records fails",
    )
    parser.add_argument(
        "--time-limit",
        type=_seconds,
        default=TIME_LIMIT,
        metavar="SECONDS",
        help="what the backend may take in one entry (default: %(default)g; 0: no limit)",
    )
    parser.add_argument(
        "--namespace", metavar="MODULE", help="array namespace (default: the backend's NAMESPACE)"
    )
    parser.add_argument("--device", help="device of the arrays (default: the backend's DEVICE)")
    return parser


def _seconds(text: str) -> float | None:
    """Return a time limit, None for 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        msg = f"is {text!r}, wants seconds, at least 0"
        raise argparse.ArgumentTypeError(msg)
    return value or None


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
    written = {"--report": arguments.report, "--markdown": arguments.markdown}
    for option, path in written.items():
        problem = "" if path is None else unwritable(option, path)
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
        try:
            planned = _plan(arguments, subject, progress)
        except SettingsError as error:
            return _refuse(str(error))
        report = run(planned, progress)
    print_report(report, console)
    for option, path in written.items():
        if path is not None:
            try:
                if option == "--report":
                    write_report(report, path)
                else:
                    write_text(markdown(report), path)
            except OSError as error:
                return _refuse(f"{option} {path}: {error.strerror or error}")
            line = f"{option.removeprefix('--')}: {path}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0 if report.holds else 1


def _plan(arguments: argparse.Namespace, subject: Subject, progress: ConsoleProgress) -> Plan:
    expected, ratchet = arguments.expected_failures, arguments.ratchet
    return plan(
        subject,
        functions=arguments.function,
        dtypes=arguments.dtype,
        smoke=arguments.smoke,
        expected=None if expected is None else ExpectedFailures.read(expected),
        ratchet=None if ratchet is None else Ratchet.read(ratchet),
        time_limit=arguments.time_limit,
        progress=progress.step,
    )


def _refuse(message: str) -> int:
    print(f"softmax-variants conformance: {message}", file=sys.stderr)
    return 2
