"""The committed mutation run: how many mutants the suite catches, and why the others survive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path(__file__).resolve().parents[2] / "docs/results"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return json.loads((RESULTS / "mutation.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def mutants(results) -> list[dict[str, str]]:
    return results["mutants"]


def _with_status(mutants: list[dict[str, str]], status: str) -> list[dict[str, str]]:
    return [mutant for mutant in mutants if mutant["status"] == status]


def test_at_least_95_percent_of_those_that_change_a_value_are_caught(mutants):
    caught, survived = (_with_status(mutants, s) for s in ("caught", "survived"))
    assert len(caught) >= 0.95 * (len(caught) + len(survived))


def test_every_mutant_is_judged_once(mutants):
    statuses = {"caught", "survived", "no value changed"}
    assert {mutant["status"] for mutant in mutants} <= statuses
    assert len({mutant["id"] for mutant in mutants}) == len(mutants)
    for mutant in _with_status(mutants, "caught"):
        assert mutant["by"], mutant["id"]


def test_every_survivor_has_a_reason(mutants):
    page = (RESULTS / "mutation.md").read_text(encoding="utf-8")
    for mutant in _with_status(mutants, "survived"):
        assert mutant["reason"], mutant["id"]
        assert f"`{mutant['id']}`" in page
        assert mutant["reason"] in page


def test_page_says_how_many_were_judged(results, mutants):
    """Those judged are a random sample of all, large enough for its share to mean something."""
    page = (RESULTS / "mutation.md").read_text(encoding="utf-8")
    judged, made = len(mutants), results["made"]
    assert 1000 <= judged <= made
    whole = f"All {made} mutants were judged."
    sample = f"A random sample of {judged} of the {made} mutants was judged; {made - judged} were"
    assert (whole if judged == made else sample) in page


def test_page_says_how_many(mutants):
    page = (RESULTS / "mutation.md").read_text(encoding="utf-8")
    caught, survived = (len(_with_status(mutants, s)) for s in ("caught", "survived"))
    assert f"Of {len(mutants)} mutants" in page
    assert f"{caught + survived} others **{caught} are caught" in page
