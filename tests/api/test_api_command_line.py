"""The command line: its output, its exit status, and one clear line where something is missing."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import softmax_variants as sv
from softmax_variants.__main__ import main

CLI = "softmax_variants_spec.conformance.cli"


def suite(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    """Put a conformance suite in place whose command line is ``run``."""
    for name in ("softmax_variants_spec", "softmax_variants_spec.conformance", CLI):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[CLI].main = run  # type: ignore[attr-defined]


def test_backends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends"]) == 0
    assert capsys.readouterr().out == f"{sv.backends()}\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--version"])
    assert capsys.readouterr().out == f"softmax-variants {sv.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["frobnicate"]], ids=["none", "unknown"])
def test_misuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(arguments)
    assert "usage: softmax-variants" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["numpy"], ["--smoke", "numpy", "--report", "a.json"], ["--help"], ["--", "--version"]],
    ids=" ".join,
)
def test_conformance_hands_over_all_arguments(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[list[str]] = []

    def run(argv: list[str]) -> int:
        received.append(argv)
        return 3

    suite(monkeypatch, run)
    assert main(["conformance", *arguments]) == 3
    assert received == [arguments]


def test_arguments_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    suite(monkeypatch, len)
    monkeypatch.setattr(sys, "argv", ["softmax-variants", "conformance", "a", "b"])
    assert main() == 2


@pytest.mark.parametrize("module", ["mpmath.libmp", "rich.console"])
def test_conformance_without_its_packages(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(argv: list[str]) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    suite(monkeypatch, run)
    assert main(["conformance", "numpy"]) == 2
    package = module.partition(".")[0]
    assert capsys.readouterr().err == (
        f"softmax-variants conformance: {package} is not installed: "
        'pip install "softmax-variants[conformance]"\n'
    )


def test_other_missing_modules_are_not_explained_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'their_kernel'", name="their_kernel")

    suite(monkeypatch, run)
    with pytest.raises(ModuleNotFoundError, match="their_kernel"):
        main(["conformance", "numpy"])


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def test_runs_as_a_module() -> None:
    done = python("-m", "softmax_variants", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"softmax-variants {sv.__version__}\n"


@pytest.mark.parametrize("package", ["mpmath", "rich"])
def test_the_suite_itself_without_its_packages(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; "
        "from softmax_variants.__main__ import main; sys.exit(main(['conformance', 'numpy']))"
    )
    done = python("-c", code)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"softmax-variants conformance: {package} is not installed: "
        'pip install "softmax-variants[conformance]"\n'
    )


class TestCompile:
    """``compile`` makes the kernels for the CPU; what it makes them with stands in here."""

    MODULE = "softmax_variants_backends._cpu._compile_ahead"

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
        asked: list[tuple[Any, Any]] = []

        def compile_ahead(functions: Any, dtypes: Any) -> Any:
            asked.append((list(functions), list(dtypes)))
            yield "softmax float32", 1.25
            yield "softmax_vjp float32", 12.0

        module: Any = ModuleType(self.MODULE)
        module.compile_ahead = compile_ahead
        monkeypatch.setitem(sys.modules, self.MODULE, module)
        return asked

    def test_everything(
        self, asked: list[tuple[Any, Any]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["compile"]) == 0
        dtypes = ["float16", "bfloat16", "float32", "float64"]
        assert asked == [(["softmax", "ssmax", "sa_softmax"], dtypes)]
        assert capsys.readouterr().out == "softmax float32: 1.2 s\nsoftmax_vjp float32: 12.0 s\n"

    def test_some(self, asked: list[tuple[Any, Any]]) -> None:
        arguments = ["--function", "ssmax", "--dtype", "float32", "--dtype", "float64"]
        assert main(["compile", *arguments]) == 0
        assert asked == [(["ssmax"], ["float32", "float64"])]

    @pytest.mark.parametrize("wrong", [["--function", "tanh"], ["--dtype", "int8"], ["softmax"]])
    def test_misuse(
        self,
        wrong: list[str],
        asked: list[tuple[Any, Any]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with pytest.raises(SystemExit, match=r"^2$"):
            main(["compile", *wrong])
        assert "usage: softmax-variants" in capsys.readouterr().err
        assert not asked

    def test_without_numba(
        self,
        asked: list[tuple[Any, Any]],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setitem(sys.modules, "numba", None)
        assert main(["compile"]) == 2
        assert capsys.readouterr().err == (
            "softmax-variants compile: Numba is not installed: "
            'pip install "softmax-variants[cpu]"\n'
        )
        assert not asked
