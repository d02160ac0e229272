"""The pytest plugin: one test an entry, opted in with -p."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    Backend = Callable[..., str]

PLUGIN = ("-p", "softmax_variants_spec.conformance.pytest_plugin")
NORMAL = "my.conformance.toml::softmax/float32/values/normal"


@pytest.fixture
def tried(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs pytest on a file of settings."""
    # The suite puts the current directory on the path of modules.
    monkeypatch.setattr(sys, "path", [*sys.path])

    def tried(settings: str, *options: str, plugin: bool = True) -> Any:
        (pytester.path / "my.conformance.toml").write_text(settings, encoding="utf-8")
        return pytester.runpytest(*(PLUGIN if plugin else ()), "-p", "no:cacheprovider", *options)

    return tried


def settings(backend: str = "numpy", *lines: str) -> str:
    kept = ['functions = ["softmax"]', 'dtypes = ["float32"]', "smoke = true"]
    return "\n".join([f'backend = "{backend}"', *kept, *lines])


def test_one_test_an_entry(tried: Callable[..., Any]) -> None:
    result = tried(settings(), "-v")
    passed = result.parseoutcomes()["passed"]
    assert passed > 60
    assert result.parseoutcomes() == {"passed": passed}
    result.stdout.fnmatch_lines([f"{NORMAL} PASSED*"])
    result.stdout.fnmatch_lines(["my.conformance.toml::softmax/float32/same-bits/axis PASSED*"])


def test_nothing_without_opting_in(tried: Callable[..., Any]) -> None:
    assert tried(settings(), plugin=False).parseoutcomes() == {}


def test_one_entry_by_its_id(tried: Callable[..., Any]) -> None:
    assert tried(settings(), NORMAL).parseoutcomes() == {"passed": 1}
    assert tried(settings(), "-k", "sterbenz and values").parseoutcomes()["passed"] == 1


def off(x: Any, **options: Any) -> Any:
    return honest.softmax(x, **options) + x.dtype.type(0.5)


def test_failure_tells_what_the_command_tells(
    tried: Callable[..., Any], backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    module = backend(softmax=off)
    result = tried(settings(module), NORMAL)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*_ softmax/float32/values/normal _*",
            "Normal logits of standard deviation 0.5 to 30. error *",
            "    import numpy as xp, backend_of_a_test as backend",
            "*# nearest float32: *",
        ]
    )
    main([module, "--smoke", "--function", "softmax", "--dtype", "float32"])
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("FAIL softmax/float32/values/normal")
    result.stdout.fnmatch_lines([lines[start + 1].strip().replace("[", "[[]")])
    # No stack of the suite's own frames.
    assert "judge(self._context" not in result.stdout.str()


def test_expected_failures(tried: Callable[..., Any], backend: Backend) -> None:
    module = backend(softmax=off)
    lines = ["[expected-failures]", '"softmax/float32/*" = "it adds one half"']
    result = tried(settings(module, *lines), "-rx", "-k", "normal and not subnormal")
    outcomes = result.parseoutcomes()
    assert (outcomes["xfailed"], outcomes["passed"]) == (1, 1)
    result.stdout.fnmatch_lines([f"XFAIL {NORMAL} - it adds one half"])


def test_stale_line_fails(tried: Callable[..., Any]) -> None:
    lines = ["[expected-failures]", '"softmax/float32/result/dtype" = "once it did"']
    full = settings("numpy", *lines).replace("smoke = true", "smoke = false")
    result = tried(full, "my.conformance.toml::softmax/float32/result/dtype")
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(
        ["fails no more, take it out of my.conformance.toml; it was expected: once it did"]
    )


def test_not_promised_is_skipped(tried: Callable[..., Any], backend: Backend) -> None:
    module = backend(ORDERED_SUMS=False)
    result = tried(settings(module), "-rs", "-k", "same-bits")
    outcomes = result.parseoutcomes()
    assert (outcomes["skipped"], outcomes.get("passed", 0)) == (5, 0)
    result.stdout.fnmatch_lines(["SKIPPED *the backend declares ORDERED_SUMS = False"])


def test_what_the_suite_itself_raises_is_shown_whole(
    tried: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from softmax_variants_spec.conformance.runner import Plan

    def broken(*arguments: object) -> None:
        msg = "a defect of the suite"
        raise RuntimeError(msg)

    monkeypatch.setattr(Plan, "judge", broken)
    result = tried(settings(), NORMAL)
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["*RuntimeError: a defect of the suite*"])


def test_measures_go_to_other_reports(tried: Callable[..., Any], pytester: pytest.Pytester) -> None:
    tried(settings(), "--junitxml=out.xml", "-k", "normal")
    text = (pytester.path / "out.xml").read_text(encoding="utf-8")
    assert 'name="max_error_ulp" value="0.4' in text
    assert 'name="gradient_error_ratio" value="0.' in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backend = 3", "backend is 3; it is the name of a backend or the dotted path of a module"),
        ("", "has no backend; it is the name of a backend or the dotted path of a module"),
        ('backends = "numpy"', "has the key 'backends'; keys are backend, namespace, device, "),
        ('backend = "numpy"\nsmoke = 1', "smoke is 1; it is true or false"),
        ('backend = "numpy"\ntime-limit = -1', "time-limit is -1; it is seconds, at least 0"),
        (
            'backend = "numpy"\nfunctions = ["softmx"]',
            "functions is ['softmx']; it is a list of softmax, ssmax, sa_softmax, ",
        ),
        (
            'backend = "numpy"\ndtypes = "float32"',
            "dtypes is 'float32'; it is a list of float16, bfloat16, float32, float64",
        ),
        ('backend = "nonexistent"', "no backend 'nonexistent': known are numpy, "),
        (
            'backend = "numpy"\n[expected-failures]\n"softmax/x" = "y"',
            '"softmax/x" matches no entry of the suite for this backend',
        ),
        ('backend = "numpy"\nratchet = "gone.json"', "gone.json: No such file or directory"),
        ("backend", "is no TOML: "),
    ],
)
def test_settings_that_cannot_be_used(text: str, message: str, tried: Callable[..., Any]) -> None:
    result = tried(text)
    assert result.ret == 2
    output = result.stdout.str()
    assert "my.conformance.toml" in output
    assert message in output.replace("\n", " ")
    assert "Traceback" not in output
