"""Python numbers as kernels take them."""

from __future__ import annotations

from math import inf, isnan, nan

import mpmath
import pytest

from softmax_variants_backends._numbers import exact_float, log_words


@pytest.mark.parametrize(
    "n", [1, 2, 3, 10, 2**24 + 1, 2**53 + 1, 2**200 + 1, 10**400, 0.5, 1 + 2**-52, 5e-324, 1e308]
)
def test_logarithms_have_two_words(n: float) -> None:
    high, low = log_words(n)
    with mpmath.workprec(1200):
        exact = mpmath.log(mpmath.mpf(n))
        assert abs(exact - high - low) <= abs(exact) * mpmath.mpf(2) ** -104
        assert high == float(exact)
    assert high + low == high


@pytest.mark.parametrize("n", [0, -1, -0.5, inf, -inf, nan])
def test_no_logarithm(n: float) -> None:
    assert isnan(log_words(n)[0])


@pytest.mark.parametrize("number", [0, -3, 2**53, 2**53 + 2, 2**1023, 0.1, inf])
def test_numbers_that_are_floats(number: float) -> None:
    found = exact_float(number)
    assert type(found) is float
    assert found == number


def test_numbers_that_are_none() -> None:
    assert exact_float(2**53 + 1) is None
    assert exact_float(10**400) is None
    found = exact_float(nan)
    assert found is not None
    assert isnan(found)
