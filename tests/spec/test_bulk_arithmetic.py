"""The building blocks of the bulk reference against exact fractions and ball arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx

from softmax_variants_spec.bulk import _twofold as twofold
from softmax_variants_spec.bulk._exponential import LOWEST, exponential
from softmax_variants_spec.bulk._rounding import decide
from softmax_variants_spec.formats import FORMATS

U2 = Fraction(1, 2**106)


@pytest.fixture(autouse=True)
def _precision():
    previous = ctx.prec
    ctx.prec = 400
    yield
    ctx.prec = previous


def pairs(rng, size, spread=30):
    high = np.ldexp(rng.uniform(0.5, 1, size), rng.integers(-spread, spread, size))
    high *= rng.choice([-1.0, 1.0], size)
    low = high * rng.uniform(-1, 1, size) * 2.0**-53
    high, low = twofold.two_sum(high, low)
    return high, np.where(rng.random(size) < 0.2, 0.0, low)


def exact(pair):
    return [
        Fraction(h) + Fraction(w) for h, w in zip(pair[0].tolist(), pair[1].tolist(), strict=True)
    ]


def check_bound(computed, wanted, bound, *, met=True):
    errors = [abs(c - w) / abs(w) for c, w in zip(exact(computed), wanted, strict=True) if w]
    assert max(errors) <= bound * U2
    # A bound that is loose by orders would let a wrong formula pass.
    assert not met or max(errors) > bound * U2 / 50
    for high, low in zip(*computed, strict=True):
        assert high + low == high


def test_error_free_transformations():
    rng = np.random.default_rng(1)
    a = np.ldexp(rng.normal(size=5000), rng.integers(-60, 60, 5000))
    b = np.ldexp(rng.normal(size=5000), rng.integers(-60, 60, 5000))
    for pair, wanted in (
        (twofold.two_sum(a, b), [Fraction(p) + Fraction(q) for p, q in zip(a, b, strict=True)]),
        (twofold.two_prod(a, b), [Fraction(p) * Fraction(q) for p, q in zip(a, b, strict=True)]),
    ):
        assert exact(pair) == wanted


def test_subnormal_and_large_sums_have_no_error():
    tiny = np.array([2.0**-1074, 3 * 2.0**-1074, 2.0**1019, -(2.0**1019)])
    other = np.array([2.0**-1074, 1.0, 2.0**-1074, 2.0**1019 - 2.0**966])
    wanted = [Fraction(p) + Fraction(q) for p, q in zip(tiny, other, strict=True)]
    assert exact(twofold.two_sum(tiny, other)) == wanted


def test_sum():
    rng = np.random.default_rng(2)
    x, y = pairs(rng, 5000, 3), pairs(rng, 5000, 3)
    wanted = [p + q for p, q in zip(exact(x), exact(y), strict=True)]
    check_bound(twofold.add(x, y), wanted, Fraction(301, 100))


def test_sum_that_cancels():
    rng = np.random.default_rng(2)
    x = pairs(rng, 5000, 3)
    y = twofold.fast_two_sum(-x[0] * (1 + 2.0**-40), x[1] * 2.0**-8)
    wanted = [p + q for p, q in zip(exact(x), exact(y), strict=True)]
    check_bound(twofold.add(x, y), wanted, Fraction(301, 100), met=False)


def test_sum_with_a_word():
    rng = np.random.default_rng(3)
    x, y = pairs(rng, 5000, 3), rng.normal(size=5000)
    wanted = [p + Fraction(q) for p, q in zip(exact(x), y, strict=True)]
    check_bound(twofold.add_word(x, y), wanted, Fraction(201, 100))


def test_product():
    rng = np.random.default_rng(4)
    x, y = pairs(rng, 5000), pairs(rng, 5000)
    check_bound(twofold.mul(x, y), [p * q for p, q in zip(exact(x), exact(y), strict=True)], 7)


def test_reciprocal():
    rng = np.random.default_rng(5)
    x = pairs(rng, 5000)
    check_bound(twofold.reciprocal(x), [1 / p for p in exact(x)], 10)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_total(size):
    rng = np.random.default_rng(size)
    x = pairs(rng, 8 * size)
    sign = np.sign(x[0])
    x = (x[0] * sign, x[1] * sign)
    wanted = [sum(exact(x)[i * size : (i + 1) * size]) for i in range(8)]
    rows = (x[0].reshape(8, size), x[1].reshape(8, size))
    high, low = twofold.total(rows)
    bound = Fraction(31, 10) * ((size - 1).bit_length() + 1) * U2
    for value, want in zip(exact((high[:, 0], low[:, 0])), wanted, strict=True):
        assert abs(value - want) <= bound * want


def test_exponential_keeps_its_bound():
    rng = np.random.default_rng(6)
    steps = np.arange(-4000.0, 1.0) * np.log(2) / 512  # halfway between table entries, and at them
    high = np.concatenate(
        [rng.uniform(LOWEST, 0, 4000), -(2.0 ** rng.uniform(-80, 3, 3000)), steps]
    )
    high = np.append(high, [0.0, LOWEST, -745.2, -(2.0**-1074)])
    low = -np.abs(high) * rng.uniform(0, 2.0**-53, high.size)
    low[high == LOWEST] = 0.0
    z = twofold.fast_two_sum(high, low)
    power, exponent = exponential(z)
    assert np.all((power[0] > 0.99) & (power[0] < 2))
    worst = 0.0
    for z_h, z_l, h, w, k in zip(*z, *power, exponent.tolist(), strict=True):
        true = (arb(float(z_h)) + arb(float(z_l))).exp()
        error = (arb(float(h)) + arb(float(w))) * arb(2) ** k / true - 1
        worst = max(worst, float(abs(error).upper()))
    assert 1 < worst * 2.0**106 <= 10


def numbers_near(fmt, rng):
    """Return double words with powers of two around what matters in a format, and fractions."""
    p = fmt.precision
    words = []
    spread = (fmt.emin - p - 2, fmt.emin - p + 1, fmt.emin - 1, fmt.emin, 0)
    for exponent in (*spread, fmt.emax - 1, fmt.emax, fmt.emax + 1, fmt.emax + 40):
        for steps in (0, 1, 2, 3, 2**p - 2, 2**p - 1, int(rng.integers(2 ** (p - 1), 2**p))):
            for half in (0, 1):
                base = Fraction(
                    2 * steps + half, 2**p
                )  # in units of 2^exponent: one, or a midpoint
                for shift in (0, 1, -1, 2, -2):
                    value = base * (1 + Fraction(shift, 2**88))
                    high = float(value)
                    low = float(value - Fraction(high))
                    if high:
                        words.append((high, low, exponent))
                        words.append((-high, -low, exponent))
    return words


def limit(fmt):
    return Fraction(2) ** (fmt.emax + 1)


def is_decided(fmt, low, high):
    """Return whether rounding, ULP and not being representable are common to an interval."""
    rounded = fmt.round(low)
    if fmt.round(high) != rounded or fmt.ulp_exponent(low) != fmt.ulp_exponent(high):
        return False
    return not np.isfinite(rounded) or (low - Fraction(rounded)) * (high - Fraction(rounded)) > 0


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("direction", [None, -1, 0, 1])
def test_decisions_are_those_of_the_fractions(name, direction):
    fmt = FORMATS[name]
    rng = np.random.default_rng(7)
    words = numbers_near(fmt, rng)
    high, low = (np.array([word[i] for word in words]) for i in (0, 1))
    exponent = np.array([word[2] for word in words], dtype=np.int32)
    toward = None if direction is None else np.full(exponent.shape, direction, dtype=np.int32)
    error = 2.0**-95
    decision = decide((high, low), exponent, fmt, error, toward)
    for i, (h, w, k) in enumerate(words):
        value = (Fraction(h) + Fraction(w)) * Fraction(2) ** k
        decided = is_decided(fmt, value * (1 - Fraction(error)), value * (1 + Fraction(error)))
        if direction is None:
            assert decision.open_[i] == (not decided)
        elif decision.open_[i]:
            # A known side settles what is exactly a midpoint or a number, at least.
            assert not decided
            assert w != 0
        if decision.open_[i]:
            continue
        value *= 1 + Fraction(direction or 0, 2**300)
        ulp = fmt.ulp_exponent(value)
        rounded = decision.rounded[i]
        assert rounded == fmt.round(value)
        assert decision.ulp_exponent[i] == ulp
        assert decision.exact[i] == fmt.representable(value)
        inside = min(max(value, -limit(fmt)), limit(fmt))  # beyond stands for 2^(emax + 1)
        stored = Fraction(rounded) if np.isfinite(rounded) else limit(fmt) * int(np.sign(rounded))
        residual = (inside - stored) / Fraction(2) ** ulp
        assert abs(Fraction(decision.residual[i]) - residual) <= Fraction(1, 2**20)
        assert np.sign(decision.residual[i]) == np.sign(residual)
    assert np.any(decision.open_) == (direction is None)
    assert np.any(decision.exact) == (direction == 0)
