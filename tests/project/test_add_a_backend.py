"""The page on adding a backend does what it says, and the script that performs it sees if not."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/add-a-backend.md"
TEXT = PAGE.read_text(encoding="utf-8")
SCRIPT = ROOT / "docs/run_steps.py"


@pytest.fixture(scope="module")
def steps() -> ModuleType:
    specification = importlib.util.spec_from_file_location("run_steps", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "run_steps", module)
        specification.loader.exec_module(module)
    return module


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def _block(head: str, text: str) -> str:
    return f"Say\n\n```{head}\n{text}```\n"


# The page


def test_page_ends_in_a_green_smoke_run(steps: ModuleType, folder: Path) -> None:
    steps.perform(PAGE, folder)
    source = (folder / "my_backend.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 130
    imports = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["import numpy as np"]
    report = json.loads((folder / "accepted.json").read_text(encoding="utf-8"))
    assert report["holds"]
    judged = {(s["variant"], s["dtype"]): s["claim"] for s in report["summaries"]}
    assert len(judged) == 6 * 2
    assert {*judged.values()} == {"faithful"}
    assert {outcome["status"] for outcome in report["outcomes"]} == {"passed"}


def test_options_that_the_page_names_are_those_of_the_command() -> None:
    command = [sys.executable, "-m", "softmax_variants", "conformance", "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    named = {*re.findall(r"(?<!\S)`?(--[a-z-]+)", TEXT)}
    assert "--ratchet" in named
    assert named <= {*re.findall(r"--[a-z-]+", text)}


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_page_s_links_lead_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()


# The script


def test_script_s_examples(steps: ModuleType) -> None:
    assert doctest.testmod(steps).failed == 0


def test_files_are_written_and_commands_run_in_order(
    steps: ModuleType, page: Path, folder: Path
) -> None:
    page.write_text(
        _block("python one.py", "a = 1\n")
        + _block(
            "console", "$ python -c 'import one; print(one.a)'\n1\n$ echo two  three\ntwo three\n"
        )
        + _block("python one.py", "a = 2\n")
        + _block("console", "$ python -c 'import one; print(one.a)'\n2\n")
        + _block("toml one.toml", "a = 1\n")
        + _block("toml one.toml", "b = 1\n")
        + _block("sh", "no command\n"),
        encoding="utf-8",
    )
    steps.perform(page, folder)
    assert (folder / "one.py").read_text(encoding="utf-8") == "a = 2\n"
    assert (folder / "one.toml").read_text(encoding="utf-8") == "b = 1\n"
    assert sorted(file.name for file in folder.iterdir()) == ["one.py", "one.toml"]


def test_new_starts_a_file_again(steps: ModuleType, page: Path, folder: Path) -> None:
    text = _block("python one.py", "a = 1\n") + _block("python one.py new", "b = 2\n")
    page.write_text(text, encoding="utf-8")
    steps.perform(page, folder)
    assert (folder / "one.py").read_text(encoding="utf-8") == "b = 2\n"


OLD = '''"""Old."""

import math

A = 1


@old
def f():
    return 1


def g():
    pass
'''

NEW = '''"""New."""

import math


# why
@new
def f():
    return 2


class C:
    x = 1
'''

MERGED = '''"""New."""

import math

A = 1


# why
@new
def f():
    return 2


def g():
    pass


class C:
    x = 1
'''


def test_definitions_are_replaced_where_they_stand(steps: ModuleType) -> None:
    assert steps.merged(OLD, NEW) == MERGED
    assert steps.merged(OLD, OLD) == OLD


def test_commands_are_those_of_this_interpreter(
    steps: ModuleType, page: Path, folder: Path
) -> None:
    commands = "$ python -c 'import sys; print(sys.executable)'\n" + f"{sys.executable}\n"
    commands += (
        "$ softmax-variants --version\nsoftmax-variants ...\n$ pytest --version\npytest ...\n"
    )
    page.write_text(_block("console", commands), encoding="utf-8")
    steps.perform(page, folder)


def test_relative_search_paths_count_from_where_the_script_starts(
    steps: ModuleType, page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "there").mkdir()
    (folder.parent / "there/found.py").write_text("", encoding="utf-8")
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("PYTHONPATH", "there", prepend=":")
    page.write_text(_block("console", "$ python -c 'import found'\n"), encoding="utf-8")
    steps.perform(page, folder)


@pytest.mark.parametrize(
    ("commands", "line", "message"),
    [
        ("$ echo one\ntwo\n", "$ echo one", "misses the line\n  two\nin\none\n"),
        ("$ echo one\n", "$ echo one", "misses the line\n  (nothing more)\nin\none\n"),
        ("$ true\none\n", "$ true", "misses the line\n  one\nin\n"),
        ("$ exit 3\n", "$ exit 3", "fails with exit code 3; the page does not say so: `$ echo $?`"),
        ("$ exit 3\n$ true\n", "$ exit 3", "fails with exit code 3; the page does not say so"),
        ("$ exit 3\n$ echo $?\n2\n", "$ echo $?", "misses the line\n  2\nin\n3\n"),
        ("echo one\n", "", "a console block starts with a command behind $"),
        ("", "", "a console block starts with a command behind $"),
    ],
)
def test_a_page_that_is_wrong_fails(
    steps: ModuleType, page: Path, folder: Path, commands: str, line: str, message: str
) -> None:
    page.write_text(_block("console", commands), encoding="utf-8")
    with pytest.raises(steps.StepError) as caught:
        steps.perform(page, folder)
    place = "page.md, the block at line 3: "
    assert str(caught.value).startswith(place + (f"{line}\n" if line else "") + message)


def test_python_that_is_none_fails(steps: ModuleType, page: Path, folder: Path) -> None:
    text = _block("python one.py", "a = 1\n") + _block("python one.py", "a = = 1\n")
    page.write_text(text, encoding="utf-8")
    with pytest.raises(steps.StepError, match=r"block at line 8: invalid syntax"):
        steps.perform(page, folder)


def test_a_failure_that_the_page_announces_is_none(
    steps: ModuleType, page: Path, folder: Path
) -> None:
    page.write_text(_block("console", "$ exit 3\n$ echo $?\n3\n$ echo $?\n0\n"), encoding="utf-8")
    steps.perform(page, folder)


@pytest.mark.parametrize(
    ("expected", "got", "missing"),
    [
        ("", "", ""),
        ("a\n", "", "a"),
        ("", "a\n", "(nothing more)"),
        ("...\n", "", ""),
        ("...\n", "a\nb\n", ""),
        ("a\n...\n", "a\n", ""),
        ("a   b\n  c\n", "a b\nc\n", ""),
        ("a b\n", "ab\n", "a b"),
        ("...\nb\nc\n...\n", "a\nb\nb\nc\nd\n", ""),
        ("...\nb\nc\n...\nd\n", "a\nb\nb\nd\n", "c"),
        ("...\nb\n", "b\na\n", "(nothing more)"),
        ("...\na\n...\nb\n", "b\na\n", "b"),
        ("a ... c\n", "a b c\n", ""),
        ("a ... c\n", "a b\nc\n", "a ... c"),
        ("[a.*]\n", "[a.*]\n", ""),
        ("[a.*]\n", "a\n", "[a.*]"),
        ("a...\n", "b a\n", "a..."),
        ("...\nz\n" * 9, "z\n" * 400 + "a\n", "(nothing more)"),
    ],
)
def test_difference(steps: ModuleType, expected: str, got: str, missing: str) -> None:
    assert steps.difference(expected, got) == missing


def test_the_command_s_exit_code(
    steps: ModuleType, page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page.write_text(_block("toml a.toml", "a = 1\n"), encoding="utf-8")
    assert steps.main([str(page)]) == 0
    assert steps.main([str(page), "--keep", str(tmp_path / "kept")]) == 0
    assert (tmp_path / "kept/a.toml").read_text(encoding="utf-8") == "a = 1\n"
    page.write_text(_block("console", "$ false\n"), encoding="utf-8")
    assert steps.main([str(page)]) == 1
    assert "page.md, the block at line 3: $ false" in capsys.readouterr().err
