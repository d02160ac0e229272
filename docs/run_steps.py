"""Perform a page that is written as steps: write its files, run its commands, compare the output.

    python docs/run_steps.py docs/add-a-backend.md [--keep FOLDER]

The fenced blocks of the page are performed in order, in a folder that is empty at first:

- A block headed by a language and a file name writes that file. Definitions in Python take the
  place of those with the same name, others go to the end; a third word, ``new``, starts the file
  again. Other languages write the whole file.
- A block headed ``console`` holds commands, each behind ``$``, and what they print. ``...`` stands
  for any text in a line, and alone on a line for any number of lines; how many spaces stand
  between words does not matter. A command that fails has to be followed by ``$ echo $?``.

Other blocks are for the eye. ``python``, ``pytest`` and ``softmax-variants`` are those of the
interpreter that runs this.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Block", "StepError", "blocks", "difference", "main", "merged", "perform"]

_MODULES = {"python": "", "pytest": "-m pytest", "softmax-variants": "-m softmax_variants"}
"""Commands that are options of the interpreter."""


class StepError(Exception):
    """A step of the page does not do what the page says; the message says which, and how."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    """Where it starts on the page."""
    head: tuple[str, ...]
    """The words behind the fence."""
    text: str


def blocks(page: str) -> list[Block]:
    r"""Return the fenced blocks of a page in Markdown.

    Examples
    --------
    >>> page = "Say\n```console\n$ echo hello\nhello\n```\n"
    >>> blocks(page)
    [Block(line=2, head=('console',), text='$ echo hello\nhello\n')]
    """
    return [
        Block(page.count("\n", 0, found.start()) + 1, tuple(found[1].split()), found[2])
        for found in re.finditer(r"^```([^\n]*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    ]


def _name(node: ast.stmt) -> str:
    """Return what a statement at the top of a module defines; imports stand for themselves."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return "the docstring"
    return ast.unparse(node)


def _pieces(source: str) -> dict[str, tuple[str, str]]:
    """Return the statements of a module by what they define: their kind and their lines."""
    lines, found, end = source.splitlines(), {}, 0
    for node in ast.parse(source).body:
        assert node.end_lineno is not None
        # From the end of the one before: with the comments and decorators above it.
        text = "\n".join(lines[end : node.end_lineno]).strip("\n")
        found[_name(node)] = type(node).__name__, text
        end = node.end_lineno
    return found


def merged(old: str, new: str) -> str:
    r"""Return a module in Python with the definitions of another in place of its own, or added.

    Examples
    --------
    >>> print(merged("a = 1\n\nb = 2\n", "a = 3\n\nc = 4\n"), end="")
    a = 3
    <BLANKLINE>
    b = 2
    <BLANKLINE>
    c = 4
    """
    text, before = "", ""
    for kind, piece in (_pieces(old) | _pieces(new)).values():
        if text:
            blank = 2 if {before, kind} & {"FunctionDef", "ClassDef"} else 1
            text += "\n" * (1 + blank)
        text, before = text + piece, kind
    return text + "\n"


def _tidy(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def _same(expected: str, got: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.split("..."))
    return re.fullmatch(pattern, got) is not None


def difference(expected: str, got: str) -> str:
    r"""Return the first expected line that the output does not have in its place, or "".

    Examples
    --------
    >>> difference("one\n...\nlast, ... s\n", "one\ntwo\nthree\nlast, 0.3 s\n")
    ''
    >>> difference("one\ntwo\n", "one\nthree\n")
    'two'
    """
    wanted, lines = _tidy(expected), _tidy(got)
    reached = at = position = 0
    gap: tuple[int, int] | None = None
    while position < len(lines):
        if at < len(wanted) and wanted[at] == "...":
            gap, at = (at, position), at + 1
        elif at < len(wanted) and _same(wanted[at], lines[position]):
            at, position = at + 1, position + 1
        elif gap is not None:  # let the last "..." stand for one line more
            gap = gap[0], gap[1] + 1
            at, position = gap[0] + 1, gap[1]
        else:
            break
        reached = max(reached, at)
    if position == len(lines) and all(line == "..." for line in wanted[at:]):
        return ""
    missing = [line for line in wanted[reached:] if line != "..."]
    return missing[0] if missing else "(nothing more)"


def _commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a block, each with the output that is expected of it."""
    first, *parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if first.strip() or not parts:
        msg = "a console block starts with a command behind $"
        raise StepError(msg)
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def _environment(programs: Path) -> dict[str, str]:
    """Return the variables of the commands, with programs of this interpreter on the path."""
    for name, option in _MODULES.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {option} "$@"\n')
        program.chmod(0o755)
    search = os.environ.get("PYTHONPATH", "")
    return os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        # The folder of the page is another than that from which relative paths count.
        "PYTHONPATH": os.pathsep.join(
            str(Path(p).absolute()) for p in search.split(os.pathsep) if p
        ),
        # Files change within a second and may keep their size, and then their cache looks fresh.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _run(text: str, folder: Path, environment: dict[str, str]) -> None:
    """Run the commands of a block; raises StepError."""
    status, last = 0, ""
    for command, expected in _commands(text):
        if status and command != "echo $?":
            break
        done = subprocess.run(
            ["/bin/sh", "-c", f"(exit {status})\n{command}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        missing = difference(expected, done.stdout)
        if missing:
            msg = f"$ {command}\nmisses the line\n  {missing}\nin\n{done.stdout}"
            raise StepError(msg)
        status, last = done.returncode, command
    if status:
        msg = f"$ {last}\nfails with exit code {status}; the page does not say so: `$ echo $?`"
        raise StepError(msg)


def perform(page: Path, folder: Path) -> None:
    """Perform the steps of a page.

    Parameters
    ----------
    page
        A file in Markdown.
    folder
        An empty folder, which holds the files of the page afterwards.

    Raises
    ------
    StepError
        If a command fails or prints something else than the page says. The message starts with
        the place of the block.
    """
    with tempfile.TemporaryDirectory() as programs:
        environment = _environment(Path(programs))
        for block in blocks(page.read_text(encoding="utf-8")):
            try:
                if block.head == ("console",):
                    _run(block.text, folder, environment)
                elif len(block.head) > 1:
                    _write(block, folder)
            except (StepError, SyntaxError) as error:
                msg = f"{page.name}, the block at line {block.line}: {error}"
                raise StepError(msg) from error


def _write(block: Block, folder: Path) -> None:
    language, name, *how = block.head
    path = folder / name
    if language != "python" or how == ["new"] or not path.exists():
        text = block.text
    else:
        text = merged(path.read_text(encoding="utf-8"), block.text)
    path.write_text(text, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Perform a page and return 0, or 1 with a line on what differs."""
    parser = argparse.ArgumentParser(description="Perform a page that is written as steps.")
    parser.add_argument("page", type=Path)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the files there")
    arguments = parser.parse_args(argv)
    try:
        if arguments.keep is None:
            with tempfile.TemporaryDirectory() as folder:
                perform(arguments.page, Path(folder))
        else:
            arguments.keep.mkdir(parents=True)
            perform(arguments.page, arguments.keep)
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
