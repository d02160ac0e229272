"""Arithmetic in two words, of the CUDA kernels: errors against exact arithmetic, on the CPU."""

from __future__ import annotations

import math
import random
import struct
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import mpmath
import numpy as np
import pytest

from cuda_support.emulator import DEVICE_SOURCE, Kernels, compile_kernels
from softmax_variants_backends._cuda._launch import Module
from softmax_variants_backends._cuda._source import files_of, macros_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# Each kernel takes rows of four doubles, a pair and another, and returns rows of two or three.
KERNELS = r"""
struct Pairs {
    const double* in;
    double* out;
    long long count;
};

#define FOR_EACH(NAME, ...)                                                      \
    KERNEL NAME(CALL_ARGUMENT(Pairs) call) {                                     \
        for (long long i = thread_index(); i < call.count; i += block_threads()) { \
            const double* in = call.in + 4 * i;                                  \
            double* out = call.out + 3 * i;                                      \
            Words a = {in[0], in[1]}, b = {in[2], in[3]};                        \
            __VA_ARGS__                                                          \
        }                                                                        \
    }
#define RETURN(WORDS) out[0] = WORDS.high; out[1] = WORDS.low; (void)b;

FOR_EACH(sums, Words c = add(a, b); RETURN(c))
FOR_EACH(products, Words c = multiply(a, b); RETURN(c))
FOR_EACH(quotients, Words c = divide(a, b); RETURN(c))
FOR_EACH(logarithms, Words c = logarithm(a); RETURN(c))
FOR_EACH(exponentials, Exponential c = exponential_in_words(a); RETURN(c.words)
         out[2] = c.halvings;)
FOR_EACH(roundings, Ranged c = {a, static_cast<int>(in[2])}; out[0] = rounded(c); (void)b;)
FOR_EACH(normals, Ranged c = ranged(a); RETURN(c.words) out[2] = c.exponent;)
FOR_EACH(row_sums, Words c = {0.0, 0.0}; RangedSum total;
         for (int k = 0; k < 100; ++k) {
             total.see(ranged(k % 2 ? a : b));
             total.see(negated(ranged(k % 2 ? b : a)));
             total.see(ranged(1.0));
         }
         c = total.words; RETURN(c) out[2] = total.exponent;)
"""


@cache
def kernels() -> Kernels:
    module = Module("Double", "softmax")
    parts = [
        (name, DEVICE_SOURCE if name == "device.cuh" else text) for name, text in files_of(module)
    ]
    return compile_kernels([*parts, ("test.cuh", KERNELS)], macros_of(module))


def run(kernel: str, rows: Sequence[tuple[float, ...]]) -> list[list[float]]:
    """Return the three numbers that a kernel makes of each row."""
    padded = [(*row, *(0.0,) * (4 - len(row))) for row in rows]
    given, out = np.array(padded), np.zeros((len(rows), 3))
    argument = struct.pack("=QQq", given.ctypes.data, out.ctypes.data, len(rows))
    kernels().launch(kernel, argument, grid=1, block=32)
    result: list[list[float]] = out.tolist()
    return result


def exact(high: float, low: float) -> Fraction:
    return Fraction(high) + Fraction(low)


def two_words(source: random.Random, low: float = -40, high: float = 40) -> tuple[float, float]:
    """Return a number of either sign between powers of two, in two words."""
    value = math.ldexp(source.uniform(1, 2), round(source.uniform(low, high)))
    rest = value * source.uniform(-1, 1) * 2.0**-53
    value, rest = value + rest, rest - ((value + rest) - value)
    return (value, rest) if source.random() < 0.5 else (-value, -rest)


@pytest.mark.parametrize(("kernel", "bound"), [("sums", 3), ("products", 5), ("quotients", 10)])
def test_arithmetic_in_two_words(kernel: str, bound: int) -> None:
    source = random.Random(1)
    rows = [(*two_words(source), *two_words(source)) for _ in range(2000)]
    if kernel == "sums":  # terms that cancel
        rows += [(a, b, -a * (1 + k * 2.0**-50), b) for k, (a, b, _, _) in enumerate(rows[:500])]
    for (a, b, c, d), (high, low, _) in zip(rows, run(kernel, rows), strict=True):
        x, y = exact(a, b), exact(c, d)
        value = x + y if kernel == "sums" else x * y if kernel == "products" else x / y
        assert abs(exact(high, low) - value) <= bound * abs(value) / 2**106
        assert high + low == high


def test_a_number_over_itself_is_1() -> None:
    source = random.Random(2)
    numbers = [two_words(source) for _ in range(500)]
    assert run("quotients", [(*own, *own) for own in numbers]) == [[1.0, 0.0, 0.0]] * 500


