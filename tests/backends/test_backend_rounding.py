"""The one rounding to the type of the result, at every midpoint of the 16-bit formats."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import array_api_compat.numpy
import array_api_compat.torch
import numpy as np
import pytest
import torch

from backend_support.namespaces import WithoutFloat64
from softmax_variants_backends.array_api._rounding import round_scaled, round_to
from softmax_variants_backends.array_api._working import working_for
from softmax_variants_spec.formats import FORMATS, Format

WIDE, SINGLE, NARROW = "one word of binary64", "two of binary64", "two of binary32"


def working(library: str, kind: str) -> Any:
    xp: Any = getattr(array_api_compat, library)
    dtype = xp.float64 if kind == SINGLE else xp.float32
    return working_for(WithoutFloat64(xp) if kind == NARROW else xp, "cpu", dtype)


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    # The backend's functions silence NumPy as a whole: what overflows on the way is replaced.
    with np.errstate(all="ignore"):
        yield


def dtype_of(own: Any, name: str) -> Any:
    """Return a dtype as arrays have it; NumPy's namespace has types in its place."""
    return own.xp.zeros(1, dtype=getattr(own.xp, name)).dtype


def words(library: str, high: Any, rest: Any, dtype: str) -> tuple[Any, Any]:
    if library == "numpy":
        return high.astype(dtype), rest.astype(dtype)
    return tuple(torch.from_numpy(a).to(getattr(torch, dtype)) for a in (high, rest))  # type: ignore[return-value]


@cache
def midpoints(name: str) -> Any:
    """Return the middles of all neighbours of a 16-bit format, the one below infinity included."""
    fmt = FORMATS[name]
    if name == "float16":
        positive = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    else:
        bits = np.arange(0x7F80, dtype=np.uint32) << 16
        positive = bits.view(np.float32).astype(np.float64)
    assert positive[-1] == fmt.max
    above = np.append(positive[1:], 2.0 ** (fmt.emax + 1))
    return (positive + above) / 2


def checked(got: Any, values: list[Fraction], fmt: Format) -> None:
    rounded = got.to(torch.float64).numpy() if isinstance(got, torch.Tensor) else got
    np.testing.assert_array_equal(
        rounded.astype(np.float64), [fmt.round(value) for value in values]
    )


LIBRARIES = [("numpy", "float16"), ("torch", "float16"), ("torch", "bfloat16")]
SIXTEEN_BITS = pytest.mark.parametrize(
    ("library", "name"), LIBRARIES, ids=["-".join(pair) for pair in LIBRARIES]
)


@SIXTEEN_BITS
def test_midpoints_of_16_bits_from_one_word(library: str, name: str) -> None:
    middle = midpoints(name)
    steps = [middle, np.nextafter(middle, 0.0), np.nextafter(middle, np.inf)]
    steps += [middle * (1 - 2.0**-40), middle * (1 + 2.0**-40)]
    values = np.concatenate([sign * step for step in steps for sign in (1.0, -1.0)])
    own = working(library, WIDE)
    (high, _), fmt = words(library, values, values, "float64"), FORMATS[name]
    got = round_to(own, (high,), dtype_of(own, name))
    assert got.dtype == dtype_of(own, name)
    # The rounding is monotone, so the exact roundings of the positive half tell all others.
    down, up = [np.asarray([f(m) for m in middle]) for f in (fmt.round_down, fmt.round_up)]
    even = np.asarray([fmt.round(m) for m in middle])
    wanted = np.concatenate([s * v for v in (even, down, up, down, up) for s in (1.0, -1.0)])
    plain = got.to(torch.float64).numpy() if library == "torch" else got.astype(np.float64)
    np.testing.assert_array_equal(plain, wanted)


@SIXTEEN_BITS
def test_midpoints_of_16_bits_from_two_words(library: str, name: str) -> None:
    own, fmt = working(library, NARROW), FORMATS[name]
    middle = midpoints(name)
    smallest = 2.0**-149
    # Middles of subnormal bfloat16 numbers are subnormal float32 ones, with room for a low word.
    rest = np.maximum(np.abs(middle) * 2.0**-30, smallest)
    high, low = np.tile(middle, 3), np.concatenate([rest, -rest, 0 * rest])
    got = round_to(own, words(library, high, low, "float32"), dtype_of(own, name))
    checked(got, [Fraction(h) + Fraction(r) for h, r in zip(high, low, strict=True)], fmt)


@SIXTEEN_BITS
def test_values_that_casts_round_twice(library: str, name: str) -> None:
    unit = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[name]
    values = np.asarray([1 + unit + 2.0**-40, 1 + 3 * unit - 2.0**-40, -1 - unit - 2.0**-45])
    own = working(library, WIDE)
    got = round_to(own, words(library, values, values, "float64")[:1], dtype_of(own, name))
    checked(got, [Fraction(value) for value in values], FORMATS[name])


