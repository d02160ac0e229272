"""The command line: which backends there are, how well one conforms, and kernels made ahead."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from . import __version__, backends
from ._catalogue import FUNCTIONS
from ._cpu_status import cpu_kernels_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_SUITE_PACKAGES = ("mpmath", "rich")
_DTYPES = ("float16", "bfloat16", "float32", "float64")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    argv : list of str, optional
        The arguments, without the name of the program; those of the process by default.

    Returns
    -------
    int
        0 on success; 2 if something that the command needs is missing; ``conformance`` and
        ``report`` return what the suite does.
    """
    arguments = sys.argv[1:] if argv is None else argv
    # The suite parses its own arguments, --help among them.
    if arguments[:1] in (["conformance"], ["report"]):
        return _suite(arguments[0], arguments[1:])
    parser = argparse.ArgumentParser(
        prog="softmax-variants", description="Softmax variants for attention."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("backends", help="list the backends: installed, usable, and if not why")
    commands.add_parser("conformance", help="judge a backend by the specification")
    commands.add_parser("report", help="turn a report of the suite into a page for browsers")
    ahead = commands.add_parser(
        "compile", help="compile the kernels for the CPU now, rather than at their first calls"
    )
    names = [function.name for function in FUNCTIONS]
    ahead.add_argument("--function", action="append", choices=names, help="only these functions")
    ahead.add_argument("--dtype", action="append", choices=_DTYPES, help="only these dtypes")
    chosen = parser.parse_args(arguments)
    if chosen.command == "compile":
        return _compile(chosen.function or names, chosen.dtype or _DTYPES)
    print(backends())
    return 0


def _compile(functions: Sequence[str], dtypes: Sequence[str]) -> int:
    problem, extra = cpu_kernels_problem()
    if problem:
        print(
            f'softmax-variants compile: {problem}: pip install "softmax-variants[{extra}]"',
            file=sys.stderr,
        )
        return 2
    from softmax_variants_backends._cpu._compile_ahead import compile_ahead

    for name, seconds in compile_ahead(functions, dtypes):
        print(f"{name}: {seconds:.1f} s", flush=True)
    return 0


def _suite(command: str, arguments: list[str]) -> int:
    try:
        if command == "report":
            from softmax_variants_spec.conformance.report_cli import main as run
        else:
            from softmax_variants_spec.conformance.cli import main as run

        return run(arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _SUITE_PACKAGES:
            raise
        print(
            f"softmax-variants {command}: {package} is not installed: "
            'pip install "softmax-variants[conformance]"',
            file=sys.stderr,
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
