"""Special values: the reference keeps every sentence, and what breaks one is told which."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest

from softmax_variants_spec.formats import FORMATS, Format
from softmax_variants_spec.special_values import SPECIAL_VALUES, Case, SpecialValue, reference

if TYPE_CHECKING:
    from collections.abc import Callable

every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
every_value = pytest.mark.parametrize("value", SPECIAL_VALUES, ids=lambda value: value.id)

FLOAT32 = FORMATS["float32"]
INF, NAN = math.inf, math.nan


@every_format
@every_value
def test_the_reference_keeps_the_sentence(value: SpecialValue, fmt: Format) -> None:
    assert value.check(lambda case: reference(case, fmt), fmt) == []


@every_value
def test_each_number_judged_can_fail(value: SpecialValue) -> None:
    for case in value.cases(FLOAT32):
        right = reference(case, FLOAT32)
        for i, wanted in enumerate(case.expected):
            if wanted is None:
                continue
            for wrong in (
                1e-30 if wanted == 0 else 0.0,
                NAN if wanted == wanted else 1.0,
                wanted + 1,
            ):
                if wrong == wanted or (math.isnan(wrong) and math.isnan(wanted)):
                    continue
                (line,) = case.failures([*right[:i], wrong, *right[i + 1 :]])
                assert line == f"{case.expect}[{i}] is {wrong!r}, must be {wanted!r}"


@every_value
def test_results_of_another_length_fail(value: SpecialValue) -> None:
    (first, *_) = value.check(lambda case: [*reference(case, FLOAT32), 0.0], FLOAT32)
    assert re.match(r"\w+: \d+ numbers, must be \d+ in Case\(", first)


@every_format
@every_value
def test_cases_are_well_formed(value: SpecialValue, fmt: Format) -> None:
    cases = value.cases(fmt)
    assert cases
    for case in cases:
        assert value.id.split(".")[0] == case.function
        numbers = [*case.x, *(case.dy or ())]
        assert all(fmt.representable(v) or math.isnan(v) for v in numbers)
        assert len(case.expected) == (1 if case.expect in {"ds", "db"} else len(case.x))
        assert (case.dy is None) == (case.expect == "weights")
        judged = [wanted for wanted in case.expected if wanted is not None]
        assert all(fmt.representable(wanted) or math.isnan(wanted) for wanted in judged)
        assert judged or not case.x


def test_ids_are_unique_and_readable() -> None:
    ids = [value.id for value in SPECIAL_VALUES]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"(softmax|ssmax|sa_softmax)\.[a-z]+(-[a-z]+)*", name) for name in ids)


def test_sentences_are_sentences() -> None:
    for value in SPECIAL_VALUES:
        assert re.fullmatch(r"[A-Z].*\.", value.sentence), value.id
        assert ". " not in value.sentence


def test_gradients_need_cotangents() -> None:
    case = Case("softmax", (1.0,), expected=(0.0,), expect="gradient")
    with pytest.raises(ValueError, match="needs cotangents dy, got None"):
        reference(case, FLOAT32)


def broken(change: Callable[[Case], Case]) -> set[str]:
    """Return the ids of the sentences that a backend breaks which mistakes one case for another."""
    return {
        value.id
        for value in SPECIAL_VALUES
        if value.check(lambda case: reference(change(case), FLOAT32), FLOAT32)
    }


def altered(case: Case, **changes: object) -> Case:
    return Case(**{**vars(case), **changes})  # type: ignore[arg-type]


def test_counting_absent_entries_is_found() -> None:
    def count_all(case: Case) -> Case:
        return altered(case, n=len(case.x) or 1) if case.n is None else case

    assert broken(count_all) == {"ssmax.n-counts-present"}


def test_counting_entries_that_hold_minus_infinity_is_found() -> None:
    def count_unmasked(case: Case) -> Case:
        count = len(case.x) if case.where is None else sum(case.where)
        return altered(case, n=count or 1) if case.n is None else case

    assert broken(count_unmasked) == {"ssmax.n-counts-present"}


def test_ignoring_a_given_n_is_found() -> None:
    assert "ssmax.n-given" in broken(lambda case: altered(case, n=None))


def test_ignoring_the_mask_is_found() -> None:
    found = broken(lambda case: altered(case, where=None))
    assert {f"{f}.absent-weight" for f in ("softmax", "ssmax", "sa_softmax")} <= found
    assert {f"{f}.absent-gradient" for f in ("softmax", "ssmax", "sa_softmax")} <= found
    assert {f"{f}.empty-row" for f in ("softmax", "ssmax", "sa_softmax")} <= found


def test_detaching_the_extrema_is_found() -> None:
    found = broken(lambda case: altered(case, detach_extrema=True))
    assert found == {
        "sa_softmax.shifted-equal-logits-gradient",
        "sa_softmax.lone-entry-gradient",
        "sa_softmax.absent-gradient",
        "sa_softmax.ties",
        "sa_softmax.ties-with-appended-zero",
        "sa_softmax.normalized-maximum",
    }


def test_differentiating_detached_extrema_is_found() -> None:
    found = broken(lambda case: altered(case, detach_extrema=False))
    assert found == {"sa_softmax.shifted-equal-logits-gradient", "sa_softmax.detached-extrema"}


def test_dividing_zero_by_zero_is_found() -> None:
    def quotient(case: Case) -> list[float]:
        got = reference(case, FLOAT32)
        present = [
            i for i, v in enumerate(case.x) if v != -INF and (case.where is None or case.where[i])
        ]
        x = [case.x[i] for i in present]
        zero = case.function == "sa_softmax" and (
            (case.form == "minmax" and len(set(x)) == 1)
            or (case.form == "normalized" and set(x) == {0.0})
        )
        return [NAN if zero and i in present else v for i, v in enumerate(got)]

    found = {value.id for value in SPECIAL_VALUES if value.check(quotient, FLOAT32)}
    assert "sa_softmax.zero-denominator" in found
    assert "sa_softmax.zero-denominator-gradient" in found
    assert not any(name.startswith(("softmax.", "ssmax.")) for name in found)


def test_nan_in_empty_rows_is_found() -> None:
    def naive(case: Case) -> list[float]:
        got = reference(case, FLOAT32)
        where = case.where or (True,) * len(case.x)
        empty = not any(w and v != -INF for w, v in zip(where, case.x, strict=True))
        return [NAN] * len(got) if empty else got

    found = {value.id for value in SPECIAL_VALUES if value.check(naive, FLOAT32)}
    functions = ("softmax", "ssmax", "sa_softmax")
    assert found == {
        *(f"{f}.empty-row" for f in functions),
        *(f"{f}.empty-row-gradient" for f in functions),
        "ssmax.empty-row-parameters",
    }


def test_a_gradient_of_s_without_the_logarithm_is_found() -> None:
    def without_logarithm(case: Case) -> list[float]:
        return reference(altered(case, expect="db") if case.expect == "ds" else case, FLOAT32)

    found = {value.id for value in SPECIAL_VALUES if value.check(without_logarithm, FLOAT32)}
    assert found == {"ssmax.n-one"}
