"""The reference's gradients against Jacobians at a thousand bits, and the sizes beside them."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from mpmath import mp, mpf

from softmax_variants_spec.exact import (
    ExactGradient,
    Row,
    gradient,
    jvp,
    parameter_gradients,
    weights,
)
from softmax_variants_spec.formats import FORMATS, Format
from softmax_variants_spec.variants import sa_softmax, softmax, ssmax
from softmax_variants_spec.variants.sa_softmax import FORMS

every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
VARIANTS = [("softmax", "normalized"), ("ssmax", "normalized"), *(("sa_softmax", f) for f in FORMS)]
every_variant = pytest.mark.parametrize(
    ("function", "form"), VARIANTS, ids=[f if f != "sa_softmax" else g for f, g in VARIANTS]
)
PRECISION = 4000
INF, NAN = math.inf, math.nan


class Slow:
    """A row by its full Jacobian at a precision beyond all cancellation, absent entries dropped."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.x = [mp.convert(row.x[i]) for i in row.present]
        self.n = mp.convert(row.count)
        self.c = self.size = mpf(1)
        self.gate = None
        if row.function == "ssmax":
            scaled = mp.convert(row.s) * mp.log(self.n)
            self.c = scaled + mp.convert(row.b)
            terms = abs(scaled) + abs(mp.convert(row.b))
            self.size = abs(self.c) if abs(self.c) >= terms / 2**20 else terms
        self.p = self.y = softmax.weights(self.x, self.c)
        if row.function == "sa_softmax":
            self.gate = sa_softmax.gate(self.x, row.form, detach_extrema=row.detach_extrema)
            self.y = sa_softmax.weights(self.x, self.p, self.gate)
            self.jacobian = sa_softmax.jacobian(self.x, self.p, self.gate)
        else:
            self.jacobian = softmax.jacobian(self.p, self.c)

    def at_present(self, values: tuple[float, ...]) -> list[Any]:
        return [mp.convert(values[i]) for i in self.row.present]

    def vjp(self, dy: tuple[float, ...]) -> list[Any]:
        indices = range(len(self.x))
        v = self.at_present(dy)
        return [sum(v[i] * self.jacobian[i][j] for i in indices) for j in indices]

    def jvp(self, dx: tuple[float, ...]) -> list[Any]:
        indices = range(len(self.x))
        v = self.at_present(dx)
        return [sum(self.jacobian[i][j] * v[j] for j in indices) for i in indices]

    def scale(self, i: int, dy: tuple[float, ...]) -> Any:
        """Return the scale of an entry, word for word."""
        v = self.at_present(dy)
        sizes = [abs(a * b) for a, b in zip(v, self.y, strict=True)]
        scale = self.size * (sizes[i] + self.p[i] * sum(sizes))
        if self.gate is None:
            return scale
        form, m, largest = self.row.form, min(self.x), max(self.x)
        low, high = m, largest
        if form == "normalized":
            low, high = min(m, mpf(0)), max(largest, mpf(0))
        d = high - low if form in ("minmax", "normalized") else mpf(1)
        if d == 0:
            return mpf(0)
        scale += abs(v[i]) * self.p[i] / d
        sum_p = sum(abs(a) * b for a, b in zip(v, self.p, strict=True))
        appended = form == "normalized"
        k_min = self.x.count(low) + (appended and low == 0)
        k_max = self.x.count(high) + (appended and high == 0)
        if self.row.detach_extrema or form == "plain":
            return scale
        if self.x[i] == low:
            scale += (sum_p if form == "shifted" else sum(sizes) + sum_p) / (d * k_min)
        if self.x[i] == high and form != "shifted":
            scale += sum(sizes) / (d * k_max)
        return scale

    def tail(self, i: int, dy: tuple[float, ...]) -> Any:
        """Return the tail of an entry, word for word."""
        v = self.at_present(dy)
        total = abs(sum(a * b for a, b in zip(v, self.y, strict=True)))
        if self.gate is None:
            return abs(self.c) * (abs(v[i]) + total)
        if self.gate.denominator == 0:
            return mpf(0)
        gate = (self.x[i] - self.gate.offset) / self.gate.denominator
        return abs(gate * v[i]) + total + abs(v[i]) / self.gate.denominator


