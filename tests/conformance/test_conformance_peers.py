"""What the suite says of functions as libraries ship them and people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from softmax_variants_spec.conformance.checks import entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.context import Context
    from softmax_variants_spec.conformance.outcome import Outcome
    from softmax_variants_spec.conformance.runner import Report

    Judge = Callable[..., Report]

EMPTY_ROWS = {"special/empty-row", "special/empty-row-gradient"}
"""0 / 0 where no entry is present."""
LEAKS = {
    "absent/gradient-holds-nan",
    "absent/gradient-holds-inf",
    "absent/gradient-holds--inf",
    "special/absent-gradient",
}
"""A derivative multiplies a weight of 0 by what an absent entry's cotangent holds."""
NOT_SET_ASIDE = {"special/nan", "special/plus-infinity", "special/non-finite-cotangent"}
"""NaN in all of a row, its absent entries too."""
OVERFLOWS = {"values/range-ends", "gradients/dx.range-ends"}


def failures(report: Report, label: str) -> dict[str, Outcome]:
    """Return what fails for a variant, by kind and name."""
    of_variant = [o for o in report.outcomes if o.id.startswith(f"{label}/")]
    assert of_variant
    return {o.id.split("/", maxsplit=2)[2]: o for o in of_variant if not o.holds}


def test_torch_softmax(judge: Judge) -> None:
    report = judge("peers.torch_softmax", functions=["softmax"])
    failed = failures(report, "softmax")
    assert failed.keys() >= EMPTY_ROWS | LEAKS | NOT_SET_ASIDE | {"values/masked"}
    # Nothing but rows without entries, what is not finite, and the bits of its sums.
    assert {name.partition("/")[0] for name in failed} <= {
        *("special", "absent", "values", "same-bits")
    }
    assert [name for name in failed if name.startswith("values/")] == ["values/masked"]
    # What it gives is the class made for softmax as it is usually written, and no better.
    classes = {
        o.id.rpartition("/")[2]: (o.weights.class_met, o.weights.max_error)
        for o in report.outcomes
        if o.weights is not None
    }
    met, error = classes["binade-crossing"]
    assert met == "bounded"
    assert error > 10


def test_scipy_softmax(judge: Judge) -> None:
    failed = failures(judge("peers.scipy_softmax", functions=["softmax"]), "softmax")
    missing = {name for name, o in failed.items() if "no function softmax_vjp" in o.message}
    assert failed.keys() - missing == {*("special/empty-row", "special/zero-size", "values/masked")}
    assert failed["special/zero-size"].message.startswith("raised ValueError: zero-size array")
    # The function that is not there is named wherever it is needed.
    assert missing >= {name for name in failed if name.startswith("gradients/")} | LEAKS


def test_jax_softmax(context: Callable[..., Context]) -> None:
    # Few entries: JAX compiles every operation anew for every shape.
    judged = {
        "special/empty-row": "failed",
        "special/absent-weight": "passed",
        "special/absent-gradient": "failed",
        "special/nan": "failed",
        "values/binade-crossing": "passed",
        "probe/flushing": "passed",
    }
    here = context("peers.jax_softmax", "softmax", "float32")
    found = {
        f"{entry.kind}/{entry.name}": entry.run(here)
        for entry in entries(here.variant, smoke=True)
        if f"{entry.kind}/{entry.name}" in judged
    }
    assert {name: outcome.status for name, outcome in found.items()} == judged
    weights = found["values/binade-crossing"].weights
    assert weights is not None
    assert weights.class_met == "bounded"
    assert weights.max_error > 10


def test_ssmax_as_written(judge: Judge) -> None:
    failed = failures(judge("peers.ssmax_as_written", functions=["ssmax"]), "ssmax")
    assert failed.keys() >= EMPTY_ROWS | LEAKS | NOT_SET_ASIDE | OVERFLOWS
    # n is the length of the row, whatever of it is absent.
    assert failed.keys() >= {"special/n-counts-present", "values/masked", "values/recorded"}
    # Scale before shift.
    assert failed.keys() >= {"values/scaled-large-centre", "invariance/shift"}
    # 0 times -inf, and -inf turned into the largest logit.
    assert failed.keys() >= {"special/zero-factor", "special/negative-factor"}
    # ln 0 where there is no entry at all.
    assert failed["special/zero-size"].message == "raised ValueError: math domain error"
    # Right all the same: ordinary rows, and a small spread of scales.
    assert not failed.keys() & {"values/normal", "values/scales", "gradients/dx.normal"}


@pytest.mark.parametrize(
    ("form", "also"),
    [
        ("plain", set()),
        ("normalized", {"values/narrow", "values/zeros", "special/ties-with-appended-zero"}),
    ],
)
def test_sa_softmax_as_written(judge: Judge, form: str, also: set[str]) -> None:
    label = f"sa_softmax.{form}"
    failed = failures(judge("peers.sa_softmax_as_written", functions=[label]), label)
    assert failed.keys() >= EMPTY_ROWS | NOT_SET_ASIDE
    # A gate of -inf times a probability of 0, and -inf for the smallest logit.
    assert failed.keys() >= {"special/absent-weight", "absent/exactly-zero", "values/masked"}
    assert failed.keys() >= also
    assert not failed.keys() & {"values/normal", "gradients/dx.normal", "gradients/dx.sterbenz"}
