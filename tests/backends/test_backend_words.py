"""The arithmetic of two words against exact rationals."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import array_api_compat.numpy as xp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softmax_variants_backends.array_api import _words as words
from softmax_variants_backends.array_api._constants import constants

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = settings(max_examples=300, deadline=None, derandomize=True, database=None)
PRECISIONS = {np.float64: 53, np.float32: 24}
DTYPES = pytest.mark.parametrize("dtype", list(PRECISIONS), ids=["float64", "float32"])


def exact(number: tuple[Any, ...], index: int | None = None) -> Fraction:
    return sum(
        (Fraction(float(word if index is None else word[index])) for word in number), Fraction()
    )


def floats(dtype: type, largest: float) -> st.SearchStrategy[Any]:
    width: Any = 64 if dtype is np.float64 else 32
    return st.floats(-largest, largest, width=width).map(dtype)


def pairs(dtype: Any, rng: np.random.Generator, size: int, span: int) -> tuple[Any, Any]:
    """Return two-word numbers with exponents within +-span, low words as large as they may be."""
    precision = PRECISIONS[dtype]
    exponents = rng.integers(-span, span + 1, size)
    high = np.ldexp(rng.uniform(1.0, 2.0, size), exponents) * rng.choice([-1.0, 1.0], size)
    high = high.astype(dtype)
    low = rng.choice([rng.uniform(-1.0, 1.0, size), rng.choice([-1.0, 0.0, 1.0], size)])
    low = np.ldexp(low * 0.999, exponents - precision).astype(dtype)
    return words.two_sum(high, low)


@DTYPES
def test_two_sum_and_difference_are_exact(dtype: Any) -> None:
    largest = float(np.finfo(dtype).max) / 4

    @SETTINGS
    @given(floats(dtype, largest), floats(dtype, largest))
    def check(a: Any, b: Any) -> None:
        total, error = words.two_sum(a, b)
        assert total == a + b
        assert exact((total, error)) == Fraction(float(a)) + Fraction(float(b))
        difference = words.two_difference(a, b)
        assert difference[0] == a - b
        assert exact(difference) == Fraction(float(a)) - Fraction(float(b))

    check()


@DTYPES
def test_two_product_is_exact(dtype: Any) -> None:
    # The error of a product has an exponent of at least 2 - 2p below that of the product.
    emin = int(np.finfo(dtype).minexp)
    splitter = constants(PRECISIONS[dtype]).splitter

    @SETTINGS
    @given(floats(dtype, 2.0**30), floats(dtype, 2.0**30))
    def check(a: Any, b: Any) -> None:
        product, error = words.two_product(a, b, splitter)
        assert product == a * b
        if a == 0 or b == 0 or math.frexp(a)[1] + math.frexp(b)[1] - 2 * PRECISIONS[dtype] > emin:
            assert exact((product, error)) == Fraction(float(a)) * Fraction(float(b))

    check()


def test_split_halves_multiply_exactly() -> None:
    rng = np.random.default_rng(1)
    for dtype, precision in PRECISIONS.items():
        a = pairs(dtype, rng, 500, 30)[0]
        high, low = words.split(a, constants(precision).splitter)
        np.testing.assert_array_equal(high.astype(np.float64) + low, a)
        for half in (high, low):
            mantissas = np.frexp(half.astype(np.float64))[0] * 2.0 ** ((precision + 1) // 2)
            np.testing.assert_array_equal(mantissas, np.round(mantissas))


def _largest_relative_error(
    operation: Callable[..., tuple[Any, Any]],
    rational: Callable[[Fraction, Fraction], Fraction],
    a: tuple[Any, Any],
    b: tuple[Any, Any],
) -> float:
    result = operation(a, b)
    # The high word is the rounding of the number: later steps count on it.
    np.testing.assert_array_equal(result[0] + result[1], result[0])
    worst = Fraction(0)
    for i in range(a[0].size):
        value = rational(exact(a, i), exact(b, i))
        error = abs(exact(result, i) - value)
        if value or error:
            worst = max(worst, error / abs(value))
    return float(worst)


@DTYPES
def test_sums_keep_their_bound_under_cancellation(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    bound = 3 * 2.0 ** (-2 * PRECISIONS[dtype])
    a, b = pairs(dtype, rng, 1500, 12), pairs(dtype, rng, 1500, 12)
    plus: Any = lambda x, y: x + y  # noqa: E731
    minus: Any = lambda x, y: x - y  # noqa: E731
    assert _largest_relative_error(words.add, plus, a, b) <= bound * (1 + 1e-3)
    assert _largest_relative_error(words.subtract, minus, a, b) <= bound * (1 + 1e-3)
    # b agrees with a in all but the last bits of the high word, or in all of it.
    near = words.two_sum(np.nextafter(a[0], b[0]), b[1] * dtype(2.0**-12))
    assert _largest_relative_error(words.subtract, minus, a, near) <= bound * (1 + 1e-3)
    same = words.two_sum(a[0], a[1] * dtype(0.75))
    assert _largest_relative_error(words.subtract, minus, a, same) <= bound * (1 + 1e-3)


@DTYPES
def test_products_and_quotients_keep_their_bounds(dtype: Any) -> None:
    rng = np.random.default_rng(3)
    precision = PRECISIONS[dtype]
    splitter, unit = constants(precision).splitter, 2.0 ** (-2 * precision)
    a, b = pairs(dtype, rng, 3000, 12), pairs(dtype, rng, 3000, 12)

    def multiply(x: Any, y: Any) -> Any:
        return words.multiply(x, y, splitter)

    def divide(x: Any, y: Any) -> Any:
        return words.divide(x, y, splitter)

    assert _largest_relative_error(multiply, lambda x, y: x * y, a, b) <= 7 * unit
    assert _largest_relative_error(divide, lambda x, y: x / y, a, b) <= 15 * unit
    one = divide(a, a)
    np.testing.assert_array_equal(one[0], np.ones_like(a[0]))
    np.testing.assert_array_equal(one[1], np.zeros_like(a[0]))


def test_one_word_is_the_arithmetic_of_the_type() -> None:
    a, b = (np.asarray([0.1, 3.0]),), (np.asarray([0.7, -7.0]),)
    for got, wanted in (
        (words.add(a, b), a[0] + b[0]),
        (words.subtract(a, b), a[0] - b[0]),
        (words.multiply(a, b, 0.0), a[0] * b[0]),
        (words.divide(a, b, 0.0), a[0] / b[0]),
        (words.scale(a, 0.5), a[0] / 2),
    ):
        assert len(got) == 1
        np.testing.assert_array_equal(got[0], wanted)


def _sum_by_halving(numbers: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the sum in the documented order: entry i takes entry i + ceil(n/2)."""
    while len(numbers) > 1:
        half = (len(numbers) + 1) // 2
        numbers = [
            words.add(number, numbers[i + half]) if i + half < len(numbers) else number
            for i, number in enumerate(numbers[:half])
        ]
    return numbers[0]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 100, 1025])
