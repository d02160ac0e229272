"""The ratchet: a recorded error may not grow."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance.cli import main
from softmax_variants_spec.conformance.expected import SettingsError
from softmax_variants_spec.conformance.outcome import GradientMeasure, Outcome, WeightMeasure
from softmax_variants_spec.conformance.ratchet import Ratchet
from softmax_variants_spec.conformance.subject import load_subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Backend = Callable[..., str]

OPTIONS = ["--smoke", "--function", "softmax", "--dtype", "float32"]
NORMAL = "softmax/float32/values/normal"
GRADIENT = "softmax/float32/gradients/dx.normal"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.json"
    assert main(["numpy", *OPTIONS, "--report", str(path)]) == 0
    return path


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def outcomes(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {outcome["id"]: outcome for outcome in content["outcomes"]}


def test_same_errors_hold(recorded: Path) -> None:
    assert main(["numpy", *OPTIONS, "--ratchet", str(recorded)]) == 0


def test_larger_errors_fail(
    recorded: Path, capsys: pytest.CaptureFixture[str], backend: Backend
) -> None:
    def softmax(x: Any, **options: Any) -> Any:
        y = honest.softmax(x, **options)
        y[...] = np.where(y < 0.4, y * x.dtype.type(1 + 2.0**-20), y)
        return y

    module = backend(softmax=softmax, CLAIMS={("softmax", "float32"): 40.0})
    capsys.readouterr()
    # Within what it claims, and worse than it was.
    assert main([module, *OPTIONS]) == 0
    changed(recorded, lambda c: [s.update(claim="40 ULP") for s in c["summaries"]])
    capsys.readouterr()
    assert main([module, *OPTIONS, "--ratchet", str(recorded)]) == 1
    out = capsys.readouterr().out
    assert f"the error grew since {recorded}: error" in out
    assert "ULP, recorded 0.4" in out
    assert "at normal[0]" in out


def test_gradients_too(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def less(content: dict[str, Any]) -> None:
        outcomes(content)[GRADIENT]["gradient"]["max_ratio"] = 1e-4

    assert main(["numpy", *OPTIONS, "--ratchet", str(changed(recorded, less))]) == 1
    out = capsys.readouterr().out
    assert "of what the claim allows, recorded 0.0001, at normal[0]" in out
    assert "numpy: 1 entry fails" in out


def test_grown_by_the_last_digit_that_is_recorded(recorded: Path) -> None:
    ratchet = Ratchet.read(recorded)
    measure = WeightMeasure(ratchet.weights[NORMAL], "correct", 8, 8, 8, None)
    same = Outcome(NORMAL, "passed", weights=measure)
    assert ratchet.apply(same) == same
    more = replace(same, weights=replace(measure, max_error=measure.max_error * (1 + 2e-8)))
    assert ratchet.apply(more).status == "failed"
    less = replace(same, weights=replace(measure, max_error=measure.max_error * (1 - 2e-8)))
    assert ratchet.apply(less) == less


def test_what_was_not_recorded_is_free(recorded: Path) -> None:
    ratchet = Ratchet.read(recorded)
    new = Outcome(
        "softmax/float32/values/new", "passed", weights=WeightMeasure(9.0, None, 1, 1, 0, None)
    )
    assert ratchet.apply(new) == new
    other = Outcome("softmax/float32/gradients/dx.new", "passed")
    other = replace(other, gradient=GradientMeasure(9.0, None, None))
    assert ratchet.apply(other) == other


def test_failures_stay_what_they_are(recorded: Path) -> None:
    failed = Outcome(NORMAL, "failed", "what is wrong", weights=None)
    assert Ratchet.read(recorded).apply(failed) == failed


def test_infinite_errors_were_recorded_as_text(recorded: Path) -> None:
    def endless(content: dict[str, Any]) -> None:
        outcomes(content)[NORMAL]["weights"]["max_error"] = "inf"

    ratchet = Ratchet.read(changed(recorded, endless))
    assert ratchet.weights[NORMAL] == float("inf")


def test_smoke_record_is_no_measure_of_the_full_run(recorded: Path) -> None:
    with pytest.raises(SettingsError, match="records a smoke run, whose rows are fewer"):
        Ratchet.read(recorded).check(load_subject("numpy"), smoke=False)


def test_other_claims_are_refused(
    recorded: Path, capsys: pytest.CaptureFixture[str], backend: Backend
) -> None:
    module = backend(CLAIMS={("softmax", "float32"): "tight"})
    capsys.readouterr()
    assert main([module, *OPTIONS, "--ratchet", str(recorded)]) == 2
    assert capsys.readouterr().err == (
        f"softmax-variants conformance: {recorded}: records softmax in float32 under the claim "
        "0.500004 ULP, and the backend now claims tight: write it anew with --report\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "is no report; the option --report writes one"),
        ('{"format": "other"}', "is no report"),
        (
            '{"format": "softmax-variants conformance report", "version": 1}',
            "is a report of version 1, wants 2: write it anew with --report",
        ),
    ],
    ids=["no json", "list", "other", "old"],
)
def test_files_that_are_no_reports(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.json"
    path.write_text(text, encoding="utf-8")
    assert main(["numpy", *OPTIONS, "--ratchet", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"softmax-variants conformance: {path}: {message}")


def test_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["numpy", *OPTIONS, "--ratchet", str(tmp_path / "gone.json")]) == 2
    assert "gone.json: No such file or directory" in capsys.readouterr().err
