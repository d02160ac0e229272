"""The own exponential and logarithm, and exact powers of two, against 200 digits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import array_api_compat.numpy as xp
import mpmath
import numpy as np
import pytest

from softmax_variants_backends.array_api._constants import LN2, Constants, constants
from softmax_variants_backends.array_api._elementary import (
    binary_exponent,
    exponential,
    logarithm,
    power_of_half,
    times_power,
)

DIGITS = 200
TYPES: dict[int, tuple[Any, Any]] = {53: (np.float64, np.int64), 24: (np.float32, np.int32)}
BOTH = pytest.mark.parametrize("precision", [53, 24])


def number(words: tuple[Any, ...], index: int) -> Any:
    return mpmath.fsum(mpmath.mpf(float(word[index])) for word in words)


def rational(value: Fraction) -> Any:
    return mpmath.mpf(value.numerator) / value.denominator


@pytest.fixture(autouse=True)
def _digits() -> Any:
    # The backend's functions silence NumPy as a whole: what overflows on the way is replaced.
    with mpmath.workdps(DIGITS), np.errstate(all="ignore"):
        yield


def test_logarithm_of_two() -> None:
    error = mpmath.log(2) - rational(LN2)
    assert 0 < error < mpmath.mpf(2) ** -320


@BOTH
def test_constants_are_words_of_the_type(precision: int) -> None:
    k = constants(precision)
    dtype = TYPES[precision][0]
    singles = (k.splitter, k.inverse_ln2, k.sqrt2, *k.ln2_parts, *k.ln2, *k.exp_tail, *k.log_tail)
    for word in (*singles, *sum((*k.exp_pairs, *k.log_pairs), ())):
        assert float(dtype(word)) == word
    unit = mpmath.mpf(2) ** (-2 * precision)
    for j, pair in enumerate(k.exp_pairs):
        value = 1 / mpmath.factorial(j)
        assert abs(mpmath.fsum(pair) - value) <= unit * value
    for j, pair in enumerate(k.log_pairs):
        value = mpmath.mpf(1) / (2 * j + 1)
        assert abs(mpmath.fsum(pair) - value) <= unit * value
    assert abs(mpmath.fsum(k.ln2) - mpmath.log(2)) <= unit
    assert abs(mpmath.fsum(k.ln2_parts) - mpmath.log(2)) <= mpmath.mpf(2) ** (
        -30 - 2 * precision // 2
    )
    for part in k.ln2_parts[:2]:
        for exponent in (1, 3, k.max_halvings, k.max_halvings - 1):
            assert Fraction(float(dtype(exponent) * dtype(part))) == exponent * Fraction(part)


def exponents(precision: int, k: Constants) -> tuple[Any, Any]:
    """Return arguments in two words: everywhere, at multiples of ln 2 / 2, at both ends."""
    dtype = TYPES[precision][0]
    rng = np.random.default_rng(precision)
    lowest = -k.max_halvings * k.ln2[0]
    halves = np.arange(0, 2 * k.max_halvings, 7)[:200] * -0.5 * math.log(2)
    ends = [0.0, lowest, np.nextafter(dtype(lowest), dtype(0)), -1.0, -math.log(2) / 2]
    tiny = -np.ldexp(rng.uniform(1.0, 2.0, 60), -rng.integers(1, 120, 60))
    high = np.concatenate(
        [rng.uniform(lowest, 0.0, 300), rng.uniform(-3.0, 0.0, 200), halves, ends, tiny]
    ).astype(dtype)
    high = np.maximum(high, dtype(lowest))
    low = rng.uniform(-0.5, 0.5, high.size) * np.spacing(np.abs(high))
    low = np.where((high == dtype(lowest)) | (high == 0), 0.0, low).astype(dtype)
    return high, low


def bits_in_binary32(z: float) -> int:
    return 46 if z > -1 else 41 if z >= -128 else 39


@BOTH
def test_exponential_of_two_words(precision: int) -> None:
    k = constants(precision)
    z = exponents(precision, k)
    e, halvings = exponential(xp, z, k, TYPES[precision][1])
    assert e[0].dtype == e[1].dtype == TYPES[precision][0]
    assert halvings.dtype == TYPES[precision][1]
    assert halvings.min() == 0
    assert halvings.max() == k.max_halvings
    assert ((e[0] > 0.7) & (e[0] < 1.42)).all()
    for i, h in enumerate(halvings.tolist()):
        bits = 80 if precision == 53 else bits_in_binary32(float(z[0][i]))
        value = mpmath.exp(number(z, i))
        got = mpmath.ldexp(number(e, i), -h)
        assert abs(got - value) <= mpmath.ldexp(value, -bits), (float(z[0][i]), float(z[1][i]))


def test_exponential_of_one_word() -> None:
    k = constants(53)
    z = exponents(53, k)[:1]
    e, halvings = exponential(xp, z, k, np.int64)
    for i, h in enumerate(halvings.tolist()):
        value = mpmath.exp(number(z, i))
        got = mpmath.ldexp(number(e, i), -h)
        assert abs(got - value) <= mpmath.mpf(2) ** -51 * value, float(z[0][i])


def arguments(precision: int) -> tuple[Any, Any]:
    """Return positive arguments in two words: any exponent, next to 1, both ends, long integers."""
    dtype = TYPES[precision][0]
    info = np.finfo(dtype)
    rng = np.random.default_rng(7)
    low_exponent, high_exponent = int(info.minexp) - info.nmant, int(info.maxexp)
    any_size = np.ldexp(rng.uniform(1.0, 2.0, 300), rng.integers(low_exponent, high_exponent, 300))
    next_to_one = 1.0 + np.arange(-20, 21) * float(info.epsneg)
    powers = np.ldexp(1.0, np.arange(low_exponent, high_exponent, 9))
    ends = [float(info.max), float(info.smallest_subnormal), float(info.smallest_normal), 0.75]
    counts = np.arange(1, 200)
    high = np.concatenate([any_size, next_to_one, powers, ends, counts]).astype(dtype)
    # A low word only matters next to 1 and for integers that are longer than a word.
    low = np.zeros_like(high)
    longer = np.ldexp(dtype(1), np.arange(precision, precision + 9)).astype(dtype)
    near = np.full(6, dtype(1))
    small = np.asarray([1.0, -1.0, 0.5, -0.25, 2.0**-9, -(2.0**-9)]) * float(info.epsneg) / 2
    ones = np.ones_like(longer)
    return (
        np.concatenate([high, longer, longer, near]),
        np.concatenate([low, ones, -ones, small.astype(dtype)]),
    )


@BOTH
def test_logarithm_of_two_words(precision: int) -> None:
    n = arguments(precision)
    got = logarithm(xp, n, constants(precision))
    assert got[0].dtype == TYPES[precision][0]
    bound = mpmath.mpf(2) ** (-80 if precision == 53 else -44)
    for i in range(n[0].size):
        value = mpmath.log(number(n, i))
        assert abs(number(got, i) - value) <= bound * abs(value), (n[0][i], n[1][i])


@BOTH
def test_logarithm_of_one_is_zero(precision: int) -> None:
    one = np.ones(1, TYPES[precision][0])
    got = logarithm(xp, (one, one * 0), constants(precision))
    assert [word.tolist() for word in got] == [[0.0], [0.0]]


@BOTH
@pytest.mark.parametrize("exponent", [1, -1, 13, -1074, 1023])
def test_logarithm_with_an_exponent_beside(precision: int, exponent: int) -> None:
    n = np.asarray([1.0, 1.25, 1.5, 2.0 - 2.0**-23, 1.0 + 2.0**-23], TYPES[precision][0])
    got = logarithm(xp, (n, n * 0), constants(precision), exponent)
    bound = mpmath.mpf(2) ** (-80 if precision == 53 else -44)
    for i in range(n.size):
        value = mpmath.log(mpmath.ldexp(float(n[i]), exponent))
        assert abs(number(got, i) - value) <= bound * abs(value)


@BOTH
def test_powers_of_half_are_exact(precision: int) -> None:
    dtype, int_dtype = TYPES[precision]
    smallest = 1074 if precision == 53 else 149
    exponents = np.arange(smallest + 1, dtype=int_dtype)
    got = power_of_half(xp, exponents, dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.ldexp(1.0, -exponents))
    beyond = np.arange(smallest + 1, 2016 if precision == 53 else 992, dtype=int_dtype)
    np.testing.assert_array_equal(power_of_half(xp, beyond, dtype), np.zeros(beyond.size))


@BOTH
def test_times_power_is_exact_within_the_range(precision: int) -> None:
    dtype, int_dtype = TYPES[precision]
    info = np.finfo(dtype)
    rng = np.random.default_rng(11)
    start = rng.integers(int(info.minexp), int(info.maxexp), 4000)
    end = rng.integers(int(info.minexp), int(info.maxexp), 4000)
    mantissa = rng.uniform(1.0, 2.0, 4000).astype(dtype)
    mantissa = np.where(mantissa == 2, dtype(1), mantissa)
    a = np.ldexp(mantissa, start)
    (got,) = times_power(xp, (a,), (end - start).astype(int_dtype), dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.ldexp(mantissa, end))


@BOTH
def test_times_power_leaves_the_range_only_in_the_end(precision: int) -> None:
    dtype, int_dtype = TYPES[precision]
    info = np.finfo(dtype)
    ends = np.asarray([info.max, info.max, info.smallest_subnormal, info.smallest_subnormal, 1.0])
    down, up = int(info.minexp) - info.nmant, int(info.maxexp)
    powers = np.asarray([-1, down - up - 9, 1, up - down + 9, 3 * down], int_dtype)
    (got,) = times_power(xp, (ends.astype(dtype),), powers, dtype)
    smallest = float(info.smallest_subnormal)
    assert got.tolist() == [float(info.max) / 2, 0.0, 2 * smallest, math.inf, 0.0]


@BOTH
def test_binary_exponents(precision: int) -> None:
    dtype, int_dtype = TYPES[precision]
    info = np.finfo(dtype)
    exponents = np.arange(int(info.minexp) - info.nmant, int(info.maxexp))
    powers = np.ldexp(dtype(1), exponents).astype(dtype)
    k = constants(precision)
    got = binary_exponent(xp, powers, k, int_dtype)
    assert got.dtype == int_dtype
    np.testing.assert_array_equal(got, exponents)
    below = np.nextafter(powers[1:], dtype(0))
    np.testing.assert_array_equal(binary_exponent(xp, below, k, int_dtype), exponents[:-1])
    above = np.nextafter(powers[info.nmant :], dtype(math.inf))
    np.testing.assert_array_equal(binary_exponent(xp, above, k, int_dtype), exponents[info.nmant :])
    assert binary_exponent(xp, np.zeros(1, dtype), k, int_dtype).tolist() == [0]
