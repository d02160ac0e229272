"""Error measures, and the bounds of the accuracy classes beside what real evaluations reach."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp, mpf

from softmax_variants_spec.accuracy import (
    CLASSES,
    gradient_coefficients,
    gradient_tolerance,
    is_faithful,
    relative_bound,
    ulp_error,
    weight_allowance,
    weight_bound,
)
from softmax_variants_spec.exact import ExactGradient, Row, weights
from softmax_variants_spec.formats import FORMATS, Format

every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
FLOAT32 = FORMATS["float32"]
U, ETA = FLOAT32.unit_roundoff, FLOAT32.min_subnormal


def approx(v: float) -> object:
    return pytest.approx(v, rel=1e-12)


@every_format
def test_errors_are_fractions_of_an_ulp(fmt: Format) -> None:
    third = weights(Row("softmax", (0.0,) * 3), fmt)[0]
    ulp = 2.0 ** fmt.ulp_exponent(third.rounded)
    exact = Fraction(1, 3)
    for steps in (-2, -1, 0, 1, 5):
        computed = third.rounded + steps * ulp
        expected = (Fraction(computed) - exact) / Fraction(ulp)
        assert ulp_error(computed, third, fmt) == approx(float(expected))


@every_format
def test_errors_beyond_the_range_count_from_its_end(fmt: Format) -> None:
    beyond = weights(Row("sa_softmax", (fmt.max, -fmt.max), form="shifted"), fmt)[0]
    assert ulp_error(math.inf, beyond, fmt) == approx(0.0)
    assert ulp_error(fmt.max, beyond, fmt) == approx(-1.0)
    near = weights(Row("sa_softmax", (fmt.max, 0.0), form="plain"), fmt)[0]
    assert ulp_error(math.inf, near, fmt) == approx(1.0)
    assert ulp_error(-math.inf, near, fmt) < -(2.0**fmt.precision)


def test_errors_of_nan() -> None:
    half = weights(Row("softmax", (0.0, 0.0)), FLOAT32)[0]
    undefined = weights(Row("softmax", (math.nan, 0.0)), FLOAT32)[0]
    assert ulp_error(math.nan, half, FLOAT32) == math.inf
    assert ulp_error(0.5, undefined, FLOAT32) == math.inf
    assert ulp_error(math.nan, undefined, FLOAT32) == 0.0
    assert is_faithful(math.nan, undefined, FLOAT32)
    assert not is_faithful(math.nan, half, FLOAT32)
    assert not is_faithful(0.5, undefined, FLOAT32)


def test_errors_of_enormous_results_are_infinite() -> None:
    fmt = FORMATS["float64"]
    tiny = weights(Row("softmax", (0.0, -750.0)), fmt)[1]
    assert ulp_error(fmt.max, tiny, fmt) == math.inf


@every_format
def test_faithful_are_the_two_neighbours(fmt: Format) -> None:
    rng = random.Random(f"faithful {fmt.name}")
    rows = [
        Row("sa_softmax", tuple(fmt.round(rng.gauss(0, 4)) for _ in range(4)), form=form)
        for form in ("plain", "shifted", "normalized")
        for _ in range(10)
    ]
    # Next to a power of two, next to 0, and at the end of the range.
    rows += [
        Row("softmax", (0.0, 30.0, 30.0)),
        Row("sa_softmax", (-1.0, -300.0), form="plain"),
        Row("softmax", (0.0, -1e4)),
        Row("sa_softmax", (fmt.max, -fmt.max), form="shifted"),
    ]
    for row in rows:
        for weight in weights(row, fmt):
            around = [weight.rounded]
            for _ in range(2):
                around = [fmt.next_down(around[0]), *around, fmt.next_up(around[-1])]
            if weight.exact:
                expected = {weight.rounded}
            else:
                expected = {fmt.round_down(weight.value), fmt.round_up(weight.value)}
                if len(expected) == 1:
                    # 192 bits do not tell the weight from a number; the residual does.
                    step = fmt.next_up if weight.residual > 0 else fmt.next_down
                    expected.add(step(weight.rounded))
            assert {v for v in around if is_faithful(v, weight, fmt)} == expected


@every_format
def test_a_correct_result_is_within_half_an_ulp(fmt: Format) -> None:
    rng = random.Random(f"half {fmt.name}")
    for _ in range(20):
        row = Row("softmax", tuple(fmt.round(rng.gauss(0, 4)) for _ in range(5)))
        for weight in weights(row, fmt):
            assert abs(ulp_error(weight.rounded, weight, fmt)) <= 0.5
            assert is_faithful(weight.rounded, weight, fmt)


def zeta_terms(x: tuple[float, ...], factor: float, c: float) -> tuple[list[float], float]:
    v = max(x) if c >= 0 else min(x)
    p = [math.exp(c * (xi - v)) for xi in x]
    zeta = [factor * abs(xi - v) for xi in x]
    return zeta, sum(a * b for a, b in zip(p, zeta, strict=True)) / sum(p)


@pytest.mark.parametrize(
    ("form", "gamma"), [("plain", 1), ("shifted", 2), ("minmax", 4), ("normalized", 4)]
)
def test_the_bound_of_sa_softmax_term_by_term(form: str, gamma: int) -> None:
    x = (0.5, -1.0, 3.0)
    row = Row("sa_softmax", x, form=form)
    zeta, mean = zeta_terms(x, 1.0, 1.0)
    bounds = weight_bound(row, FLOAT32)
    for z, weight, bound in zip(zeta, weights(row, FLOAT32), bounds, strict=True):
        expected = U * (z + mean + 2 + 1 + gamma) + 2 * 8 * U
        assert bound == (0.0 if weight.value == 0 else approx(expected))
    # The relative part knows no exact zeros: p has its error where the gate is 0.
    expected = U * (zeta[1] + mean + 2 + 1 + gamma) + 16 * U
    assert relative_bound(row, FLOAT32)[1] == approx(expected)


def test_the_bound_of_ssmax_uses_the_terms_of_the_factor() -> None:
    x, s, b, n = (0.5, -1.0, 3.0), 0.75, -0.7, 3
    zeta, mean = zeta_terms(x, s * math.log(n) + abs(b), s * math.log(n) + b)
    expected = [U * (5 * (z + mean) + 2 + 1) + 16 * U for z in zeta]
    got = weight_bound(Row("ssmax", x, s=s, b=b, n=n), FLOAT32)
    assert got == [approx(v) for v in expected]


def test_large_bounds_are_exponentiated() -> None:
    # c = 2^-10 and a distance of 8 · 10^4: ζ = 78, and p_1 = e^-78 is far from underflow.
    fmt = FORMATS["bfloat16"]
    u, zeta = fmt.unit_roundoff, 8e4 / 2**10
    got = relative_bound(Row("ssmax", (0.0, -8e4), s=0.0, b=2.0**-10), fmt)[1]
    assert got == approx(math.expm1(u * (5 * zeta + 2) + 16 * u))


def test_weights_out_of_reach_do_not_count_in_the_bound_of_a_row() -> None:
    # An exponent of −10^5 errs by 390 in bfloat16: e^390 in relative terms, of e^-100000.
    fmt = FORMATS["bfloat16"]
    out_of_reach, one = relative_bound(Row("softmax", (-1e5, 0.0)), fmt)
    assert out_of_reach == 0.0
    assert one == approx(18 * fmt.unit_roundoff)


def test_absolute_parts_are_those_of_subnormal_weights() -> None:
    # y = e^-1e9 is nothing: what is left is η for p and η r for the product with the gate.
    far = (-1e9, 0.0)
    assert weight_allowance(Row("softmax", far), FLOAT32)[0] == 2.0
    assert weight_bound(Row("softmax", far), FLOAT32)[0] == math.inf
    plain = weight_allowance(Row("sa_softmax", (-1e9, 1.0), form="plain"), FLOAT32)[0]
    assert plain == approx(1e9 + 1)
    # A subnormal weight: the relative part and the absolute one.
    (y, _) = weights(Row("softmax", (-100.0, 0.0)), FLOAT32)
    relative = U * (100 + 2 + 16)
    allowed = weight_allowance(Row("softmax", (-100.0, 0.0)), FLOAT32)[0]
    assert allowed == approx(float(y.value) * relative / ETA + 2)
    bound = weight_bound(Row("softmax", (-100.0, 0.0)), FLOAT32)[0]
    assert bound == approx(relative + 2 * ETA / float(y.value))


def test_bounds_of_special_rows() -> None:
    for function in (weight_bound, weight_allowance, relative_bound):
        assert function(Row("softmax", (-math.inf, -math.inf)), FLOAT32) == [0.0, 0.0]
        nan, absent, one = function(Row("softmax", (math.nan, -math.inf, 1.0)), FLOAT32)
        assert math.isnan(nan)
        assert absent == 0.0
        assert math.isnan(one)
    zeros = Row("sa_softmax", (0.0, 0.0))
    assert weight_allowance(zeros, FLOAT32) == [0.0, 0.0]
    assert weight_bound(zeros, FLOAT32) == [0.0, 0.0]
    # c = 0: equal weights of different logits.
    uniform = weight_bound(Row("ssmax", (1.0, 5.0), s=0.0), FLOAT32)
    assert uniform == [approx(18 * U)] * 2
    wide = weight_allowance(Row("softmax", (FORMATS["float64"].max, -1e308)), FORMATS["float64"])
    assert wide[1] == 2.0


@pytest.mark.parametrize("spread", [1.0, 8.0, 32.0, 80.0])
def test_a_plain_evaluation_in_binary32_stays_within_the_bound(spread: float) -> None:
    rng = np.random.default_rng(round(spread))
    worst = 0.0
    for _ in range(20):
        x = (rng.uniform(-spread / 2, spread / 2, 32)).astype(np.float32)
        e = np.exp(x - x.max())
        y = e / np.add.reduce(e)
        row = Row("softmax", tuple(x.astype(np.float64).tolist()))
        exact = weights(row, FLOAT32)
        ratios = [
            abs(ulp_error(float(got), weight, FLOAT32)) / allowed
            for got, weight, allowed in zip(y, exact, weight_allowance(row, FLOAT32), strict=True)
        ]
        worst = max(worst, *ratios)
    # Within it, and not by so much that it would let everything pass.
    assert 0.02 < worst <= 1.0


def test_scaling_before_shifting_does_not_stay_within_the_bound() -> None:
    rng = np.random.default_rng(1)
    x = (rng.uniform(-1, 1, 16) + 1e4).astype(np.float32)
    factor = np.float32(0.43 * math.log(4096))
    z = factor * x
    e = np.exp(z - z.max())
    y = e / np.add.reduce(e)
    row = Row("ssmax", tuple(x.astype(np.float64).tolist()), s=0.0, b=float(factor))
    allowed = weight_allowance(row, FLOAT32)
    errors = [
        abs(ulp_error(float(got), weight, FLOAT32))
        for got, weight in zip(y, weights(row, FLOAT32), strict=True)
    ]
    assert max(e / a for e, a in zip(errors, allowed, strict=True)) > 10


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("correct", 2 * U + 4 * U * 3),
        ("faithful", 2 * U + 4 * U * 3),
        ("tight", 4 * 2 * U + 16 * U * 3 + ETA * 5),
        ("bounded", 4 * 2 * U + (20 + 8) * U * 3 + ETA * 5),
    ],
)
def test_gradient_tolerances(name: str, expected: float) -> None:
    gradient = ExactGradient(value=mpf(-1.5), scale=mpf(3), tail=mpf(5))
    with mp.workprec(300):
        got = gradient_tolerance(name, gradient, FLOAT32, bound=20 * U)
        extra = 5 * mpf(ETA) if name in {"tight", "bounded"} else 0
        assert got - extra == mpf(expected)


def test_gradient_coefficients_take_arrays() -> None:
    k, coefficient, tail = gradient_coefficients("bounded", np.array([0.0, 3 * U]), U)
    assert (k, coefficient.tolist(), tail) == (4, [8.0, 11.0], 1)


def test_classes_are_named_strictest_first() -> None:
    assert CLASSES == ("correct", "faithful", "tight", "bounded")
    with pytest.raises(ValueError, match=r"accuracy must be one of .*'exact'"):
        gradient_coefficients("exact", 0.0, U)
