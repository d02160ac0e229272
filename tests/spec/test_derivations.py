"""Derivations: every step holds, wrong steps are found, and trees mean what they say."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from derivation_support.mutations import inner_mutants, outer_mutants, reversed_step
from softmax_variants_spec.derivations import DERIVATIONS, LEAST_ROWS, check
from softmax_variants_spec.derivations.__main__ import main
from softmax_variants_spec.derivations.checking import Rows, check_step
from softmax_variants_spec.derivations.derivation import Condition, Step, step
from softmax_variants_spec.derivations.expression import lift

if TYPE_CHECKING:
    from softmax_variants_spec.derivations.derivation import Derivation


@pytest.fixture(scope="module", params=DERIVATIONS)
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def derivation(key: str) -> Derivation:
    return DERIVATIONS[key]


@pytest.fixture(scope="module")
def rows(derivation: Derivation) -> Rows:
    return Rows(derivation.samples)


def test_every_step_holds_at_enough_rows(derivation: Derivation, rows: Rows) -> None:
    checked = check(derivation, rows)
    assert checked.faults() == []
    assert [found.step for found in checked.steps] == list(derivation.equations())


def found(equation: Step, rows: Rows) -> bool:
    try:
        return bool(check_step("", equation, rows, stop=True).disagreements)
    except ZeroDivisionError:
        return True  # the change took a sum away from a denominator


def vanishes(equation: Step, rows: Rows) -> bool:
    """Tell whether both sides are 0 everywhere, so that signs and factors have no meaning."""
    zero = replace(equation, right=step(0, "=", 0, "").right)
    return not found(zero, rows)


STILL_RIGHT = {
    # Σ_i of exp(x_i) over n exp(x_i) is 1 as well.
    "softmax/definition": 1,
    # ∂c/∂b is 1; and Σ y_i (x_i − x̄) = 0 = Σ y_i (dy_i − mean), so that any number may take the
    # place of the one mean or of the other.
    "ssmax/parameters": 5,
    # i and j are the same beside δ_ij.
    "sa_softmax/plain": 4,
    # λ'_l is 0, r_l is 1, and the gate does not move.
    "sa_softmax/theorem": 4,
    # Beside δ_ij and δ_hj.
    "sa_softmax/detached": 2,
    # Σ_k p_k is 1.
    "rounding/mean-distance": 1,
}
"""How many of the changes inside a derivation change nothing."""


def test_a_wrong_step_is_found(key: str, derivation: Derivation, rows: Rows) -> None:
    missed = 0
    for equation in derivation.equations():
        if equation.relation != "=":
            assert found(reversed_step(equation), rows), equation.latex()
            continue
        *others, one_more = outer_mutants(equation)
        assert found(one_more, rows), equation.latex()
        if vanishes(equation, rows):
            continue
        for wrong in others:
            assert found(wrong, rows), wrong.latex()
        missed += sum(not found(wrong, rows) for wrong in inner_mutants(equation))
    assert missed == STILL_RIGHT.get(key, 0)


def test_lengths_ties_and_absent_entries_are_among_the_rows() -> None:
    for key in ("softmax/jacobian", "ssmax/jacobian", "sa_softmax/jacobian", "family/jacobian"):
        rows = [sample.row for sample in DERIVATIONS[key].samples]
        present = [[row.x[i] for i in row.present] for row in rows]
        assert {1, 2, 7, 31} <= {len(logits) for logits in present}
        assert any(len(logits) < len(row.x) for logits, row in zip(present, rows, strict=True))
        for extremum in (min, max):
            assert any(logits.count(extremum(logits)) > 1 for logits in present)
        assert max(max(map(abs, logits)) for logits in present) > 1e29
        assert min(max(map(abs, logits)) for logits in present if any(logits)) < 1e-299


def test_prose_is_listed_and_chains_continue() -> None:
    derivation = DERIVATIONS["softmax/absent"]
    assert len(derivation.prose_steps()) == 2
    assert [len(group) for group in derivation.chains()] == [2, 1, 2, 1]
    shown = derivation.latex_steps()
    assert len(shown) == 4
    assert shown[0].startswith("p_{i} = ")
    assert shown[1] == r"\le e^{x_{i} - M}"


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("", ""),
        ("plain", r"\text{plain}"),
        ("D ≠ 0", r"D \ne 0"),
        ("plain, −1 ≤ x_i < x_j", r"\text{plain}\text{, }-1 \le x_i < x_j"),
        ("M > 0, attained once", r"M > 0\text{, }\text{attained once}"),
    ],
)
def test_conditions_in_latex(text: str, latex: str) -> None:
    assumes = Condition(text, lambda _place, _bound: True)
    assert step(1, "=", 1, "", assumes).latex_condition() == latex


def test_forty_digits_count() -> None:
    derivation = DERIVATIONS["softmax/shift"]
    side = derivation.claims[0].left
    for digits, agrees in ((39, False), (42, True)):
        off = side * (1 + Fraction(1, 10**digits))
        checked = check_step("", step(side, "=", off, ""), Rows(derivation.samples))
        assert bool(checked.disagreements) is not agrees


def test_too_few_rows_are_a_fault() -> None:
    derivation = DERIVATIONS["softmax/definition"]
    never = Condition("never", lambda _place, _bound: False)
    hidden = replace(derivation.claims[0], assumes=never)
    faults = check(replace(derivation, claims=(hidden,), steps=())).faults()
    assert len(faults) == 1
    assert f"is evaluated at 0 rows, at least {LEAST_ROWS} are needed" in faults[0]


def test_a_disagreement_tells_step_row_and_values() -> None:
    derivation = DERIVATIONS["softmax/definition"]
    wrong = step(derivation.claims[0].left, "=", 2, "no")
    faults = check(replace(derivation, claims=(wrong,), steps=())).faults()
    assert "Softmax is a distribution: p_{i} = 2 at (Row(function='softmax'" in faults[0]
    assert "with i = 1: 0.60946003759887711875432" in faults[0]
    assert faults[0].endswith("against 2.0")


def test_the_command_lists_what_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["softmax/absent"]) == 0
    out = capsys.readouterr().out
    assert "softmax/absent: 6 equations at " in out
    assert "2 in words: holds" in out
    assert "2 steps in words, which nothing evaluates:" in out
    assert main(["softmax/jvp", "--latex"]) == 0
    assert r"\nabla_t p_{i} = p_{i}" in capsys.readouterr().out


def test_the_command_fails_where_a_step_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    derivation = DERIVATIONS["softmax/jvp"]
    wrong = replace(derivation, claims=(replace(derivation.claims[0], right=lift(1)),))
    monkeypatch.setitem(DERIVATIONS, "softmax/jvp", wrong)
    assert main(["softmax/jvp"]) == 1
    out = capsys.readouterr().out
    assert "1 in words: wrong" not in out
    assert "softmax/jvp: 6 equations" in out
    assert ": wrong" in out


def test_the_command_names_unknown_keys(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["softmax/nothing"])
    assert "KEY must be one of softmax/definition, " in capsys.readouterr().err
