"""Expected failures: each with a reason; a line that is stale or matches nothing is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance.cli import main
from softmax_variants_spec.conformance.expected import ExpectedFailures, SettingsError
from softmax_variants_spec.conformance.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from softmax_variants_spec.conformance.runner import Report

    Judge = Callable[..., Report]
    Backend = Callable[..., str]

NORMAL = "softmax/float32/values/normal"
LEAKS = "softmax/float32/absent/holds-*"


def leaking(x: Any, *, where: Any, **options: Any) -> Any:
    """Softmax that lets NaN and infinity of absent entries through."""
    bad = False if where is None else (~where & ~(np.abs(x) < np.inf) & (x != -np.inf)).any()
    y = honest.softmax(x, where=where, **options)
    return np.full_like(y, np.nan) if bad else y


def expected(path: Path, **reasons: str) -> Path:
    lines = [f'"{name}" = "{reason}"\n' for name, reason in reasons.items()]
    path.write_text("[expected-failures]\n" + "".join(lines), encoding="utf-8")
    return path


def statuses(report: Report) -> dict[str, str]:
    return {outcome.id: outcome.status for outcome in report.outcomes}


def test_what_was_expected_to_fail_holds(judge: Judge, backend: Backend) -> None:
    module = backend(softmax=leaking)
    alone = judge(module, functions=["softmax"])
    failing = {name for name, status in statuses(alone).items() if status == "failed"}
    assert not alone.holds
    assert failing
    reasons = dict.fromkeys(failing, "masks are filled before the call")
    known = ExpectedFailures("known.toml", reasons)
    report = judge(module, functions=["softmax"], expected=known)
    assert report.holds
    assert {n for n, s in statuses(report).items() if s == "expected failure"} == failing
    (summary,) = report.summaries
    assert (summary.failed, summary.expected) == (0, len(failing))
    one = next(o for o in report.outcomes if o.status == "expected failure")
    assert one.reason == "masks are filled before the call"
    assert one.message  # what is wrong is still told


def test_other_failures_stay(judge: Judge, backend: Backend) -> None:
    known = ExpectedFailures("known.toml", {"softmax/float32/absent/holds-nan": "known"})
    report = judge(backend(softmax=leaking), functions=["softmax"], expected=known)
    found = statuses(report)
    assert found["softmax/float32/absent/holds-nan"] == "expected failure"
    assert found["softmax/float32/absent/holds-inf"] == "failed"
    assert not report.holds


def outcome(status: str) -> Outcome:
    return Outcome(NORMAL, status, "what is wrong" if status == "failed" else "")


@pytest.mark.parametrize("name", [NORMAL, "softmax/*/values/normal", "softmax/float32/*"])
def test_applied_to_an_outcome(name: str) -> None:
    known = ExpectedFailures("known.toml", {name: "a reason"})
    assert known.apply(outcome("failed"), smoke=False).status == "expected failure"
    assert known.apply(outcome("error"), smoke=False).holds
    assert known.apply(outcome("timed out"), smoke=False).holds
    for status in ("passed", "not promised"):
        stale = known.apply(outcome(status), smoke=False)
        assert stale.status == "stale"
        assert not stale.holds
        assert stale.message == (
            "fails no more, take it out of known.toml; it was expected: a reason"
        )
        # A few rows prove nothing.
        assert known.apply(outcome(status), smoke=True) == outcome(status)
    other = ExpectedFailures("known.toml", {"softmax/float16/*": "a reason"})
    assert other.apply(outcome("failed"), smoke=False) == outcome("failed")


def test_exact_id_comes_before_a_wildcard() -> None:
    known = ExpectedFailures("known.toml", {"softmax/*": "in general", NORMAL: "this one"})
    assert known.reason(NORMAL) == "this one"
    assert known.reason("softmax/float32/values/ties") == "in general"
    assert known.reason("ssmax/float32/values/ties") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"known\.toml: has no table \[expected-failures\] of ids and reasons"),
        ("expected-failures = 1", r"expected-failures is 1; it is a table of ids and reasons"),
        (
            f'[expected-failures]\n"{NORMAL}" = ""',
            f"\"{NORMAL}\" has the reason ''; it is a sentence",
        ),
        (f'[expected-failures]\n"{NORMAL}" = 3', f'"{NORMAL}" has the reason 3; it is a sentence'),
        ("[expected-failures", r"known\.toml: is no TOML: Expected"),
        (f'[expected-failures]\n"{NORMAL}" = "a"\n"{NORMAL}" = "b"', r"is no TOML: .*overwrite"),
    ],
    ids=["empty", "number", "no reason", "no text", "no toml", "twice"],
)
def test_files_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        ExpectedFailures.read(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.toml: No such file"):
        ExpectedFailures.read(tmp_path / "gone.toml")


def test_stale_line_fails_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: Backend
) -> None:
    path = expected(tmp_path / "known.toml", **{"softmax/float16/result/dtype": "once it did"})
    options = ["--function", "softmax", "--dtype", "float16", "--expected-failures", str(path)]
    # The full run: the rows of the smoke run are too few to call a line stale.
    assert main(["numpy", *options, "--smoke"]) == 0
    assert main(["numpy", *options]) == 1
    out = capsys.readouterr().out
    assert "FAIL softmax/float16/result/dtype" in out
    assert f"fails no more, take it out of {path}; it was expected: once it did" in out
    assert "numpy: 1 entry fails" in out


def test_unmatched_line_is_refused_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = expected(tmp_path / "known.toml", **{"softmax/float32/values/norml": "typed wrongly"})
    assert main(["numpy", "--smoke", "--expected-failures", str(path)]) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err == (
        f'softmax-variants conformance: {path}: "softmax/float32/values/norml" matches no entry '
        "of the suite for this backend; did you mean softmax/float32/values/normal?\n"
    )


def test_line_for_what_is_not_judged_now_is_no_error(tmp_path: Path) -> None:
    path = expected(tmp_path / "known.toml", **{"ssmax/float64/values/normal": "elsewhere"})
    options = ["--smoke", "--function", "softmax", "--dtype", "float32"]
    assert main(["numpy", *options, "--expected-failures", str(path)]) == 0


def test_command_says_what_was_expected(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    backend: Backend,
) -> None:
    reasons = {LEAKS: "masks", "softmax/float32/special/*": "masks"}
    path = expected(tmp_path / "known.toml", **reasons)
    options = ["--smoke", "--function", "softmax", "--dtype", "float32"]
    assert main([backend(softmax=leaking), *options, "--expected-failures", str(path)]) == 0
    out = capsys.readouterr().out
    assert "every claim holds but for" in out
    assert "holds but for" in out
    assert "FAIL" not in out