@pytest.mark.parametrize("count", [1, 2])
def test_tree_of_a_sum_is_a_function_of_the_length(length: int, count: int) -> None:
    rng = np.random.default_rng(length)
    batch = pairs(np.float64, rng, 4 * length, 60)[:count]
    batch = tuple(word.reshape(4, length) for word in batch)
    row = [tuple(word[2, i] for word in batch) for i in range(length)]
    wanted = _sum_by_halving(row)
    along_rows = words.tree_sum(xp, batch, 1)
    columns = tuple(np.asfortranarray(word.T) for word in batch)
    along_columns = words.tree_sum(xp, columns, 0)
    alone = words.tree_sum(xp, tuple(word[2] for word in batch), 0)
    for i in range(count):
        assert along_rows[i].shape == (4, 1)
        assert along_columns[i].shape == (1, 4)
        assert along_rows[i][2, 0] == along_columns[i][0, 2] == alone[i][0] == wanted[i]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_error_of_a_sum_grows_with_the_logarithm(dtype: Any) -> None:
    rng = np.random.default_rng(5)
    for length in (3, 100, 4097):
        number = pairs(dtype, rng, length, 4)
        value = sum((exact(number, i) for i in range(length)), Fraction())
        size = sum((abs(exact(number, i)) for i in range(length)), Fraction())
        depth = math.ceil(math.log2(length))
        bound = 3 * depth * Fraction(1, 4 ** PRECISIONS[dtype]) * size * 2
        assert abs(exact(words.tree_sum(xp, number, 0), 0) - value) <= bound
        single = words.tree_sum(xp, number[:1], 0)
        plain = sum((exact(number[:1], i) for i in range(length)), Fraction())
        assert abs(exact(single, 0) - plain) <= depth * Fraction(1, 2 ** PRECISIONS[dtype]) * size