def random_row(rng: random.Random, function: str, form: str, fmt: Format) -> Row:
    length = rng.randint(1, 7)
    kind = rng.choice(["normal", "ties", "sizes", "wide"])
    if kind == "ties":
        x = [rng.choice([-2.0, -1.0, 0.0, 0.5, 3.0, -INF]) for _ in range(length)]
    elif kind == "sizes":
        reach = range(fmt.spacing_exponent, 13)
        x = [fmt.round(rng.uniform(-2, 2) * 2.0 ** rng.choice(reach)) for _ in range(length)]
    else:
        spread = 3 if kind == "normal" else 300
        x = [fmt.round(rng.gauss(rng.choice([0, 50]), spread)) for _ in range(length)]
    where = tuple(rng.random() < 0.8 for _ in x) if rng.random() < 0.5 else None
    if where is not None:
        x = [xi if w else rng.choice([NAN, INF, xi]) for xi, w in zip(x, where, strict=True)]
    s, b, n = rng.gauss(0, 2), rng.choice([0.0, rng.gauss(0, 2)]), rng.choice([None, 3, 0.7, 1e4])
    if rng.random() < 0.2:
        s, b, n = rng.choice([(1.0, -math.log(7), 7), (0.0, 0.0, None), (0.0, -2.0, None)])
    detached = rng.random() < 0.4
    return Row(function, tuple(x), where, s=s, b=b, n=n, form=form, detach_extrema=detached)


def random_cotangents(rng: random.Random, row: Row, fmt: Format) -> tuple[float, ...]:
    size = rng.choice([1.0, 1.0, 2.0 ** (fmt.emax - 20), 2.0 ** (fmt.emin + 5)])
    dy = [fmt.round(rng.gauss(0, 1) * size) for _ in row.x]
    # Cotangents of weights that underflow, alone.
    if rng.random() < 0.2:
        dy = [v if abs(xi) > 10 else 0.0 for v, xi in zip(dy, row.x, strict=True)]
    return tuple(v if i in row.present else rng.choice([NAN, INF, v]) for i, v in enumerate(dy))


def assert_meets_promise(got: ExactGradient, value: Any, scale: Any, fmt: Format) -> None:
    ulp = mp.ldexp(1, fmt.ulp_exponent(value))
    allowed = mp.ldexp(max(fmt.unit_roundoff * scale, mp.ldexp(ulp, -20)), -60)
    assert abs(got.value - value) <= allowed


@every_format
@every_variant
def test_gradients_agree_with_the_jacobian(function: str, form: str, fmt: Format) -> None:
    rng = random.Random(f"gradients {function} {form} {fmt.name}")
    for _ in range(20):
        row = random_row(rng, function, form, fmt)
        dy = random_cotangents(rng, row, fmt)
        got = gradient(row, dy, fmt)
        for i, entry in enumerate(got):
            if i not in row.present:
                assert entry == ExactGradient(mpf(0), mpf(0), mpf(0))
        if not row.present:
            continue
        with mp.workprec(PRECISION):
            slow = Slow(row)
            for i, value in enumerate(slow.vjp(dy)):
                entry = got[row.present[i]]
                scale, tail = slow.scale(i, dy), slow.tail(i, dy)
                assert_meets_promise(entry, value, scale, fmt)
                assert mp.almosteq(
                    entry.scale, scale, rel_eps=2.0**-100, abs_eps=mp.ldexp(1, -3000)
                )
                # A sum that cancels inside of it limits the tail, in digits that do not matter.
                assert abs(entry.tail - tail) <= (tail + scale) * mp.ldexp(1, -100)


@every_format
def test_parameter_gradients_agree_with_differentiation(fmt: Format) -> None:
    rng = random.Random(f"parameters {fmt.name}")
    for _ in range(40):
        row = random_row(rng, "ssmax", "normalized", fmt)
        dy = random_cotangents(rng, row, fmt)
        got = parameter_gradients(row, dy, fmt)
        if not row.present:
            assert (got.ds, got.db, got.ds_scale, got.db_scale) == (0, 0, 0, 0)
            continue
        with mp.workprec(PRECISION):
            slow = Slow(row)
            v = slow.at_present(dy)
            mean = sum(p * x for p, x in zip(slow.p, slow.x, strict=True))
            db = sum(a * p * (x - mean) for a, p, x in zip(v, slow.p, slow.x, strict=True))
            top = max(slow.x) if slow.c >= 0 else min(slow.x)
            spread = sum(p * abs(x - top) for p, x in zip(slow.p, slow.x, strict=True))
            scale = sum(
                abs(a) * p * (abs(x - top) + spread)
                for a, p, x in zip(v, slow.p, slow.x, strict=True)
            )
            log_n = mp.log(slow.n)
            for value, size, exact, exact_size in (
                (got.db, got.db_scale, db, scale),
                (got.ds, got.ds_scale, db * log_n, scale * abs(log_n)),
            ):
                assert_meets_promise(ExactGradient(value, size, 0), exact, exact_size, fmt)
                assert mp.almosteq(size, exact_size, rel_eps=2.0**-100, abs_eps=mp.ldexp(1, -3000))


