"""Ids are permanent: one an entry, the same for ever, readable, in the order of the suite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from softmax_variants_spec.conformance.checks import entries
from softmax_variants_spec.conformance.regimes import REGIMES, regime
from softmax_variants_spec.conformance.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.context import Context
    from softmax_variants_spec.conformance.runner import Report
    from softmax_variants_spec.conformance.variants import Variant

IDS = Path(__file__).with_name("ids.txt")
"""Every id of the suite, `*` for the dtype. An id that has been released is never removed or given
another meaning; a new entry is a new line where the comparison says."""


def ids(variant: Variant, *, smoke: bool) -> list[str]:
    return [
        f"{variant.label}/*/{entry.kind}/{entry.name}" for entry in entries(variant, smoke=smoke)
    ]


def test_ids_are_those_written_down() -> None:
    found = [one for variant in VARIANTS for one in ids(variant, smoke=False)]
    assert found == IDS.read_text(encoding="utf-8").splitlines()


def test_ids_are_unique() -> None:
    written = IDS.read_text(encoding="utf-8").splitlines()
    assert len(set(written)) == len(written)
    names = [one.name for one in REGIMES]
    assert len(set(names)) == len(names)
    assert all(regime(name).name == name for name in names)


def test_ids_are_readable() -> None:
    for one in IDS.read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"[a-z_]+(\.[a-z]+)?/\*/[a-z-]+/[a-z.-]+", one), one


def test_regimes_say_what_they_are_after() -> None:
    for one in REGIMES:
        assert re.fullmatch(r"[A-Za-z].*[^.]\.", one.sentence), one.name


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.label)
def test_the_smoke_run_has_the_same_ids(variant: Variant) -> None:
    whole = ids(variant, smoke=False)
    smoke = ids(variant, smoke=True)
    assert [one for one in whole if "/bulk/" not in one] == smoke


@pytest.mark.parametrize("function", ["softmax", "ssmax", "sa_softmax.minmax"])
def test_outcomes_have_the_ids_of_their_entries(
    function: str, judge: Callable[..., Report]
) -> None:
    report = judge("numpy", functions=[function])
    (variant,) = [v for v in VARIANTS if v.label == function]
    wanted = [one.replace("*", "float32") for one in ids(variant, smoke=True)]
    assert [outcome.id for outcome in report.outcomes] == wanted


def test_bulk_outcomes_have_the_ids_of_their_entries(
    context: Callable[..., Context],
) -> None:
    made = context("numpy", "softmax", "float16")
    for entry in entries(made.variant, smoke=False):
        if entry.kind == "bulk":
            outcome = entry.run(made)
            assert outcome.id == entry.id(made) == f"softmax/float16/bulk/{entry.name}"
            assert outcome.weights is not None
            wanted = 1 << 20 if entry.name != "long-row" else 100_003
            assert outcome.weights.entries == wanted
            assert outcome.status == "passed"
