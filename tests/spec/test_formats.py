"""Rounding, spacing and neighbours against NumPy, ml_dtypes and exact fractions."""

from __future__ import annotations

import math
import random
import time
from fractions import Fraction
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from softmax_variants_spec.formats import FORMATS, Format

DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}

every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)

all_formats = st.sampled_from(list(FORMATS.values()))


def fractions_around_the_range() -> st.SearchStrategy[Fraction]:
    """Rationals of both signs whose magnitudes reach beyond the range of every format."""
    mantissas = st.fractions(min_value=1, max_value=2, max_denominator=2**70)
    exponents = st.one_of(st.integers(-1090, 1030), st.integers(-155, 130), st.integers(-30, 20))
    signs = st.sampled_from([-1, 1])
    return st.builds(lambda s, m, e: s * m * Fraction(2) ** e, signs, mantissas, exponents)


def all_positive(fmt: Format) -> list[float]:
    """Every positive finite number of a 16-bit format, in order, from its encodings."""
    infinity = np.array(np.inf, dtype=DTYPES[fmt.name]).view(np.uint16).item()
    encodings = np.arange(1, infinity, dtype=np.uint16)
    return encodings.view(DTYPES[fmt.name]).astype(np.float64).tolist()


@every_format
def test_constants_are_those_of_the_dtype(fmt: Format) -> None:
    info = ml_dtypes.finfo(DTYPES[fmt.name])
    assert fmt.max == float(info.max)
    assert fmt.min_normal == float(info.smallest_normal)
    assert fmt.min_subnormal == float(info.smallest_subnormal)
    assert fmt.unit_roundoff == float(info.eps) / 2
    assert fmt.precision == info.nmant + 1
    assert fmt.emin == 1 - fmt.emax


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_every_16_bit_number_and_every_midpoint(name: str) -> None:
    fmt = FORMATS[name]
    values = [0.0, *all_positive(fmt)]
    tiny = Fraction(1, 2**200)
    for i, (low, high) in enumerate(pairwise(values)):
        # Encodings are consecutive, so the one with an even last bit is at the even index.
        even = low if i % 2 == 0 else high
        middle = (Fraction(low) + Fraction(high)) / 2
        assert fmt.round(low) == low
        assert fmt.round(middle) == even
        assert fmt.round(-middle) == -even
        assert fmt.round(middle - tiny) == low
        assert fmt.round(middle + tiny) == high
        assert fmt.round_down(middle) == low
        assert fmt.round_up(middle) == high
        assert fmt.next_up(low) == high
        assert fmt.next_down(high) == low


@pytest.mark.parametrize("name", ["float16", "float32"])
def test_rounding_agrees_with_numpy_casts(name: str) -> None:
    fmt, dtype = FORMATS[name], DTYPES[name]
    rng = random.Random(1)
    reach = fmt.emax + fmt.precision + 3
    values = [rng.uniform(-2, 2) * 2.0 ** rng.randint(-reach, fmt.emax) for _ in range(20000)]
    # Midpoints of random neighbours, and the binary64 numbers next to them.
    with np.errstate(over="ignore"):
        low = np.array(values[:5000]).astype(dtype)
        middles = (low.astype(np.float64) + np.nextafter(low, dtype.type(np.inf))) / 2
        middles = middles[np.isfinite(middles)]
        for shift in (-np.inf, np.inf):
            values += np.nextafter(middles, shift).tolist()
        values += middles.tolist()
        expected = np.array(values).astype(dtype).astype(np.float64).tolist()
    assert [fmt.round(v) for v in values] == expected