def test_logarithm() -> None:
    source = random.Random(3)
    rows: list[tuple[float, float]] = [(float(k), 0.0) for k in range(1, 300)]
    rows += [(float(source.getrandbits(40) + 1), 0.0) for _ in range(300)]
    rows += [own for own in (two_words(source, -1000, 1000) for _ in range(600)) if own[0] > 0]
    rows += [(1 + source.uniform(-1, 1) * 2.0**-k, 0.0) for k in range(1, 52) for _ in range(4)]
    rows += [(math.ldexp(source.uniform(1, 2), -k), 0.0) for k in range(1000, 1074)]
    rows += [(5e-324, 0.0), (1.7976931348623157e308, 0.0), (0.7071067811865476, 0.0)]
    rows += [(1.4142135623730951, 0.0), (1.4142135623730954, 0.0), (float(2**64), -1.0)]
    with mpmath.workprec(300):
        for (high, low), (got_high, got_low, _) in zip(rows, run("logarithms", rows), strict=True):
            value = mpmath.log(mpmath.mpf(high) + low)
            error = abs(mpmath.mpf(got_high) + got_low - value)
            assert error <= abs(value) * mpmath.mpf(2) ** -80
    assert run("logarithms", [(1.0, 0.0)]) == [[0.0, 0.0, 0.0]]


def test_exponential() -> None:
    source = random.Random(4)
    highs = [-source.uniform(0, 1) * 2.0**k for k in range(-60, 12) for _ in range(30)]
    # Next to where the number of halvings changes, and to where the logarithm of 2 is hit.
    highs += [-(k / 2) * math.log(2) * (1 + source.uniform(-4, 4) * 2.0**-52) for k in range(6000)]
    rows = [(z, z * source.uniform(-1, 1) * 2.0**-54) for z in highs if z >= -2180.0]
    with mpmath.workprec(200):
        for (high, low), (e, rest, halvings) in zip(rows, run("exponentials", rows), strict=True):
            value = mpmath.ldexp(mpmath.exp(mpmath.mpf(high) + low), int(halvings))
            assert abs(mpmath.mpf(e) + rest - value) <= value * mpmath.mpf(2) ** -57.5
            assert 0.7 < e < 1.42
    assert run("exponentials", [(0.0, 0.0)]) == [[1.0, 0.0, 0.0]]


def test_a_ranged_number_is_rounded_once() -> None:
    source = random.Random(5)
    rows = []
    for _ in range(4000):
        high, low = two_words(source, -30, 30)
        exponent = source.choice([source.randint(-1120, -1000), source.randint(-1000, 1060)])
        rows.append((high, low * source.randint(0, 1), exponent))
    # Midpoints of subnormal numbers, and numbers next to them on either side.
    for _ in range(500):
        bits = source.randint(1, 30)
        odd = float(2 * source.getrandbits(bits) + 1)
        rows += [(sign * odd, rest, -1075) for sign in (1, -1) for rest in (0.0, 1e-20, -1e-20)]
    rows += [(1.0, 0.0, -1075), (1.0, 1e-20, -1075), (1.0, -1e-20, -1075), (1.5, 0.0, -1075)]
    rows += [(0.0, 0.0, 5000), (1e-200, 0.0, 700), (-1e-200, 0.0, -500), (1e-300, 0.0, 900)]
    for (high, low, exponent), (got, _, _) in zip(rows, run("roundings", rows), strict=True):
        value = exact(high, low) * Fraction(2) ** int(exponent)
        # Fractions become floats with one rounding, to nearest, ties to even.
        try:
            wanted = float(value)
        except OverflowError:
            wanted = math.copysign(math.inf, high)
        assert got == wanted, (high, low, exponent)


def test_ranged_keeps_every_bit() -> None:
    source = random.Random(6)
    rows = [(math.ldexp(source.uniform(-2, 2), -k), 0.0) for k in range(900, 1075)]
    rows += [two_words(source, -900, 1000) for _ in range(500)]
    rows += [(1.7976931348623157e308, 2.0**969), (-5e-324, 0.0), (0.0, 0.0)]
    for (high, low), (m, rest, exponent) in zip(rows, run("normals", rows), strict=True):
        assert 1 <= abs(m) < 2 or high == 0
        assert exact(m, rest) * Fraction(2) ** int(exponent) == exact(high, low)


def test_a_sum_keeps_what_large_terms_leave() -> None:
    source = random.Random(7)
    rows = [
        (*two_words(source, 0, limit), *two_words(source, 0, limit))
        for limit in (0, 40, 300, 900)
        for _ in range(50)
    ]
    for (a, b, c, d), (high, low, exponent) in zip(rows, run("row_sums", rows), strict=True):
        largest = max(abs(exact(a, b)), abs(exact(c, d)), Fraction(1))
        error = abs(exact(high, low) * Fraction(2) ** int(exponent) - 100)
        assert error <= 300**2 * largest / 2**105
