"""What a backend claims and declares is what it is held to."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pytest

from softmax_variants_spec.conformance.subject import Claim, SubjectError, load_subject
from softmax_variants_spec.conformance.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.outcome import Outcome
    from softmax_variants_spec.conformance.runner import Report

    Judge = Callable[..., Report]
    Backend = Callable[..., str]

flushing = importlib.import_module("broken_backends.flushing")
plain = importlib.import_module("broken_backends.plain")

SUMS = {"same-bits/layout", "same-bits/axis"}


def failed(report: Report) -> dict[str, Outcome]:
    """Return the outcomes that do not hold, by kind and name (of one function and dtype)."""
    return {o.id.split("/", maxsplit=2)[2]: o for o in report.outcomes if not o.holds}


# ---------------------------------------------------------------------------------- plain softmax


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_plain_softmax_holds_bounded(dtype: str, judge: Judge) -> None:
    report = judge("broken_backends.plain", functions=["softmax"], dtypes=[dtype])
    assert failed(report) == {}
    (summary,) = report.summaries
    assert summary.claim == summary.class_met == "bounded"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_softmax_is_not_tight(
    dtype: str, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "CLAIMS", {("softmax", dtype): "tight"}, raising=False)
    report = judge("broken_backends.plain", functions=["softmax"], dtypes=[dtype])
    found = failed(report)
    # Where x - max crosses binades the shift rounds, and exp magnifies what is lost ...
    assert {"values/binade-crossing", "values/thresholds"} <= found.keys()
    assert "the shift rounds" in found["values/binade-crossing"].message
    # ... and where it is exact nothing is lost: the control must not fail.
    controls = {"values/sterbenz", "values/large-centre", "values/zeros", "values/range-ends"}
    assert not controls & found.keys()
    assert not {name for name in found if name.startswith(("special/", "result/", "purity/"))}
    worst = found["values/binade-crossing"].weights
    assert worst is not None
    # The spread of the format allows no more than about 68 ULP in float32 and 500 in float64.
    least, most = {"float32": (30, 70), "float64": (200, 510)}[dtype]
    assert least < worst.max_error < most
    assert worst.class_met == "bounded"
    assert report.summaries[0].class_met == "bounded"


@pytest.mark.parametrize("claim", [0.5, 0.75, 3.0, "correct", "faithful"])
def test_a_stronger_claim_fails_as_well(
    claim: str | float, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "CLAIMS", {("softmax", "float32"): claim}, raising=False)
    found = failed(judge("broken_backends.plain", functions=["softmax"]))
    message = found["values/binade-crossing"].message
    wanted = claim if isinstance(claim, str) else f"{claim:g} ULP"
    assert f"wants {wanted};" in message


def test_a_number_that_is_large_enough_holds(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "CLAIMS", {("softmax", "float32"): 70.0}, raising=False)
    assert failed(judge("broken_backends.plain", functions=["softmax"])) == {}


# ----------------------------------------------------------------------------------- declarations


def test_unordered_sums_declared(judge: Judge) -> None:
    report = judge("broken_backends.plain", functions=["softmax"])
    away = {o.id: o.message for o in report.outcomes if o.status == "not promised"}
    assert {name.split("/")[2] for name in away} == {"same-bits"}
    assert len(away) == 5
    assert set(away.values()) == {"the backend declares ORDERED_SUMS = False"}
    assert report.holds


def test_unordered_sums_undeclared(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(plain, "ORDERED_SUMS")
    found = failed(judge("broken_backends.plain", functions=["softmax"]))
    assert found.keys() == SUMS
    assert "have other bits along axis 0" in found["same-bits/axis"].message
    assert "have other bits in column-major layout" in found["same-bits/layout"].message


@pytest.mark.parametrize("function", ["softmax", "ssmax", "sa_softmax"])
def test_flushing_declared(function: str, judge: Judge) -> None:
    report = judge("broken_backends.flushing", functions=[function])
    assert failed(report) == {}
    away = {o.id.split("/", maxsplit=2)[2] for o in report.outcomes if o.status == "not promised"}
    assert {name.rpartition(".")[2].rpartition("/")[2] for name in away} == {"subnormal-logits"}
    assert {"values/subnormal-logits", "gradients/dx.subnormal-logits"} <= away


@pytest.mark.parametrize("label", ["softmax", "ssmax", "sa_softmax.plain"])
def test_flushing_undeclared(label: str, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(flushing, "FLUSHES_SUBNORMALS")
    found = failed(judge("broken_backends.flushing", functions=[label]))
    assert {"values/binade-crossing", "gradients/dx.binade-crossing"} <= found.keys()
    if label != "softmax":  # logits that vanish change nothing in softmax
        assert "values/subnormal-logits" in found
    others = {name for name in found if not name.startswith(("values/", "gradients/"))}
    assert others == {"probe/flushing"}


def test_flushing_excuses_subnormal_results_only(judge: Judge, backend: Backend) -> None:
    """Who declares flushing and loses normal numbers as well is caught."""

    def loses_more(x: Any, **options: Any) -> Any:
        y = flushing.softmax(x, **options)
        y[y < 2.0**-125] = 0.0  # a binade of normal numbers
        return y

    name = backend(softmax=loses_more, FLUSHES_SUBNORMALS=True)
    found = failed(judge(name, functions=["softmax"]))
    assert "values/binade-crossing" in found
    assert not {name for name in found if not name.startswith("values/")}


# ------------------------------------------------------------------------------ what CLAIMS may be


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        (5, "CLAIMS is 5; it is a dict of (function, dtype) to a claim"),
        ([("softmax", "float32")], "CLAIMS is [('softmax', 'float32')]; it is a dict"),
        ({"softmax": "tight"}, "CLAIMS has the key 'softmax'; keys are (function, dtype)"),
        ({("softmax",): "tight"}, "CLAIMS has the key ('softmax',); keys are (function, dtype)"),
        ({("hardmax", "float32"): "tight"}, "('hardmax', 'float32'); keys are (function, dtype)"),
        ({("softmax", "float31"): "tight"}, "one of float16, bfloat16, float32, float64"),
        ({("sa_softmax.plain", "float32"): "tight"}, "with one of softmax, ssmax, sa_softmax and"),
        ({("softmax", "float32"): "perfect"}, "is 'perfect'; it is one of correct, faithful"),
        ({("softmax", "float32"): 0.25}, "is 0.25; it is one of"),
        ({("softmax", "float32"): -1}, "or the largest error in ULP, at least 0.5"),
        ({("softmax", "float32"): math.nan}, "is nan; it is one of"),
        ({("softmax", "float32"): math.inf}, "is inf; it is one of"),
        ({("softmax", "float32"): True}, "is True; it is one of"),
        ({("softmax", "float32"): ["tight"]}, "is ['tight']; it is one of"),
        ({("softmax", "float32"): None}, "is None; it is one of"),
        (
            {("softmax", "bfloat16"): "tight"},
            "nothing to judge, it claims bfloat16 and numpy has float16, float32, float64",
        ),
    ],
    ids=repr,
)
def test_bad_claims(claims: Any, message: str, backend: Backend) -> None:
    name = backend(CLAIMS=claims)
    with pytest.raises(SubjectError) as caught:
        load_subject(name)
    text = str(caught.value)
    assert message in text
    assert name in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("stated", "implied", "text"),
    [
        (0.5, "correct", "0.5 ULP"),
        (0.5 + 2**-13, "faithful", "0.500122 ULP"),
        (1.0, "tight", "1 ULP"),
        (4, "tight", "4 ULP"),
        (4.5, "bounded", "4.5 ULP"),
        ("faithful", "faithful", "faithful"),
    ],
)
def test_class_that_a_claim_implies(stated: str | float, implied: str, text: str) -> None:
    assert Claim(stated).weight_class == implied
    assert str(Claim(stated)) == text


def test_no_claim_is_bounded(backend: Backend) -> None:
    subject = load_subject(backend(CLAIMS={("softmax", "float32"): "tight"}))
    assert subject.formats() == ("float32",)
    claims = {v.label: str(subject.claim(v, "float32")) for v in VARIANTS}
    assert claims.pop("softmax") == "tight"
    assert set(claims.values()) == {"bounded"}


def test_without_claims_every_format_of_the_library_is_judged(backend: Backend) -> None:
    assert load_subject(backend(CLAIMS=None)).formats() == ("float16", "float32", "float64")
