"""The reference's weights, enclosed by ball arithmetic: another code, another formula."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import flint
import pytest
from mpmath import mp

from softmax_variants_spec import exact
from softmax_variants_spec.evaluation import evaluate
from softmax_variants_spec.exact import Row, weights
from softmax_variants_spec.formats import FORMATS, Format
from softmax_variants_spec.variants.sa_softmax import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from softmax_variants_spec.exact import ExactWeight

every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)

VARIANTS = [("softmax", "normalized"), ("ssmax", "normalized"), *(("sa_softmax", f) for f in FORMS)]
every_variant = pytest.mark.parametrize(
    ("function", "form"), VARIANTS, ids=[f if f != "sa_softmax" else g for f, g in VARIANTS]
)


@pytest.fixture(autouse=True)
def _ball_precision() -> Iterator[None]:
    before, flint.ctx.prec = flint.ctx.prec, 3000
    yield
    flint.ctx.prec = before


def ball(v: Fraction | float) -> flint.arb:
    """Return an exact number as a ball."""
    v = Fraction(v)
    return flint.arb(flint.fmpq(v.numerator, v.denominator))


def as_fraction(v: Any) -> Fraction:
    """Return a finite mpf, exactly."""
    sign, man, exp, _ = v._mpf_
    return (-1 if sign else 1) * Fraction(int(man)) * Fraction(2) ** exp


def gate(row: Row, i: int, x: list[Fraction]) -> Fraction:
    """Return the gate of an entry, after the table of the README."""
    m, largest = min(x), max(x)
    xi = Fraction(row.x[i])
    if row.form == "plain":
        return xi
    if row.form == "shifted":
        return xi - m
    low = min(m, 0) if row.form == "normalized" else m
    high = max(largest, 0) if row.form == "normalized" else largest
    return (xi - low) / (high - low) if high != low else Fraction(0)


def enclosures(row: Row) -> list[flint.arb]:
    """Return balls around the weights, by r_i / Σ exp(c (x_j − x_i)): no shift, no quotient."""
    present = [
        i for i, xi in enumerate(row.x) if xi != -math.inf and (row.where is None or row.where[i])
    ]
    x = [Fraction(row.x[i]) for i in present]
    c = ball(1)
    if row.function == "ssmax":
        n = ball(len(x) if row.n is None else row.n)
        c = ball(row.s) * n.log() + ball(row.b)
    result = [ball(0)] * len(row.x)
    for i, xi in zip(present, x, strict=True):
        r = gate(row, i, x) if row.function == "sa_softmax" else Fraction(1)
        if r != 0:
            total = sum((c * ball(xj - xi)).exp() for xj in x)
            result[i] = ball(r) / total
    return result


def assert_encloses(weight: ExactWeight, y: flint.arb, fmt: Format) -> None:
    """Check every field of a weight against a ball that contains it."""
    assert y.is_finite()
    if weight.exact and weight.rounded == 0:
        assert y == 0
        assert weight.value == 0
        return
    sign = 1 if weight.value > 0 else -1
    size = y * sign
    assert size > 0
    ulp = Fraction(2) ** weight.ulp_exponent
    # The ulp belongs to the binade of the weight. (Balls 3000 bits wide cannot tell a weight
    # from 1 that differs by less; the binade may then be that of either.)
    low = Fraction(2) ** (fmt.precision - 1) * ulp
    if low > fmt.min_normal:
        assert not size < ball(low)
    if 2 * low <= fmt.max:
        assert not size > ball(2 * low)
    if abs(weight.value) > mp.ldexp(1, -19999):
        error = abs(ball(as_fraction(weight.value)) - y) / size
        assert error < ball(Fraction(1, 2**120))
    else:
        assert size < ball(Fraction(1, 2**19998))
    end = Fraction(2) ** (fmt.emax + 1)
    rounded = weight.rounded
    if math.isinf(rounded):
        assert size > ball((end + Fraction(fmt.max)) / 2) or weight.midpoint
        assert not weight.exact
        stands_for = end * sign
    else:
        stands_for = Fraction(rounded)
    if not size > ball(end):
        residual = (y - ball(stands_for)) / ball(ulp)
        assert abs(residual - ball(weight.residual)) < ball(Fraction(1, 2**50))
        assert not abs(residual) > ball(Fraction(1, 2))
        if residual != 0 and not residual.contains(0):
            assert (residual > 0) == (weight.residual > 0)
    if weight.exact:
        assert y.contains(ball(rounded))
    elif not weight.midpoint and math.isfinite(rounded):
        # Between the neighbours of the rounding's own side, so neither a number nor a midpoint.
        assert weight.residual != 0
        assert abs(weight.residual) <= 0.5


def check(row: Row, fmt: Format) -> None:
    for weight, y in zip(weights(row, fmt), enclosures(row), strict=True):
        assert_encloses(weight, y, fmt)


def parameters(rng: random.Random, count: int) -> dict[str, Any]:
    s, b = rng.choice([(1.0, 0.0), (rng.gauss(0, 2), 0.0), (rng.gauss(0, 2), rng.gauss(0, 2))])
    n = rng.choice([None, None, rng.randint(1, 10**6), rng.uniform(0.01, 20)])
    if rng.random() < 0.2:
        # c cancels to what rounding b has left over.
        s, b, n = 1.0, -math.log(count), None
    if rng.random() < 0.1:
        s, b, n = rng.choice([(0.0, 0.0, None), (0.0, -1.5, None), (1, 0, 1), (3, -2, 1)])
    return {"s": s, "b": b, "n": n}


def row_of(function: str, form: str, x: list[float], rng: random.Random, **options: Any) -> Row:
    if function == "ssmax":
        options |= parameters(rng, max(1, len(x)))
    return Row(function, tuple(x), form=form, **options)


@every_format
@every_variant
def test_random_rows(function: str, form: str, fmt: Format) -> None:
    rng = random.Random(f"random {function} {form} {fmt.name}")
    for _ in range(25):
        spread, centre = rng.choice([0.1, 1, 8, 40]), rng.choice([0, 0, 10, 1000])
        x = [fmt.round(rng.gauss(centre, spread)) for _ in range(rng.randint(1, 9))]
        check(row_of(function, form, x, rng), fmt)


@every_format
@every_variant
def test_masked_rows_with_ties(function: str, form: str, fmt: Format) -> None:
    rng = random.Random(f"masked {function} {form} {fmt.name}")
    for _ in range(25):
        length = rng.randint(1, 9)
        x = [rng.choice([-2.0, -1.0, 0.0, 0.5, 0.5, 3.0, -math.inf]) for _ in range(length)]
        where = tuple(rng.random() < 0.7 for _ in range(length))
        masked = [
            xi if w else rng.choice([math.nan, math.inf, xi])
            for xi, w in zip(x, where, strict=True)
        ]
        check(row_of(function, form, masked, rng, where=where), fmt)


@every_format
@every_variant
def test_logits_of_every_size(function: str, form: str, fmt: Format) -> None:
    rng = random.Random(f"sizes {function} {form} {fmt.name}")
    lowest = fmt.spacing_exponent
    for _ in range(25):
        top = rng.choice([fmt.emax, 11, 6, 0, lowest // 2, lowest + 4])
        x = [
            fmt.round(rng.uniform(-2, 2) * 2.0 ** rng.randint(lowest - 1, max(lowest, top)))
            for _ in range(rng.randint(1, 6))
        ]
        x = [math.copysign(min(abs(xi), fmt.max), xi) for xi in x]
        row = row_of(function, form, x, rng)
        if all(y.is_finite() for y in enclosures(row)):
            check(row, fmt)
            continue
        # Exponentials beyond what balls hold: weights that are far below any format, and others.
        for weight, y in zip(weights(row, fmt), enclosures(row), strict=True):
            if y.is_finite():
                assert_encloses(weight, y, fmt)
            else:
                assert abs(weight.value) == mp.ldexp(1, -20000)
                assert weight.rounded == 0.0


@every_format
@pytest.mark.parametrize("form", FORMS)
def test_entries_that_dominate_their_row(form: str, fmt: Format) -> None:
    # The weight differs from its gate by a relative exp(-1000): no working precision in use here
    # shows that, but the weight is certainly the smaller one.
    x = (-700.0, fmt.round(300.0 + 2.0 ** (8 - fmt.precision + 1)), -700.0)
    row = Row("sa_softmax", x, form=form)
    weight = weights(row, fmt)[1]
    limit = gate(row, 1, [Fraction(v) for v in x])
    assert not weight.exact
    assert not weight.midpoint
    below = fmt.round(limit - abs(limit) / 2**400)
    assert weight.rounded == below
    residual = float((limit - Fraction(below)) / Fraction(2) ** weight.ulp_exponent)
    assert weight.residual == (residual or -math.ulp(0.0))
    check(row, fmt)


@every_format
def test_entries_that_share_the_domination_of_their_row(fmt: Format) -> None:
    # 1/(2 + e^-4000): below 1/2 by less than 4096 bits show.
    low = -4000.0 if fmt.representable(-4000.0) else -4096.0
    half, same, zero = weights(Row("softmax", (0.0, 0.0, low)), fmt)
    assert half == same
    assert half.rounded == 0.5
    assert half.residual == -math.ulp(0.0)
    assert half.ulp_exponent == -fmt.precision - 1
    assert not half.exact
    assert zero.rounded == 0.0


def test_a_midpoint_times_almost_one_rounds_down() -> None:
    # x − m = 2051 is the middle of 2050 and 2052, numbers of binary16, and p is 1 − e^-2051. A tie
    # would go to 2052, which is even.
    weight = weights(Row("sa_softmax", (-1024.0, 1027.0), form="shifted"), FORMATS["float16"])[1]
    assert weight.rounded == 2050.0
    assert weight.residual == 0.5
    assert not weight.midpoint


def test_equal_logits_are_exact() -> None:
    fmt = FORMATS["float16"]
    third = weights(Row("softmax", (5.0, 5.0, 5.0)), fmt)[0]
    assert third.rounded == fmt.round(Fraction(1, 3))
    assert third.residual == float((Fraction(1, 3) - Fraction(third.rounded)) * 2**12)
    quarter = weights(Row("ssmax", (5.0,) * 4), fmt)[0]
    assert quarter.exact
    assert not quarter.midpoint
    assert quarter.rounded == 0.25
    # 1/4097, and 4097 x/4097 in plain.
    plain = weights(Row("sa_softmax", (1.0,) * 4097, form="plain"), fmt)[0]
    assert plain.rounded == fmt.round(Fraction(1, 4097))
    assert not plain.exact


def test_equal_weights_of_different_logits_are_exact() -> None:
    row = Row("ssmax", (5.0, -1.0, 0.0), s=0.0)
    assert evaluate(row, 192).p == [Fraction(1, 3)] * 3
    for weight in weights(row, FORMATS["float32"]):
        assert weight.rounded == FORMATS["float32"].round(Fraction(1, 3))


@every_variant
def test_errors_stay_within_the_bound_derived_for_them(function: str, form: str) -> None:
    # At a working precision so low that errors show: of a few, and of thousands of units.
    rng = random.Random(f"errors {function} {form}")
    largest = 0.0
    for _ in range(40):
        spread = rng.choice([1.0, 30.0, 3000.0])
        x = [rng.gauss(0, spread) for _ in range(rng.randint(2, 6))]
        row = row_of(function, form, x, rng)
        rough, fine = evaluate(row, 80), evaluate(row, 1000)
        if fine.uniform:
            continue
        with mp.workprec(1000):
            for i, (a, b) in enumerate(zip(rough.y, fine.y, strict=True)):
                if b == 0:
                    assert a == 0
                    continue
                bits = rough.accurate_bits(i)
                assert abs(a - b) <= abs(b) * mp.ldexp(1, -bits)
                largest = max(largest, float(mp.ldexp(abs(a - b) / abs(b), bits)))
    # The bound is one that errors come near to, within a factor of a few hundred.
    assert largest > 2.0**-9


def test_the_midpoint_of_binary16() -> None:
    # y = 2^-25 exactly: the middle of 0 and the smallest number, to even is 0.
    for weight in weights(Row("sa_softmax", (2.0**-24,) * 2, form="plain"), FORMATS["float16"]):
        assert weight.midpoint
        assert not weight.exact
        assert weight.rounded == 0.0
        assert weight.residual == 0.5
    for weight in weights(Row("sa_softmax", (3 * 2.0**-24,) * 2, form="plain"), FORMATS["float16"]):
        assert weight.midpoint
        assert weight.rounded == 2.0**-23
        assert weight.residual == -0.5


def test_rational_weights_that_no_precision_decides() -> None:
    # 3^0 : 3^1, and 4095^0 : 4095^1, whose 4095/4096 is the middle of two numbers of binary16.
    quarters = weights(Row("ssmax", (0.0, 1.0), n=3), FORMATS["float16"])
    assert [(w.rounded, w.exact, w.residual) for w in quarters] == [
        (0.25, True, 0.0),
        (0.75, True, 0.0),
    ]
    small, large = weights(Row("ssmax", (0.0, 1.0), n=4095), FORMATS["float16"])
    assert small.exact
    assert small.rounded == 2.0**-12
    assert large.midpoint
    assert not large.exact
    assert large.rounded == 1.0
    assert large.residual == -0.5
    assert weights(Row("ssmax", (0.0, 1.0), n=4095), FORMATS["float32"])[1].exact


def test_exponents_of_any_size_are_quick_and_decided() -> None:
    fmt = FORMATS["float64"]
    rows = [
        Row("softmax", (fmt.max, -fmt.max, 0.0)),
        Row("ssmax", (fmt.max, -fmt.max, 0.0), s=1e300, n=1e300),
        Row("sa_softmax", (fmt.max, -fmt.max, 0.0)),
        Row("sa_softmax", (1e300, -fmt.max, 1.0), form="plain"),
        Row("softmax", (1e16, 0.0)),
        Row("softmax", (1e60, 0.0)),
    ]
    for row in rows:
        for weight, xi in zip(weights(row, fmt), row.x, strict=True):
            assert not weight.exact or weight.rounded == 0
            if xi != max(row.x):
                assert weight.rounded == 0.0
                assert abs(weight.value) <= mp.ldexp(1, -14000)


def test_weights_beyond_the_range() -> None:
    for fmt in FORMATS.values():
        row = Row("sa_softmax", (fmt.max, -fmt.max), form="shifted")
        weight = weights(row, fmt)[0]
        assert weight.rounded == math.inf
        assert abs(weight.residual) <= math.ulp(0.0)
        assert not weight.exact
        # Far beyond, and not on the grid of the last binade: nothing is left of a residual.
        row = Row("sa_softmax", (fmt.max, -fmt.max / 4), form="shifted")
        assert (weights(row, fmt)[0].rounded, weights(row, fmt)[0].residual) == (math.inf, 0.0)
        # Gates just below, at and above the middle of the largest number and 2^(emax + 1). The
        # weight at the middle is a little less than it.
        ulp = 2.0 ** fmt.ulp_exponent(fmt.max)
        for low, rounded, residual in ((-ulp / 4, fmt.max, 0.25), (-ulp / 2, fmt.max, 0.5)):
            weight = weights(Row("sa_softmax", (fmt.max, low), form="shifted"), fmt)[0]
            assert (weight.rounded, weight.residual) == (rounded, residual)
        weight = weights(Row("sa_softmax", (fmt.max, -3 * ulp / 4), form="shifted"), fmt)[0]
        assert (weight.rounded, weight.residual) == (math.inf, -0.25)


def test_the_factor_keeps_its_accuracy_where_it_cancels() -> None:
    # c = ln 10 − fl(ln 10) is −2.17e-16, and 0 in binary64. 1e16 makes a weight of it.
    row = Row("ssmax", (0.0, 1e16), s=1.0, b=-math.log(10), n=10)
    c = ball(10).log() - ball(math.log(10))
    assert -2.18e-16 < c < -2.17e-16
    check(row, FORMATS["float64"])
    assert weights(row, FORMATS["float64"])[0].rounded == pytest.approx(0.8976, abs=1e-4)


def test_undecided_rows_raise_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    # p_1 = 2^-300 (1 − 2^-300 + …) is undecided until the working precision is above 300 bits.
    row, fmt = Row("ssmax", (0.0, -3.0), s=100, n=2), FORMATS["float64"]
    used = []

    def recording(row: Row, precision: int) -> Any:
        used.append(precision)
        return evaluate(row, precision)

    monkeypatch.setattr(exact, "evaluate", recording)
    weight = weights(row, fmt)[1]
    assert max(used) == 384
    assert weight.rounded == 2.0**-300
    # The weight is below a power of two: its ulp is 2^(-301 - 52).
    assert weight.residual == -(2.0 ** (-600 + 301 + 52))
    assert not weight.exact


def test_residuals_too_small_for_a_float_keep_their_side() -> None:
    # y = 2η · p with p = 1/2 + 2^-1075: above η by a relative 2^-1074.
    eta = FORMATS["float64"].min_subnormal
    row = Row("sa_softmax", (0.0, 2 * eta), form="shifted")
    weight = weights(row, FORMATS["float64"])[1]
    assert weight.rounded == eta
    assert weight.residual == math.ulp(0.0)
    assert not weight.exact


def test_parameters_may_be_integers_of_any_size() -> None:
    fmt = FORMATS["float64"]
    row = Row("ssmax", (0.0, 1.0), s=1, b=0, n=10**400)
    assert weights(row, fmt)[0].rounded == 0.0
    with mp.workprec(200):
        expected = 1 / (mp.one + mp.mpf(10) ** 400)
        assert mp.almosteq(weights(row, fmt)[0].value, expected, rel_eps=mp.mpf(2) ** -120)
    assert math.isnan(weights(Row("ssmax", (0.0, 1.0), b=10**400), fmt)[0].rounded)


def test_rows_reject_what_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"function must be one of .*'softmin'"):
        Row("softmin", (1.0,))
    with pytest.raises(ValueError, match=r"form must be one of .*'clipped'"):
        Row("sa_softmax", (1.0,), form="clipped")
    with pytest.raises(ValueError, match="where must have the 1 entries of x, got 2"):
        Row("softmax", (1.0,), where=(True, False))