@every_variant
def test_jvps_agree_with_the_jacobian(function: str, form: str) -> None:
    rng = random.Random(f"jvp {function} {form}")
    fmt = FORMATS["float64"]
    for _ in range(30):
        row = random_row(rng, function, form, fmt)
        dx = random_cotangents(rng, row, fmt)
        ds, db = (rng.gauss(0, 1), rng.gauss(0, 1)) if function == "ssmax" else (0.0, 0.0)
        got = jvp(row, dx, ds=ds, db=db)
        assert all(got[i] == 0 for i in range(len(row.x)) if i not in row.present)
        if not row.present:
            continue
        with mp.workprec(PRECISION):
            slow = Slow(row)
            expected = slow.jvp(dx)
            if function == "ssmax":
                by_s = ssmax.by_scale(slow.x, slow.y, slow.n)
                by_b = ssmax.by_factor(slow.x, slow.y)
                expected = [
                    e + mpf(ds) * a + mpf(db) * b
                    for e, a, b in zip(expected, by_s, by_b, strict=True)
                ]
            size = 1 + max(abs(v) for v in slow.at_present(dx)) * (1 + abs(slow.c)) * (
                1 + max(abs(xi) for xi in slow.x)
            )
            if slow.gate is not None and slow.gate.denominator != 0:
                size *= 1 + 1 / slow.gate.denominator
            for index, value in zip(row.present, expected, strict=True):
                assert abs(got[index] - value) <= size * mp.ldexp(1, -140)


@every_variant
def test_gradients_of_equal_logits_are_exact(function: str, form: str) -> None:
    # Three entries, whose weights have no finite binary expansion.
    row = Row(function, (0.5,) * 3, form=form, s=0.0, b=1.0)
    values = [entry.value for entry in gradient(row, (1.0, 1.0, 1.0), FORMATS["float64"])]
    if form == "plain":
        # dx_j = p_j (1 + x_j − Σ p x) = 1/3, as near as 192 bits come.
        with mp.workprec(250):
            assert all(abs(3 * value - 1) < mp.ldexp(1, -190) for value in values)
    else:
        assert values == [0, 0, 0]


def test_undefined_rows_are_nan_at_present_entries() -> None:
    fmt = FORMATS["float32"]
    good = (1.0, 1.0, 1.0)
    for row, dy in (
        (Row("softmax", (NAN, -INF, 1.0)), good),
        (Row("softmax", (INF, -INF, 1.0)), good),
        (Row("softmax", (1.0, -INF, 1.0)), (1.0, 1.0, INF)),
        (Row("ssmax", (1.0, -INF, 1.0), s=NAN), good),
        (Row("ssmax", (1.0, -INF, 1.0), n=0), good),
        (Row("ssmax", (1.0, -INF, 1.0), s=1e308, n=1e10), good),
        (Row("sa_softmax", (0.0, -INF, 0.0)), (NAN, 1.0, 1.0)),
    ):
        got = gradient(row, dy, fmt)
        assert [mp.isnan(entry.value) for entry in got] == [True, False, True]
        assert [mp.isnan(entry.scale) for entry in got] == [True, False, True]
        assert got[1].value == 0
        tangents = jvp(row, dy)
        assert [mp.isnan(t) for t in tangents] == [True, False, True]
        if row.function == "ssmax":
            shares = parameter_gradients(row, dy, fmt)
            assert mp.isnan(shares.ds)
            assert mp.isnan(shares.db)
    tangents = jvp(Row("ssmax", (1.0, 2.0)), (1.0, 1.0), ds=INF)
    assert [mp.isnan(t) for t in tangents] == [True, True]
    assert jvp(Row("softmax", (-INF,)), (NAN,), ds=INF) == [0]


def test_gradients_are_those_of_the_weights_returned() -> None:
    # One working precision serves both: a finite difference of weights is the gradient.
    fmt = FORMATS["float64"]
    step = 2.0**-40
    x = (0.3, -1.2, 0.9, 0.0)
    for function, form in VARIANTS:
        for j in range(len(x)):
            up, down = (
                weights(Row(function, (*x[:j], x[j] + h, *x[j + 1 :]), form=form), fmt)
                for h in (step, -step)
            )
            with mp.workprec(192):
                slopes = [(a.value - b.value) / (2 * step) for a, b in zip(up, down, strict=True)]
            for i, slope in enumerate(slopes):
                dy = tuple(float(k == i) for k in range(len(x)))
                value = gradient(Row(function, x, form=form), dy, fmt)[j].value
                if x[j] != 0:
                    assert abs(slope - value) < 1e-18


def test_tiny_gradients_have_moderate_exponents() -> None:
    row = Row("softmax", (0.0, -1e300))
    for entry in gradient(row, (0.0, 1.0), FORMATS["float64"]):
        assert 0 < abs(entry.value) <= mp.ldexp(1, -20000)
        assert mp.mag(entry.value) > -20002


def test_wrong_arguments_are_named() -> None:
    row = Row("softmax", (1.0, 2.0))
    for call in (gradient, parameter_gradients):
        with pytest.raises(ValueError, match="one number an entry is needed: 2, got 1"):
            call(Row("ssmax", (1.0, 2.0)), (1.0,), FORMATS["float64"])
    with pytest.raises(ValueError, match="one number an entry is needed: 2, got 3"):
        jvp(row, (1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="softmax has no parameters"):
        parameter_gradients(row, (1.0, 1.0), FORMATS["float64"])
