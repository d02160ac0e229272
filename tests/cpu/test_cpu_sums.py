"""Sums of the rows' terms: each row with its element, in two words, whatever is not finite."""

from __future__ import annotations

from fractions import Fraction
from math import inf, isnan, nan, prod

import numpy as np
import pytest

from softmax_variants_backends._axes import row_axes
from softmax_variants_backends._cpu._sums import sum_terms

SHAPES = [((7,), 0, ()), ((7,), 0, (1,)), ((3, 4, 5), 1, (3, 1, 5)), ((3, 4, 5), 0, (1, 1, 5))]
SHAPES += [((3, 4, 5), 2, (4, 1)), ((3, 4, 5), 2, (3, 1, 1)), ((3, 4, 5), 2, ())]
SHAPES += [((2, 1, 3, 4, 2), 3, (3, 1, 1)), ((2, 1, 3, 4, 2), 4, (2, 1, 1, 4, 1))]


@pytest.mark.parametrize("order", ["C", "F", "rolled"])
@pytest.mark.parametrize(("shape", "axis", "parameter"), SHAPES, ids=str)
def test_each_row_is_added_to_its_element(
    shape: tuple[int, ...], axis: int, parameter: tuple[int, ...], order: str
) -> None:
    order_of_axes = {
        "C": range(len(shape)),
        "F": range(len(shape))[::-1],
        "rolled": np.roll(range(len(shape)), 1),
    }[order]
    strides = [0] * len(shape)
    step = 1
    for i in reversed(order_of_axes):
        strides[i], step = step, step * shape[i]
    axes = row_axes(shape, axis, [strides])
    assert axes is not None
    terms = np.zeros((2, axes.rows))
    rows = (*shape[:axis], 1, *shape[axis + 1 :])
    values = np.random.default_rng(0).integers(-99, 99, rows)
    for index in np.ndindex(rows):
        number = sum(i * stride for i, stride in zip(index, axes.row_strides, strict=True))
        terms[:, number] = values[index], values[index] * 2.0**-60
    own = (1,) * (len(shape) - len(parameter)) + parameter
    summed = tuple(i for i, length in enumerate(own) if length == 1)
    wanted = values.sum(axis=summed, keepdims=True).reshape(-1)
    high, low = sum_terms(terms, axes, shape, parameter)
    assert high.shape == low.shape == (prod(parameter),)
    np.testing.assert_array_equal(high, wanted)
    np.testing.assert_array_equal(low, wanted * 2.0**-60)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 1000, 100_003])
def test_two_words(count: int) -> None:
    rng = np.random.default_rng(1)
    high = np.ldexp(rng.normal(size=count), rng.integers(-60, 60, count))
    terms = np.stack([high, high * 2.0**-54 * rng.uniform(-1.0, 1.0, count)])
    terms[:, count // 2 :] *= -1.0  # what is left is small beside the terms
    axes = row_axes((count, 3), 1, [(3, 1)])
    assert axes is not None
    (high_sum,), (low_sum,) = sum_terms(terms, axes, (count, 3), ())
    exact = sum(map(Fraction, terms.ravel()), Fraction(0))
    size = sum(map(abs, map(Fraction, terms.ravel())), Fraction(0))
    assert abs(exact - Fraction(high_sum) - Fraction(low_sum)) <= Fraction(2) ** -98 * size
    assert high_sum + low_sum == high_sum


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1.0, inf, 2.0], inf),
        ([-inf, 1.0, -inf], -inf),
        ([inf, 1.0, -inf], nan),
        ([nan, 1.0, 2.0], nan),
        ([1.7e308, 1.7e308, 1.0], inf),
    ],
)
def test_sums_that_are_not_finite(values: list[float], wanted: float) -> None:
    axes = row_axes((3, 2), 1, [(2, 1)])
    assert axes is not None
    terms = np.stack([values, np.zeros(3)])
    (high,), (low,) = sum_terms(terms, axes, (3, 2), ())
    assert high == wanted or (isnan(high) and isnan(wanted))
    assert low == 0.0