def test_rounding_to_bfloat16_agrees_with_casts_from_binary32() -> None:
    # From binary64 the cast goes through binary32 and rounds twice; from binary32 it does not.
    fmt = FORMATS["bfloat16"]
    rng = np.random.default_rng(2)
    values = rng.integers(0, 2**32, 50000, dtype=np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    expected = values.astype(ml_dtypes.bfloat16).astype(np.float64).tolist()
    assert [fmt.round(v) for v in values.astype(np.float64).tolist()] == expected


@settings(derandomize=True)
@given(fractions_around_the_range())
def test_rounding_to_binary64_agrees_with_division_of_integers(v: Fraction) -> None:
    try:
        expected = v.numerator / v.denominator
    except OverflowError:
        expected = math.inf if v > 0 else -math.inf
    assert FORMATS["float64"].round(v) == expected


@settings(derandomize=True, max_examples=400)
@given(all_formats, fractions_around_the_range())
def test_rounding_is_to_the_nearest(fmt: Format, v: Fraction) -> None:
    below, above, nearest = fmt.round_down(v), fmt.round_up(v), fmt.round(v)
    assert below <= v <= above
    assert nearest in (below, above)
    assert fmt.round(-v) == -nearest
    assert fmt.representable(nearest)
    assert fmt.representable(v) == (below == above)
    if below == above:
        return
    assert fmt.next_up(below) == above
    assert fmt.next_down(above) == below
    end = Fraction(2) ** (fmt.emax + 1)
    low, high = (
        Fraction(e) if math.isfinite(e) else (end if e > 0 else -end) for e in (below, above)
    )
    distances = {below: v - low, above: high - v}
    if distances[below] != distances[above]:
        assert nearest == min(distances, key=distances.__getitem__)
    assert high - low <= Fraction(2) ** fmt.ulp_exponent(v) or abs(v) > end


@settings(derandomize=True)
@given(all_formats, fractions_around_the_range())
def test_all_kinds_of_numbers_round_alike(fmt: Format, v: Fraction) -> None:
    numerator = round(v * 2**1200)
    dyadic = Fraction(numerator, 2**1200)
    with mp.workprec(4000):
        as_mpf = mp.ldexp(mpf(numerator), -1200)
    for method in ("round", "round_down", "round_up", "ulp_exponent", "representable"):
        assert getattr(fmt, method)(as_mpf) == getattr(fmt, method)(dyadic)
    assert fmt.round(numerator) == fmt.round(Fraction(numerator))


@every_format
def test_the_ends_of_the_range(fmt: Format) -> None:
    eta, end = Fraction(fmt.min_subnormal), Fraction(2) ** (fmt.emax + 1)
    to_infinity = (Fraction(fmt.max) + end) / 2
    tiny = Fraction(1, 2**1300)
    assert fmt.round(to_infinity - tiny) == fmt.max
    assert fmt.round(to_infinity) == math.inf
    assert fmt.round(-to_infinity) == -math.inf
    assert fmt.round_down(end * 4) == fmt.max
    assert fmt.round_up(-end * 4) == -fmt.max
    assert fmt.round_up(Fraction(fmt.max) + tiny) == math.inf
    assert fmt.round(eta / 2) == 0.0
    assert fmt.round(eta / 2 + tiny) == fmt.min_subnormal
    assert fmt.round(3 * eta / 2) == 2 * fmt.min_subnormal
    assert fmt.round_up(tiny) == fmt.min_subnormal
    assert fmt.round_down(-tiny) == -fmt.min_subnormal
    assert fmt.round_down(tiny) == 0.0
    # The largest subnormal and the smallest normal number are neighbours.
    assert fmt.next_down(fmt.min_normal) == fmt.min_normal - fmt.min_subnormal
    assert fmt.round(Fraction(fmt.min_normal) - eta / 2) == fmt.min_normal
    assert fmt.next_up(fmt.max) == math.inf
    assert fmt.next_down(-math.inf) == -math.inf
    assert fmt.next_down(math.inf) == fmt.max
    assert fmt.next_up(-math.inf) == -fmt.max
    assert fmt.next_up(0.0) == fmt.min_subnormal
    assert fmt.next_down(0.0) == -fmt.min_subnormal


@every_format
def test_results_that_are_zero_have_one_sign(fmt: Format) -> None:
    tiny = Fraction(-1, 2**1300)
    zeros = [fmt.round(tiny), fmt.round_up(tiny), fmt.round(0), fmt.next_up(-fmt.min_subnormal)]
    assert [math.copysign(1, zero) for zero in zeros] == [1.0] * 4


@every_format
def test_numbers_that_are_not_finite(fmt: Format) -> None:
    for kind in (float, mpf):
        assert fmt.round(kind("inf")) == math.inf
        assert fmt.round_down(kind("-inf")) == -math.inf
        assert math.isnan(fmt.round(kind("nan")))
        assert fmt.representable(kind("inf"))
        assert not fmt.representable(kind("nan"))
        assert fmt.ulp_exponent(kind("inf")) == fmt.emax - fmt.precision + 1


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_spacing_agrees_with_numpy(name: str) -> None:
    fmt, dtype = FORMATS[name], DTYPES[name]
    rng = random.Random(3)
    values = [fmt.max, fmt.min_normal, fmt.min_subnormal, 1.0, 2.0]
    values += [
        fmt.round(rng.uniform(1, 2) * 2.0 ** rng.randint(-fmt.emax - 10, fmt.emax))
        for _ in range(2000)
    ]
    with np.errstate(over="ignore"):
        # NumPy's spacing at the largest number is the distance to infinity.
        expected = np.spacing(np.array(values[1:], dtype=dtype)).astype(np.float64)
    assert [2.0 ** fmt.ulp_exponent(v) for v in values[1:]] == expected.tolist()
    assert fmt.ulp_exponent(0) == fmt.ulp_exponent(fmt.min_subnormal)
    assert fmt.ulp_exponent(Fraction(fmt.max) * 5) == fmt.ulp_exponent(fmt.max)


@pytest.mark.parametrize("name", FORMATS)
def test_neighbours_agree_with_numpy(name: str) -> None:
    fmt, dtype = FORMATS[name], DTYPES[name]
    rng = random.Random(4)
    values = [
        fmt.round(rng.uniform(-2, 2) * 2.0 ** rng.randint(-fmt.emax - 10, fmt.emax - 1))
        for _ in range(2000)
    ]
    array = np.array(values).astype(dtype)
    for direction, method in ((np.inf, fmt.next_up), (-np.inf, fmt.next_down)):
        expected = np.nextafter(array, dtype.type(direction)).astype(np.float64).tolist()
        assert [method(v) for v in values] == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        # A cast through binary32 rounds these twice, the second time from a tie that is none.
        ("float16", 1 + 2**-11 + 2**-40, 1 + 2**-10),
        ("bfloat16", 1 + 2**-8 + 2**-40, 1 + 2**-7),
        ("float16", 1 + 2**-11, 1.0),
        ("bfloat16", 1 + 3 * 2**-8, 1 + 2**-6),
        ("float16", 2.0**-25, 0.0),
        ("float16", 3 * 2.0**-25, 2.0**-23),
    ],
)
def test_numbers_that_are_often_rounded_wrongly(name: str, value: float, expected: float) -> None:
    assert FORMATS[name].round(value) == expected


def test_numbers_between_neighbours_have_neighbours_too() -> None:
    fmt = FORMATS["float16"]
    assert fmt.next_up(1.0001) == 1 + 2.0**-10
    assert fmt.next_down(1.0001) == 1.0


@every_format
def test_enormous_exponents_cost_nothing(fmt: Format) -> None:
    huge = mp.ldexp(1, 10**300)
    start = time.perf_counter()
    assert fmt.round(huge) == math.inf
    assert fmt.round(-1 / huge) == 0.0
    assert fmt.round_up(1 / huge) == fmt.min_subnormal
    assert not fmt.representable(1 / huge)
    assert fmt.ulp_exponent(1 / huge) == fmt.ulp_exponent(0)
    assert time.perf_counter() - start < 1.0
