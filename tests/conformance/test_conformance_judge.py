"""The judge on cases made by hand: errors, neighbours and classes whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from softmax_variants_spec.accuracy import CLASSES, is_faithful, ulp_error
from softmax_variants_spec.conformance.judge import (
    Allowance,
    gradient_ratios,
    parameter_ratios,
    weight_errors,
)
from softmax_variants_spec.conformance.references import (
    LOW_SHIFT,
    GradientReference,
    ParameterReference,
    WeightReference,
)
from softmax_variants_spec.conformance.subject import Claim
from softmax_variants_spec.decision import decide_exact
from softmax_variants_spec.formats import FORMATS, Format

F16, F32, F64 = FORMATS["float16"], FORMATS["float32"], FORMATS["float64"]


def reference(*values: Fraction | float, fmt: Format = F32, tolerance: float = 9.0) -> Any:
    """Return the reference of a row of exact values."""
    decided = [decide_exact(Fraction(value), fmt) for value in values]
    return WeightReference(
        rounded=np.asarray([[d.rounded for d in decided]]),
        residual=np.asarray([[d.residual for d in decided]]),
        ulp_exponent=np.asarray([[d.ulp_exponent for d in decided]], dtype=np.int32),
        exact=np.asarray([[d.exact for d in decided]]),
        bound=np.full((1, len(decided)), 1e-6),
        tolerance=np.full((1, len(decided)), tolerance),
    )


def classes(value: Fraction | float, got: float, fmt: Format = F32, **options: Any) -> list[str]:
    """Return the classes that a result meets."""
    errors = weight_errors(np.asarray([[got]]), reference(value, fmt=fmt), fmt, **options)
    return [name for name in CLASSES if errors.meets[name].all()]


def ulps(value: Fraction | float, got: float, fmt: Format = F32, **options: Any) -> float:
    errors = weight_errors(np.asarray([[got]]), reference(value, fmt=fmt), fmt, **options)
    return float(errors.ulps[0, 0])


ALL = ["correct", "faithful", "tight", "bounded"]
ULP1 = 2.0**-23  # of binary32 in [1, 2)


def test_neighbours_above_a_binade_boundary() -> None:
    value = 1 + Fraction(ULP1) / 4
    assert classes(value, 1.0) == ALL
    assert classes(value, 1 + ULP1) == ALL[1:]
    # Half a step below 1 is nearer than 1 + ULP, but no neighbour of the value.
    assert classes(value, 1 - ULP1 / 2) == ALL[2:]
    assert ulps(value, 1.0) == 0.25
    assert ulps(value, 1 + ULP1) == 0.75
    assert ulps(value, 1 - ULP1 / 2) == 0.75


def test_neighbours_below_a_binade_boundary() -> None:
    value = 1 - Fraction(ULP1) / 8  # rounds to 1, and its ULP is half that of 1
    assert classes(value, 1.0) == ALL
    assert classes(value, 1 - ULP1 / 2) == ALL[1:]
    assert classes(value, 1 + ULP1) == ALL[2:]
    assert ulps(value, 1.0) == 0.25
    assert ulps(value, 1 - ULP1 / 2) == 0.75
    assert ulps(value, 1 + ULP1) == 2.25


@pytest.mark.parametrize("sign", [1, -1])
def test_signs(sign: int) -> None:
    value = sign * (Fraction(3, 4) + Fraction(ULP1) / 8)
    assert classes(value, sign * 0.75) == ALL
    assert classes(value, sign * (0.75 + ULP1 / 2)) == ALL[1:]
    assert classes(value, sign * (0.75 - ULP1 / 2)) == ALL[2:]
    assert classes(value, -sign * 0.75) == []


def test_a_representable_value_has_no_neighbours() -> None:
    assert classes(0.75, 0.75) == ALL
    for got in (0.75 + ULP1 / 2, 0.75 - ULP1 / 2):
        assert classes(0.75, got) == ALL[2:]
        assert ulps(0.75, got) == 1.0


def test_a_midpoint_goes_to_even_and_both_sides_are_faithful() -> None:
    value = 1 + Fraction(3 * ULP1) / 2
    assert classes(value, 1 + 2 * ULP1) == ALL
    assert classes(value, 1 + ULP1) == ALL[1:]
    assert ulps(value, 1 + ULP1) == ulps(value, 1 + 2 * ULP1) == 0.5


def test_errors_by_steps() -> None:
    value = 1.5 - Fraction(ULP1) / 4
    for steps, met in ((3, ALL[2:]), (4, ALL[3:]), (8, ALL[3:]), (9, [])):
        assert ulps(value, 1.5 + steps * ULP1) == steps + 0.25
        assert classes(value, 1.5 + steps * ULP1) == met


def test_bounded_admits_what_is_correct_however_small_the_bound() -> None:
    tight = reference(Fraction(1, 3), tolerance=0.0)
    errors = weight_errors(np.asarray([[F32.round(Fraction(1, 3))]]), tight, F32)
    assert errors.meets["bounded"].all()


def test_exact_zeros() -> None:
    assert classes(0, 0.0) == ALL
    assert classes(0, -0.0) == ALL
    # One subnormal number is 1 ULP, and yet in no class.
    assert ulps(0, F32.min_subnormal) == 1.0
    assert classes(0, F32.min_subnormal) == []
    assert classes(0, -F32.min_subnormal) == []
    # A value that is not 0 but rounds to it is another matter.
    tiny = Fraction(F32.min_subnormal) / 4
    assert classes(tiny, 0.0) == ALL
    assert classes(tiny, F32.min_subnormal) == ALL[1:]
    assert classes(tiny, -F32.min_subnormal) == ALL[2:]


def test_a_number_does_not_excuse_a_zero_that_is_not_one() -> None:
    errors = weight_errors(np.asarray([[F32.min_subnormal]]), reference(0), F32)
    assert not errors.allowed(Allowance("bounded", 100.0, "100 ULP")).any()


def test_subnormal_results() -> None:
    eta = F32.min_subnormal
    value = Fraction(eta) * Fraction(7, 2) + Fraction(eta) / 8
    assert ulps(value, 3 * eta) == 0.625
    assert classes(value, 3 * eta) == ALL[1:]
    assert classes(value, 4 * eta) == ALL
    assert classes(value, 5 * eta) == ALL[2:]
    assert classes(value, 0.0) == ALL[2:]


def test_nan_is_in_no_class() -> None:
    assert classes(0.5, math.nan) == []
    assert classes(0, math.nan) == []
    assert ulps(0.5, math.nan) == math.inf


@pytest.mark.parametrize("fmt", [F16, F32, F64], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("sign", [1, -1])
def test_overflow(sign: int, fmt: Format) -> None:
    top, end = Fraction(fmt.max), Fraction(2) ** (fmt.emax + 1)
    ulp = end - top
    inf = sign * math.inf
    # Above the midpoint of the largest number and 2^(emax + 1): infinity is correct.
    above = sign * (top + ulp * Fraction(3, 4))
    assert classes(above, inf, fmt) == ALL
    assert ulps(above, inf, fmt) == 0.25
    assert classes(above, sign * fmt.max, fmt) == ALL[1:]
    assert ulps(above, sign * fmt.max, fmt) == 0.75
    # Below it the largest number is, and infinity faithful.
    below = sign * (top + ulp / 4)
    assert classes(below, sign * fmt.max, fmt) == ALL
    # From 2^(emax + 1) on infinity has no error, and the largest number is the other neighbour.
    beyond = sign * end * Fraction(7, 4)
    assert classes(beyond, inf, fmt) == ALL
    assert ulps(beyond, inf, fmt) == 0.0
    assert ulps(beyond, sign * fmt.max, fmt) == 1.0
    # The other infinity is as far as can be.
    assert classes(beyond, -inf, fmt) == []
    assert classes(sign * top, inf, fmt) == ALL[2:]
    assert ulps(sign * top, inf, fmt) == 1.0


@pytest.mark.parametrize("sign", [1, -1])
def test_infinity_just_beyond_the_range_is_faithful(sign: int) -> None:
    top, end = Fraction(F32.max), Fraction(2) ** 128
    below = sign * (top + (end - top) / 4)
    assert ulps(below, sign * math.inf) == 0.75
    assert classes(below, sign * math.inf) == ALL[1:]


def test_flushing() -> None:
    value = Fraction(F32.min_normal) * Fraction(5, 8)
    for got in (0.0, F32.min_normal):
        assert classes(value, got) == []
        assert classes(value, got, flushes=True) == ALL
        assert ulps(value, got, flushes=True) == 0.0
    assert classes(value, F32.min_normal / 2, flushes=True) == []
    assert classes(F32.min_normal, 0.0, flushes=True) == []
    assert classes(-value, 0.0, flushes=True) == ALL
    # An exact zero stays one.
    assert classes(0, F32.min_subnormal, flushes=True) == []


def test_flushing_at_the_end_of_the_range_does_not_warn() -> None:
    assert classes(F64.max, F64.max, F64, flushes=True) == ALL


def test_several_entries() -> None:
    third = Fraction(1, 3)
    row = reference(third, 0, 0.25)
    y = np.asarray([[F32.next_up(F32.round(third)), 0.0, 0.25]])
    errors = weight_errors(y, row, F32)
    assert errors.inexact.tolist() == [[True, False, False]]
    assert errors.correct.tolist() == [[False, True, True]]
    wanted = "faithful" if row.residual[0, 0] > 0 else "tight"
    assert errors.class_met() == wanted


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_agrees_with_the_specification(fmt: Format) -> None:
    """The arrays of the judge and the fractions of the specification measure the same."""
    random = np.random.default_rng(3)
    ends = (fmt.min_subnormal, fmt.min_normal, 1.0, fmt.max)
    for end in ends:
        for _ in range(60):
            value = Fraction(end) * Fraction(random.uniform(0.4, 1.7)) * int(random.choice([-1, 1]))
            weight = decide_exact(value, fmt)
            near = [weight.rounded]
            for _ in range(2):
                near = [fmt.next_down(near[0]), *near, fmt.next_up(near[-1])]
            for got in (*near, 0.0, math.inf, -math.inf):
                assert ulps(value, got, fmt) == pytest.approx(
                    abs(ulp_error(got, weight, fmt)), rel=1e-12, abs=1e-300
                )
                assert ("faithful" in classes(value, got, fmt)) == is_faithful(got, weight, fmt)


@pytest.mark.parametrize(
    ("claim", "near_tie", "beyond", "wanted"),
    [
        ("correct", False, False, ("correct", None)),
        ("correct", True, False, ("faithful", None)),
        ("tight", True, False, ("tight", None)),
        (0.5 + 2**-13, False, False, ("faithful", 0.5 + 2**-13)),
        (0.5 + 2**-13, True, False, ("faithful", None)),
        (0.5, True, False, ("faithful", None)),
        (3.0, True, False, ("tight", None)),
        ("correct", False, True, ("bounded", None)),
        (0.5, True, True, ("bounded", None)),
    ],
)
def test_allowance(
    claim: str | float, near_tie: bool, beyond: bool, wanted: tuple[str, float | None]
) -> None:
    made = Allowance.of(Claim(claim), near_tie=near_tie, beyond_condition=beyond)
    assert (made.weight_class, made.limit) == wanted


# -------------------------------------------------------------------------------------- gradients


def gradient(
    value: float, *, scale: float = 0.0, tail: float = 0.0, low: float = 0.0, fmt: Format = F32
) -> GradientReference:
    return GradientReference(
        high=np.asarray([[value]]),
        low=np.asarray([[low]]),
        ulp=np.asarray([[2.0 ** fmt.ulp_exponent(value)]]),
        scale=np.asarray([[scale]]),
        tail=np.asarray([[tail * fmt.min_subnormal]]),
        judged=np.asarray([[True]]),
    )


def ratio(got: float, exact: GradientReference, class_name: str, fmt: Format = F32) -> float:
    present = np.asarray([[True]])
    row = reference(0.5, fmt=fmt)
    found = gradient_ratios(np.asarray([[got]]), exact, row, fmt, present, class_name)
    return float(found[0, 0])


@pytest.mark.parametrize(
    ("class_name", "allowed"),
    [
        # k ulp + C u scale + tail, for a value in [1, 2), scale 8 and tail 2^126 (one 2^-23).
        ("correct", 2.0**-23 + 4 * 2.0**-24 * 8),
        ("faithful", 2.0**-23 + 4 * 2.0**-24 * 8),
        ("tight", 4 * 2.0**-23 + 16 * 2.0**-24 * 8 + 2.0**-23),
        # The bound of the row is 1e-6.
        ("bounded", 4 * 2.0**-23 + (1e-6 / 2.0**-24 + 8) * 2.0**-24 * 8 + 2.0**-23),
    ],
)
def test_gradient_bound(class_name: str, allowed: float) -> None:
    exact = gradient(1.0, scale=8.0, tail=2.0**126)
    assert ratio(1.0 + 2.0**-20, exact, class_name) == pytest.approx(2.0**-20 / allowed, rel=1e-12)
    assert ratio(1.0 - 2.0**-20, exact, class_name) == pytest.approx(2.0**-20 / allowed, rel=1e-12)
    assert ratio(1.0, exact, class_name) == 0.0


def test_gradient_low_part_counts() -> None:
    # The value is 1 + 2^-60 of which high is 1: a result 1 ULP off is off by a little less.
    exact = gradient(1.0, low=2.0**-30)
    assert ratio(1.0 + 2.0**-23, exact, "faithful") == 1 - 2.0**-7
    assert ratio(1.0 - 2.0**-23, exact, "faithful") == 1 + 2.0**-7
    assert ratio(1.0, exact, "faithful") == 2.0**-7


def test_gradient_of_an_underflowed_scale_is_not_lost() -> None:
    """The unit roundoff times the scale of a subnormal gradient is below every binary64."""
    value = 2.0**-1040
    exact = gradient(value, scale=4 * value, fmt=F64)
    row = replace(reference(0.5, fmt=F64), bound=np.full((1, 1), 2.0**-12))
    got = np.asarray([[value * (1 + 2.0**-11)]])
    found = gradient_ratios(got, exact, row, F64, np.asarray([[True]]), "bounded")
    # 2^-11 value over C u 4 value with C u = 2^-12, and a few subnormal numbers more.
    assert found[0, 0] == pytest.approx(0.5, rel=1e-6)


def test_gradient_of_a_row_without_a_bound() -> None:
    """Where the bound of the weights is beyond all measure, "bounded" refuses NaN only."""
    row = replace(reference(0.5, fmt=F64), bound=np.full((1, 1), 1e300))
    present = np.asarray([[True]])
    exact = gradient(1.0, scale=1.0, fmt=F64)
    for got, wanted in ((1e9, 0.0), (math.nan, math.inf)):
        found = gradient_ratios(np.asarray([[got]]), exact, row, F64, present, "bounded")
        assert found[0, 0] == wanted


def test_gradient_nan_and_infinity() -> None:
    assert ratio(math.nan, gradient(1.0), "bounded") == math.inf
    assert ratio(math.inf, gradient(1.0), "bounded") > 1e30
    beyond = gradient(2.0**130)
    assert ratio(math.inf, beyond, "correct") == 0.0
    assert ratio(-math.inf, beyond, "bounded") > 1e3
    assert ratio(math.nan, beyond, "bounded") == math.inf
    # The largest number is 1 ULP from what infinity stands for.
    assert ratio(F32.max, beyond, "correct") == 1.0
    unbounded = gradient(math.inf, fmt=F64)
    assert ratio(math.inf, unbounded, "correct", F64) == 0.0


def test_gradient_that_is_not_judged() -> None:
    exact = replace(gradient(1.0, fmt=F64), judged=np.asarray([[False]]))
    assert ratio(math.nan, exact, "correct", F64) == 0.0


def test_gradient_of_absent_entries() -> None:
    absent = np.asarray([[False]])
    for got, wanted in ((0.0, 0.0), (-0.0, 0.0), (1e-45, math.inf), (math.nan, math.inf)):
        found = gradient_ratios(
            np.asarray([[got]]), gradient(0.0), reference(0), F32, absent, "bounded"
        )
        assert found[0, 0] == wanted


def test_gradient_flushing() -> None:
    value = F32.min_normal / 2
    present = np.asarray([[True]])

    def flushed(got: float, exact: GradientReference, class_name: str = "faithful") -> float:
        found = gradient_ratios(
            np.asarray([[got]]), exact, reference(0.5), F32, present, class_name, flushes=True
        )
        return float(found[0, 0])

    assert ratio(0.0, gradient(value), "faithful") > 1e6
    assert flushed(0.0, gradient(value)) == 0.0
    assert flushed(value / 2, gradient(value)) > 1e6
    assert flushed(0.0, gradient(F32.min_normal)) > 1e6
    # A weight that underflows does so at the smallest normal number.
    lost = gradient(1.0, tail=2.0**125)
    assert ratio(0.5, lost, "tight") > 1e3
    assert flushed(0.5, lost, "tight") < 1.0


# ------------------------------------------------------------------------------- parameter sums


def parameters(**columns: list[float]) -> ParameterReference:
    """Return terms by row: ds, db and what else is given; the rest is 0."""
    length = len(next(iter(columns.values())))
    fields = ParameterReference.__dataclass_fields__
    return ParameterReference(
        **{name: np.asarray([[v] for v in columns.get(name, [0.0] * length)]) for name in fields}
    )


def test_parameters_by_row() -> None:
    exact = parameters(ds=[1.0, 4.0], db=[2.0, -1.0], ds_scale=[0.0, 8.0])
    got = np.asarray([[1.0 + 2.0**-23], [4.0 + 2.0**-20]])
    found = parameter_ratios(got, exact, "ds", 0.0, F32, "faithful")
    # One ULP over 1; then 2^-20 over 1 ULP of 4, 2^-21, and C u scale = 4 · 2^-24 · 8.
    assert found.tolist() == [[1.0], [2.0**-20 / (2.0**-21 + 2.0**-19)]]
    assert (
        parameter_ratios(np.asarray([[2.0], [-1.0]]), exact, "db", 0.0, F32, "correct").max() == 0
    )


def test_a_number_has_the_sum_over_all_rows() -> None:
    exact = parameters(db=[1e8, 1.0, -1e8, 0.25], db_scale=[2.0, 2.0, 2.0, 2.0])
    got = np.asarray(1.25)
    assert parameter_ratios(got, exact, "db", 0.0, F32, "correct").tolist() == [[0.0]]
    off = parameter_ratios(np.asarray(1.25 + 2.0**-20), exact, "db", 0.0, F32, "correct")
    assert off[0, 0] == 2.0**-20 / (2.0**-23 + 4 * 2.0**-24 * 8)


@pytest.mark.parametrize("name", ["ds", "db"])
def test_summed(name: str) -> None:
    # Rows of shape (2, 3, 1); the terms are 1, 10, 100, 1000, ...
    terms = [10.0**i for i in range(6)]
    exact = parameters(**{name: terms, f"{name}_scale": [1.0] * 6})
    by_head = exact.summed(name, (2, 3, 1), (1, 3, 1))
    assert getattr(by_head, name).tolist() == [[1001.0], [10010.0], [100100.0]]
    assert getattr(by_head, f"{name}_scale").tolist() == [[2.0]] * 3
    by_batch = exact.summed(name, (2, 3, 1), (2, 1, 1))
    assert getattr(by_batch, name).tolist() == [[111.0], [111000.0]]
    assert getattr(exact.summed(name, (2, 3, 1), (2, 3, 1)), name).ravel().tolist() == terms
    assert getattr(exact.summed(name, (2, 3, 1), (1, 1, 1)), name).tolist() == [[111111.0]]


def test_summed_keeps_what_a_subnormal_number_leaves() -> None:
    eta = F64.min_subnormal
    # 64 terms of 3.375 η each: their high parts, of 3 η, have lost 24 η together.
    exact = parameters(ds=[3 * eta] * 64, ds_low=[0.375 * 2.0**LOW_SHIFT * eta] * 64)
    total = exact.summed("ds", (64, 1), (1, 1))
    assert total.ds.tolist() == [[216 * eta]]
    assert total.ds_low.tolist() == [[0.0]]


def test_sums_beyond_the_range_are_not_judged() -> None:
    exact = parameters(ds=[math.inf, -math.inf], ds_scale=[math.inf, math.inf])
    found = parameter_ratios(np.asarray(math.nan), exact, "ds", 0.0, F64, "correct")
    assert found.tolist() == [[0.0]]
    largest = parameters(ds=[F64.max, F64.max], ds_scale=[F64.max, F64.max])
    found = parameter_ratios(np.asarray(math.inf), largest, "ds", 0.0, F64, "correct")
    assert found.tolist() == [[0.0]]


def test_parameter_nan() -> None:
    exact = parameters(ds=[1.0], ds_scale=[1.0])
    assert (
        parameter_ratios(np.asarray(math.nan), exact, "ds", 0.0, F32, "bounded")[0, 0] == math.inf
    )


def test_parameter_beyond_the_range_of_its_format() -> None:
    exact = parameters(ds=[2.0**130], ds_scale=[2.0**130])
    assert parameter_ratios(np.asarray([[math.inf]]), exact, "ds", 0.0, F32, "correct")[0, 0] == 0.0
    assert parameter_ratios(np.asarray([[1.0]]), exact, "ds", 0.0, F32, "correct")[0, 0] > 1e3


def test_parameter_flushing() -> None:
    exact = parameters(ds=[F32.min_normal / 2])
    got = np.asarray(0.0)
    assert parameter_ratios(got, exact, "ds", 0.0, F32, "correct")[0, 0] > 1e6
    assert parameter_ratios(got, exact, "ds", 0.0, F32, "correct", flushes=True)[0, 0] == 0.0