@SIXTEEN_BITS
def test_ends_of_16_bits(library: str, name: str) -> None:
    fmt, own = FORMATS[name], working(library, WIDE)
    over = fmt.max + 2.0 ** (fmt.emax - fmt.precision)
    tiny = fmt.min_subnormal / 2
    positive = [over, np.nextafter(over, 0), np.nextafter(over, np.inf), fmt.max, 1e300, np.inf]
    positive += [tiny, np.nextafter(tiny, 0), np.nextafter(tiny, 1), 5e-324, 3 * tiny, 0.0]
    values = np.asarray([*positive, *(-value for value in positive)])
    got = round_to(own, words(library, values, values, "float64")[:1], dtype_of(own, name))
    rounded = got.to(torch.float64).numpy() if library == "torch" else got.astype(np.float64)
    np.testing.assert_array_equal(rounded, [fmt.round(float(value)) for value in values])
    nan = round_to(own, words(library, values * np.nan, values, "float64")[:1], got.dtype)
    assert (nan != nan).all()


@SIXTEEN_BITS
def test_random_values_to_16_bits(library: str, name: str) -> None:
    own, rng = working(library, WIDE), np.random.default_rng(3)
    fmt = FORMATS[name]
    values = np.ldexp(rng.uniform(-2, 2, 20000), rng.integers(-30, fmt.emax, 20000))
    got = round_to(own, words(library, values, values, "float64")[:1], dtype_of(own, name))
    checked(got, [Fraction(value) for value in values], fmt)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_wide_results(library: str) -> None:
    values = np.asarray([0.1, 1 + 2.0**-24 + 2.0**-50, 2.0**-149 * 1.5, 1e39])
    own = working(library, SINGLE)
    pair = words(library, values, values * 2.0**-60, "float64")
    assert round_to(own, pair, dtype_of(own, "float64")) is pair[0]
    single = round_to(own, pair, dtype_of(own, "float32"))
    assert single.dtype == own.xp.float32
    checked(single, [Fraction(value) for value in values], FORMATS["float32"])


@pytest.mark.parametrize("kind", [SINGLE, NARROW])
def test_subnormal_results_are_rounded_once(kind: str) -> None:
    own = working("numpy", kind)
    dtype, fmt = own.dtype, FORMATS["float64" if kind == SINGLE else "float32"]
    rng = np.random.default_rng(8)
    p, size = fmt.precision, 6000
    # Values of p bits whose last bits fall off in the subnormal range: random, and on midpoints.
    lost = rng.integers(1, p - 1, size)
    mantissa = rng.integers(2 ** (p - 1), 2**p, size)
    on_middle = (mantissa >> lost << lost) + (1 << (lost - 1))
    mantissa = np.where(rng.random(size) < 0.7, on_middle, mantissa)
    value = np.ldexp(mantissa.astype(np.float64), 1 - p).astype(dtype)
    rest = rng.choice([-1.0, -0.25, 0.0, 0.25, 1.0], size) * 2.0 ** (-p - 3)
    rest = rest.astype(dtype)
    exponent = fmt.emin - lost
    root = np.ldexp(dtype(1), exponent // 2).astype(dtype)
    last = np.ldexp(dtype(1), exponent - exponent // 2).astype(dtype)
    got = round_scaled(own, (value, rest), (root, last))
    assert got[0].dtype == dtype
    exact = [
        (Fraction(float(v)) + Fraction(float(r))) * Fraction(2) ** int(e)
        for v, r, e in zip(value, rest, exponent, strict=True)
    ]
    np.testing.assert_array_equal(got[0], [fmt.round(v) for v in exact])
    # Multiplied straight away, many would come out wrong.
    assert (value * root * last != got[0]).sum() > 100


@pytest.mark.parametrize("kind", [SINGLE, NARROW])
def test_results_beyond_the_range_keep_their_sign(kind: str) -> None:
    own = working("numpy", kind)
    power = np.asarray([2.0 ** (own.emax // 2 + 1)], own.dtype)
    for sign in (1.0, -1.0):
        for rest in (-(2.0**-60), 0.0, 2.0**-60):
            pair = np.asarray([sign * 1.5], own.dtype), np.asarray([rest], own.dtype)
            assert round_scaled(own, pair, (power, power))[0].tolist() == [sign * np.inf]


def test_scaling_of_one_word() -> None:
    own = working("numpy", WIDE)
    got = round_scaled(own, (np.asarray([3.0]),), (np.asarray([0.5]), np.asarray([2.0**-10])))
    assert len(got) == 1
    assert got[0].tolist() == [3 * 2.0**-11]
