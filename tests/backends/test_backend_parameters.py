"""SSMax's parameters: exact numbers in two words, and c at both ends of the range."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest
import torch

from backend_support.judging import weight_error
from backend_support.namespaces import WithoutFloat64
from backend_support.variants import Variant
from softmax_variants_backends import array_api, numpy
from softmax_variants_backends.array_api import _functions, _parameters
from softmax_variants_backends.array_api._working import working_for
from softmax_variants_spec.exact import parameter_gradients
from softmax_variants_spec.formats import FORMATS

NARROW = WithoutFloat64(xp)
SSMAX = Variant("ssmax")


def words_of(value: Any, namespace: Any = xp, dtype: str = "float64") -> Any:
    """Return a parameter's words, each of one element, and their exact sum."""
    working = working_for(namespace, "cpu", dtype)
    words = _parameters._parameter(value, np.zeros((1, 1)), working)
    assert all(word.dtype == working.dtype for word in words)
    return words, sum((Fraction(float(word.item())) for word in words), Fraction())


@pytest.mark.parametrize("dtype", ["uint64", "int64", "uint32", "int32", "uint16", "int8", "uint8"])
def test_integers_of_any_width_are_exact(dtype: str) -> None:
    largest = int(np.iinfo(dtype).max)
    for value in {largest, largest - 1, 1, 2, 100, min(2**53 + 1, largest), largest // 3}:
        (high, low), exact = words_of(np.asarray([[value]], dtype))
        assert exact == value
        assert high + low == high


@pytest.mark.parametrize("value", [2**64 - 1, 2**63 + 1, 2**24 + 1, 2**40 + 1, 7])
def test_integers_in_two_words_of_binary32(value: int) -> None:
    _, exact = words_of(np.asarray([[value]], np.uint64), NARROW, "float32")
    assert abs(exact - value) <= Fraction(value, 2**47)
    if value < 2**47:
        assert exact == value


@pytest.mark.parametrize("value", [0.1, -1 / 3, 1e300, 5e-324, 2.0**-1022 * 1.5, 2**53 + 1, -7, 0])
def test_python_numbers_are_exact_in_binary64(value: float) -> None:
    (high, low), exact = words_of(value)
    assert exact == Fraction(value)
    assert high + low == high


@pytest.mark.parametrize("value", [0.1, -1 / 3, math.pi, 2**53 + 1, 0.43, 1e-30, 3e38, 2.0**-100])
def test_python_numbers_keep_48_bits_in_binary32(value: float) -> None:
    (high, low), exact = words_of(value, NARROW, "float32")
    assert high == np.float32(value)
    assert high + low == high
    assert abs(exact - Fraction(value)) <= abs(Fraction(value)) / 2**47


def test_python_numbers_beyond_binary32_are_infinite_there() -> None:
    for value, wanted in ((1e39, math.inf), (-1e39, -math.inf), (1e-60, 0.0)):
        working = working_for(NARROW, "cpu", "float32")
        high, low = _parameters._parameter(value, np.zeros((1, 1)), working)
        assert (high.item(), low.item()) == (wanted, 0.0)


def check(
    backend: Any, x: list[float], dtype: str, limit: float, options: dict[str, Any], **more: Any
) -> list[float]:
    """Check weights against the exact ones, and return them."""
    row, fmt = SSMAX.row(x, **options), FORMATS[dtype]
    got = SSMAX.weights(backend, np.asarray(x, dtype), **options, **more).tolist()
    assert weight_error(got, row, fmt) <= limit, (got, x, options)
    return list(got)


@pytest.mark.parametrize("n", [2**53 + 1, 2**53 + 3, 2**63 - 1, 10**40 + 1])
def test_integers_beyond_a_word_count_exactly(n: int) -> None:
    # c = ln n + b cancels down to what the last bits of n and of ln n make.
    x, b = [0.0, 1e15, 3e15], -math.log(n)
    options: dict[str, Any] = {"s": 1.0, "b": b, "n": n}
    got = SSMAX.weights(numpy, np.asarray(x), **options)
    off = SSMAX.weights(numpy, np.asarray(x), s=1.0, b=b, n=int(float(n)))
    row = SSMAX.row(x, **options)
    assert weight_error(got.tolist(), row, FORMATS["float32"]) < 1
    assert weight_error(off.tolist(), row, FORMATS["float64"]) > 4
    if n < 2**63:
        array = SSMAX.weights(numpy, np.asarray(x), s=1.0, b=b, n=np.asarray([n]))
        assert weight_error(array.tolist(), row, FORMATS["float32"]) < 1


@pytest.mark.parametrize(
    ("x", "options"),
    [
        # Dekker's split overflows beyond 2**996.
        ([-1.08e-302, -2.83e-304], {"s": -1.78e300, "n": 2}),
        ([8.1e-316, 9.3e-316], {"s": 1.7165687e300, "n": 2**63 - 1}),
        ([1e-308, 0.0], {"s": 1.7e308, "b": -1.7e308, "n": 4}),
        # ln 1 = 0: s is not to make b small.
        ([1e300, 9e299], {"s": 1e308, "b": 1e-300, "n": 1}),
        ([1e300, 9e299], {"s": 1e308, "b": 0.0, "n": 1}),
        ([5.0], {"s": 1e308, "b": 0.0}),
        ([1e308, -1e308], {"s": 1e-308, "b": 5e-324}),
        ([1e308, -1e308], {"s": 5e-324, "b": 0.0}),
        ([1e308, 1.0, -1e308], {"s": 1e-308, "n": float(np.nextafter(1, 2))}),
        ([1.0, 1.5], {"s": 1e16, "n": float(np.nextafter(1, 0))}),
        ([1.0, 1.5], {"s": 0.01, "n": 5e-324}),
        ([1.0, 1.5], {"s": 0.01, "n": 1.7e308}),
    ],
)
def test_scales_at_both_ends_in_binary64(x: list[float], options: dict[str, Any]) -> None:
    check(numpy, x, "float64", 4.0, options)
    arrays: dict[str, Any] = {k: np.asarray([v], np.float64) for k, v in options.items()}
    got = SSMAX.weights(numpy, np.asarray(x), **arrays)
    numbers = SSMAX.weights(numpy, np.asarray(x), **options)
    if float(options.get("n", 1)) == options.get("n", 1):
        np.testing.assert_array_equal(got, numbers)


@pytest.mark.parametrize(
    ("x", "options"),
    [
        # 25 bits of s, and low words of an s that is subnormal itself, decide here.
        ([0.0, -80.3], {"s": 0.1, "b": 0.9, "n": 3}),
        ([3e38, -3e38, 1e38], {"s": 7.3e-38, "b": 0.0, "n": 3}),
        ([3e38, -3e38, 1e38], {"s": 0.0, "b": 1.3e-37}),
        ([3e38, -3e38, 1e38], {"s": 1.1e-40, "b": 0.0, "n": 3}),
        # Counts beyond the range of binary32: their logarithms are not.
        ([1.0, -7.3], {"s": 0.01, "n": 1e300}),
        ([1.0, -7.3], {"s": 0.01, "n": 5e-324}),
        ([1.0, -7.3], {"s": 0.43, "n": 2**24 + 1}),
        ([1.0, -7.3], {"s": 0.43, "n": 131072}),
    ],
)
def test_scales_in_two_words_of_binary32(x: list[float], options: dict[str, Any]) -> None:
    x = [float(np.float32(xi)) for xi in x]
    check(_functions, x, "float32", 0.5 + 2.0**-10, options, xp=NARROW)


@pytest.mark.parametrize("namespace", [xp, NARROW], ids=["float64", "without"])
@pytest.mark.parametrize("size", [1e-10, 1e-20, 1e-30])
def test_gradient_by_b_where_c_is_0_and_logits_are_tiny(namespace: Any, size: float) -> None:
    dtype = "float64" if namespace is xp else "float32"
    tiny = size**8 if namespace is xp else size
    x = np.asarray([1.0, 2.5, -3.0], dtype) * np.asarray(tiny, dtype)
    dy = np.asarray([1.0, -2.0, 0.5], dtype)
    with np.errstate(all="ignore"):
        _, ds, db = SSMAX.gradients(_functions, x, dy, s=0.0, b=0.0, xp=namespace)
    row = SSMAX.row(x, s=0.0, b=0.0)
    exact = parameter_gradients(row, dy.tolist(), FORMATS[dtype])
    for got, value in ((ds, exact.ds), (db, exact.db)):
        assert got.dtype == dtype
        assert abs(float(got) / float(value) - 1) < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_counts_that_are_not_positive_and_finite(bad: float) -> None:
    x = np.zeros((2, 3))
    n = np.asarray([[bad], [3.0]])
    for backend in (numpy, array_api):
        got = SSMAX.weights(backend, x, n=n, axis=1)
        assert np.isnan(got[0]).all()
        np.testing.assert_array_equal(got[1], np.full(3, 1 / 3))


def test_integer_counts_that_are_not_positive() -> None:
    got = SSMAX.weights(numpy, np.zeros((3, 2)), n=np.asarray([[-3], [0], [2]]), axis=1)
    np.testing.assert_array_equal(np.isnan(got), [[True] * 2, [True] * 2, [False] * 2])


@pytest.mark.parametrize("name", ["s", "b", "n"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_arrays_without_dimensions_that_are_not_finite(bad: float, name: str) -> None:
    x = np.zeros((2, 3))
    for backend in (numpy, array_api):
        assert np.isnan(SSMAX.weights(backend, x, **{name: np.asarray(bad)}, axis=1)).all()


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_unsigned_counts_of_pytorch(dtype: torch.dtype) -> None:
    # PyTorch has these types, with few operations on them.
    x, largest = torch.tensor([[1.0, 2.0]] * 3), torch.iinfo(dtype).max
    n = torch.tensor([[0], [3], [largest]], dtype=dtype)
    got = SSMAX.weights(array_api, x, n=n, axis=1)
    want = SSMAX.weights(array_api, x[1:], n=torch.tensor([[3.0], [float(largest)]]), axis=1)
    assert torch.isnan(got[0]).all()
    assert torch.equal(got[1:], want)
