"""The command: its exit status, its messages, and the report that it writes whole or not at all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from softmax_variants.__main__ import main
from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    Backend = Callable[..., str]

ONE = ["--smoke", "--function", "softmax", "--dtype", "float32"]


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    # The command puts the current directory on the path of modules.
    monkeypatch.setattr(sys, "path", [*sys.path])


def conformance(*arguments: str) -> int:
    return main(["conformance", *arguments])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line with which the command refuses; it must be all that there is."""
    assert conformance(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("softmax-variants conformance: ")
    assert err.endswith("\n")
    (line,) = err.splitlines()
    return line.removeprefix("softmax-variants conformance: ")


# ------------------------------------------------------------------------------------ what it says


def test_numpy_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert conformance("numpy", "--smoke", "--function", "softmax") == 0
    out, err = capsys.readouterr()
    assert err == ""
    for dtype in ("float16", "float32", "float64"):
        (row,) = [line.split() for line in out.splitlines() if f" {dtype} " in line]
        assert (row[0], row[-1]) == ("softmax", "holds")
        assert f"softmax/{dtype}: 0." in out  # the input with the largest error
    assert "numpy: every claim holds; " in out
    assert "FAIL" not in out


def test_failures_are_printed(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    def softmax(x: Any, **options: Any) -> Any:
        return honest.softmax(x, **options) + x.dtype.type(0.5)

    assert conformance(backend(softmax=softmax), *ONE) == 1
    out, _ = capsys.readouterr()
    assert "FAIL softmax/float32/values/normal" in out
    assert "Normal logits of standard deviation 0.5 to 30. error " in out
    assert "wants 0.500004 ULP" in out
    assert "    result = backend.softmax(x, axis=0, where=None, out=None)" in out
    assert "# exact  0." in out
    failed, total = re.search(r"(\d+) of (\d+) fail\n", out).groups()  # type: ignore[union-attr]
    assert f"backend_of_a_test: {failed} entries fail; {total} entries, " in out


def test_what_fails_alike_is_printed_once(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    assert conformance(backend(softmax_vjp=None), *ONE) == 1
    out, _ = capsys.readouterr()
    assert out.count("backend_of_a_test has no function softmax_vjp") == 1
    failed = re.search(r"(\d+) of \d+ fail\n", out)
    assert failed is not None
    assert f"/result/gradient-dtype and {int(failed[1]) - 1} other entries\n" in out


def test_lines_to_paste_are_not_wrapped(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    def softmax(x: Any, **options: Any) -> Any:
        return honest.softmax(x, **options) * x.dtype.type(1.5)

    conformance(backend(softmax=softmax), *ONE)
    out, _ = capsys.readouterr()
    logits = [line for line in out.splitlines() if line.startswith("    x = xp.asarray([h(")]
    assert any(len(line) > 500 for line in logits)
    assert all(line.endswith("], dtype=xp.float32)") for line in logits)


def test_not_promised_is_counted(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    assert conformance(backend(ORDERED_SUMS=False), *ONE) == 0
    assert " entries, 5 not promised, " in capsys.readouterr().out


def test_subprocess() -> None:
    command = [sys.executable, "-m", "softmax_variants", "conformance", "numpy", *ONE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "numpy: every claim holds; " in done.stdout


def test_subprocess_refuses(tmp_path: Path) -> None:
    # From a directory of one's own: where the package was found is told explicitly.
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "softmax_variants", "conformance", "nonesuch", "--smoke"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("softmax-variants conformance: no backend 'nonesuch': known are numpy")


# --------------------------------------------------------------------------------- what it refuses


def test_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "nonesuch") == (
        "no backend 'nonesuch': known are numpy, torch, cupy, jax, dask, array_api, "
        "or give a module by its dotted path"
    )


@pytest.mark.parametrize("name", ["no.such.module", "json.nonesuch", "my_backend.py"])
def test_unknown_module(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, name).startswith(f"no backend '{name}': known are ")


@pytest.mark.parametrize("name", ["", ".relative"])
def test_names_that_cannot_be_imported(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, name).startswith(f"importing {name} failed: ")


def test_module_without_functions(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "json") == (
        "json (json) has none of the functions softmax, ssmax, sa_softmax of a backend"
    )


def test_file_in_place_of_a_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "mine.py").endswith("give a module by its dotted path, without .py")


@pytest.mark.parametrize(
    ("name", "install"),
    [("cupy", '[cuda12]", for CUDA 13 [cuda13]'), ("torch", '[torch]"')],
    ids=["cupy", "torch"],
)
def test_missing_framework(
    name: str, install: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = [m for m in sys.modules if m.split(".")[0] == name]
    for module in (*loaded, f"softmax_variants_backends.{name}", f"array_api_compat.{name}"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    assert refusal(capsys, name) == (
        f"the backend '{name}' needs {name}, which is not installed: "
        f'pip install "softmax-variants{install}'
    )


def test_missing_namespace(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, backend(NAMESPACE="no_such_arrays"))
    assert line.startswith(
        "backend_of_a_test computes on no_such_arrays arrays, and no_such_arrays cannot be imported"
    )


def test_namespace_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "array_api", "--namespace", "no_such_arrays")
    assert line.startswith("array_api computes on no_such_arrays arrays, and no_such_arrays cannot")


def test_namespace_that_is_a_module(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, backend(NAMESPACE=np))
    assert line.endswith("it is the name of a module, a string")


def test_namespace_without_formats(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, backend(NAMESPACE="math", CLAIMS=None))
    assert line == ("backend_of_a_test: nothing to judge, it claims any format and math has none")


def test_bad_claims(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, backend(CLAIMS={("softmax", "float32"): "perfect"}))
    assert line == (
        "backend_of_a_test: CLAIMS[('softmax', 'float32')] is 'perfect'; it is one of correct, "
        "faithful, tight, bounded or the largest error in ULP, at least 0.5"
    )


def test_dtype_that_the_backend_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "numpy", "--dtype", "bfloat16") == (
        "--dtype bfloat16: numpy on numpy is judged in float16, float32, float64"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["numpy", "--function", "hardmax"], "argument --function: invalid choice: 'hardmax'"),
        (["numpy", "--dtype", "float31"], "argument --dtype: invalid choice: 'float31'"),
        ([], "the following arguments are required: backend"),
        (["numpy", "--frobnicate"], "unrecognized arguments: --frobnicate"),
    ],
)
def test_misuse(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        conformance(*arguments)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: softmax-variants conformance ")
    assert message in err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def softmax(:", "SyntaxError"),
        ("raise RuntimeError('no device\\nno luck')", "RuntimeError: no device"),
        ("import no_such_dependency", "needs no_such_dependency, which is not installed"),
        ("softmax = 1; CLAIMS = 3", "CLAIMS is 3"),
    ],
)
def test_module_that_cannot_be_judged(
    source: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unusable_backend.py").write_text(source)
    monkeypatch.delitem(sys.modules, "unusable_backend", raising=False)
    assert message in refusal(capsys, "unusable_backend")
    sys.modules.pop("unusable_backend", None)


# ---------------------------------------------------------------- modules of the current directory


@pytest.mark.parametrize("name", ["backend_here", "package_here.inner"])
def test_module_of_the_current_directory(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
    file.parent.mkdir(exist_ok=True)
    file.write_text("from softmax_variants_backends.numpy import *\n")
    try:
        assert conformance(name, *ONE) == 0
    finally:
        for module in [m for m in sys.modules if m.split(".")[0] == name.split(".")[0]]:
            del sys.modules[module]
    assert f"{name}: every claim holds; " in capsys.readouterr().out


# -------------------------------------------------------------------------------------- the report


def strict(text: str) -> Any:
    """Parse JSON as the standard has it, without NaN and infinities."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.json"
    assert conformance("numpy", "--smoke", "--function", "softmax", "--report", str(path)) == 0
    assert f"report: {path}" in capsys.readouterr().out
    content = strict(path.read_text(encoding="utf-8"))
    assert content["format"] == "softmax-variants conformance report"
    assert content["version"] == 2
    assert content["holds"] is True
    assert content["smoke"] is True
    assert (content["backend"], content["library"]) == ("numpy", "numpy")
    assert content["environment"]["numpy"] == np.__version__
    assert content["environment"].keys() >= {"python", "machine", "mpmath"}
    ids = Counter(outcome["id"] for outcome in content["outcomes"])
    assert set(ids.values()) == {1}
    assert {outcome["status"] for outcome in content["outcomes"]} == {"passed"}
    wanted = [
        f"softmax/{dtype}/{entry.kind}/{entry.name}"
        for dtype in ("float16", "float32", "float64")
        for entry in report_entries()
    ]
    assert list(ids) == wanted
    assert [s["dtype"] for s in content["summaries"]] == ["float16", "float32", "float64"]
    for summary in content["summaries"]:
        assert summary["total"] == len(wanted) // 3
        assert summary["failed"] == 0
        assert 0 < summary["max_error"] <= 0.5 + 2**-13 or summary["dtype"] == "float64"
        assert summary["worst"].keys() >= {"regime", "block", "row", "entry", "logit", "length"}
    assert list(tmp_path.iterdir()) == [path]


def report_entries() -> list[Any]:
    from softmax_variants_spec.conformance.checks import entries
    from softmax_variants_spec.conformance.variants import VARIANTS

    return entries(VARIANTS[0], smoke=True)


def test_report_of_failures(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def softmax(x: Any, **options: Any) -> Any:
        return honest.softmax(x, **options) * np.float32(np.nan)

    path = tmp_path / "report.json"
    assert conformance(backend(softmax=softmax), *ONE, "--report", str(path)) == 1
    content = strict(path.read_text(encoding="utf-8"))
    assert content["holds"] is False
    (summary,) = content["summaries"]
    assert summary["max_error"] == "inf"
    assert "class_met" not in summary
    failed = {o["id"]: o for o in content["outcomes"] if o["status"] == "failed"}
    assert summary["failed"] == len(failed)
    normal = failed["softmax/float32/values/normal"]
    assert "NaN, wants 0.500004 ULP" in normal["message"]
    assert "result = backend.softmax(" in normal["detail"]


def test_report_has_the_modes_of_an_ordinary_file(tmp_path: Path) -> None:
    path, ordinary = tmp_path / "report.json", tmp_path / "ordinary"
    ordinary.write_text("")
    conformance("numpy", *ONE, "--report", str(path))
    assert path.stat().st_mode == ordinary.stat().st_mode


def below_a_file(tmp_path: Path) -> tuple[Path, str]:
    file = tmp_path / "file"
    file.write_text("kept")
    return file / "report.json", f"there is no directory {file}"


def below_nothing(tmp_path: Path) -> tuple[Path, str]:
    return tmp_path / "none" / "report.json", f"there is no directory {tmp_path / 'none'}"


def a_directory(tmp_path: Path) -> tuple[Path, str]:
    return tmp_path, "is a directory, wants a file"


@pytest.mark.parametrize("place", [below_a_file, below_nothing, a_directory])
def test_report_that_cannot_be_written(
    place: Callable[[Path], tuple[Path, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, reason = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    # Said before the run, not after it.
    monkeypatch.setattr(cli, "run", None)
    assert refusal(capsys, "numpy", "--report", str(path)) == f"--report {path}: {reason}"
    assert sorted(tmp_path.rglob("*")) == before


def test_report_with_a_name_that_the_file_system_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # That fails for root as well, whose permission to write is never denied.
    monkeypatch.setattr(cli, "run", None)
    path = tmp_path / ("r" * 300)
    assert refusal(capsys, "numpy", "--report", str(path)) == f"--report {path}: File name too long"
    assert list(tmp_path.iterdir()) == []


def test_report_in_a_directory_that_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def denied(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cli, "run", None)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", denied)
    path = tmp_path / "report.json"
    assert refusal(capsys, "numpy", "--report", str(path)) == (
        f"--report {path}: Permission denied"
    )


class Interrupted:
    """A file whose writing ends in the middle."""

    def __init__(self, file: Any, error: Any) -> None:
        self._file, self._error = file, error

    def __enter__(self) -> Interrupted:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> None:
        self._file.write(text[: len(text) // 2])
        self._file.flush()
        raise self._error


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("old", [None, "what was there before"])
def test_report_is_written_whole_or_not_at_all(
    old: str | None, error: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    if old is not None:
        path.write_text(old)

    original = tempfile.NamedTemporaryFile

    def interrupted(mode: str = "w+b", **options: Any) -> Any:
        file = original(mode, **options)
        return Interrupted(file, error) if mode == "w" else file

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", interrupted)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            conformance("numpy", *ONE, "--report", str(path))
    else:
        assert conformance("numpy", *ONE, "--report", str(path)) == 2
    assert [p.name for p in tmp_path.iterdir()] == ([] if old is None else ["report.json"])
    assert old is None or path.read_text() == old


def test_report_whose_replacement_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def fail(self: Path, target: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(path), "replace", fail)
    assert conformance("numpy", *ONE, "--report", str(path)) == 2
    out, err = capsys.readouterr()
    assert "numpy: every claim holds; " in out
    assert err == f"softmax-variants conformance: --report {path}: Input/output error\n"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert path.read_text() == "old"


def test_report_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    assert conformance("numpy", *ONE, "--report", str(path)) == 0
    assert strict(path.read_text())["holds"] is True


def test_report_by_a_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert conformance("numpy", *ONE, "--report", "report.json") == 0
    assert (tmp_path / "report.json").is_file()
