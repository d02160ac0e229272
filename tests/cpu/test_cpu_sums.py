"""ds and db of the rows' terms: each row with its element, in two words, rounded once."""

from __future__ import annotations

from fractions import Fraction
from math import inf, isnan, nan, prod
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import pytest
import torch

from softmax_variants_backends._axes import row_axes
from softmax_variants_backends._cpu._layout import FLOAT64, STORAGES
from softmax_variants_backends._cpu._sums import order_of, sum_of_words, write_sums
from softmax_variants_backends.array_api._rounding import round_to
from softmax_variants_backends.array_api._working import working_for

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
    terms = np.zeros((4, axes.rows))
    rows = (*shape[:axis], 1, *shape[axis + 1 :])
    values = np.random.default_rng(0).integers(-99, 99, (2, *rows))
    for index in np.ndindex(rows):
        number = sum(i * stride for i, stride in zip(index, axes.row_strides, strict=True))
        for k in range(2):
            value = values[k][index]
            terms[2 * k : 2 * k + 2, number] = value, value * 2.0**-45
    for own in ((parameter, ()), ((), parameter), (parameter, parameter)):
        found = [np.full(prod(length), nan) for length in own]
        orders = tuple(order_of(axes, shape, length) for length in own)
        ds, db = (array.ctypes.data for array in found)
        write_sums(terms, axes.rows, orders, ds, FLOAT64, db, FLOAT64)
        for got, length, value in zip(found, own, values, strict=True):
            full = (1,) * (len(shape) - len(length)) + length
            summed = tuple(i for i, size in enumerate(full) if size == 1)
            wanted = value.sum(axis=summed, keepdims=True).reshape(-1)
            np.testing.assert_array_equal(got, wanted + wanted * 2.0**-45)


def two_words(high: Any, low: Any) -> tuple[float, float]:
    """Return the sum of terms in two words."""
    return sum_of_words(high.ctypes.data, low.ctypes.data, len(high))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 1000, 100_003])
def test_two_words(count: int) -> None:
    rng = np.random.default_rng(1)
    high = np.ldexp(rng.normal(size=count), rng.integers(-60, 60, count))
    terms = np.stack([high, high * 2.0**-54 * rng.uniform(-1.0, 1.0, count)])
    terms[:, count // 2 :] *= -1.0  # what is left is small beside the terms
    high_sum, low_sum = two_words(*terms)
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
    high, low = two_words(np.asarray(values), np.zeros(3))
    assert high == wanted or (isnan(high) and isnan(wanted))
    assert low == 0.0


@pytest.mark.parametrize("dtype", STORAGES)
def test_sums_are_rounded_once(dtype: str) -> None:
    rng = np.random.default_rng(2)
    values = np.ldexp(rng.normal(size=400), rng.integers(-160, 140, 400))
    # Next to midpoints, where a rounding to binary32 on the way is seen; beyond the range; others.
    midpoints = np.ldexp(1.0 + 2.0 ** -rng.integers(8, 25, 400), rng.integers(-24, 16, 400))
    values = np.concatenate([values, midpoints, midpoints * (1.0 + 2.0**-50), -midpoints])
    values = np.concatenate([values, [0.0, inf, -inf, nan, 65519.9, 65520.0, 2.0**-25, 1e-320]])
    count = len(values)
    terms = np.zeros((4, count))
    terms[0], terms[2] = values, -values
    axes = row_axes((count, 3), 1, [(3, 1)])
    assert axes is not None
    order = order_of(axes, (count, 3), (count, 1))
    ds, db = (torch.zeros(count, dtype=getattr(torch, dtype)) for _ in range(2))
    storage = STORAGES[dtype]
    write_sums(terms, count, (order, order), ds.data_ptr(), storage, db.data_ptr(), storage)
    working = working_for(xp, "cpu", torch.float64)
    for got, exact in ((ds, terms[0]), (db, terms[2])):
        high = torch.from_numpy(exact.copy())
        wanted = round_to(working, (high, torch.zeros(count, dtype=torch.float64)), got.dtype)
        assert torch.equal(got.isnan(), high.isnan())
        assert torch.equal(got.nan_to_num(7.0), wanted.nan_to_num(7.0))
