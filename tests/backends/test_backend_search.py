"""A search for faults over all exponents of x, dy, s, b and n, with the exact reference as judge.

Rows of every kind meet parameters of every size. What is found here first is a bug: there is no
range of arguments in which the classes do not hold, but for those that the specification names.
One bound on the rows is the backend's own: the nonzero dy of a row are within 2**500 of each other.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from backend_support.judging import promised, worst_ratios
from backend_support.rows import random_case
from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import numpy
from softmax_variants_spec.formats import FORMATS


def ratios_of(
    variant: Variant, dtype: str, x: Any, dy: Any, options: dict[str, Any], accuracy: str
) -> dict[str, float]:
    """Return the errors of a row on NumPy: of weights in ULP, of gradients over the allowed."""
    row = variant.row(x, **options)
    if not promised(row):
        return {}
    x, dy = np.asarray(x, dtype), np.asarray(dy, dtype)
    y = variant.weights(numpy, x, **options)
    gradients = variant.gradients(numpy, x, dy, **options)
    return worst_ratios((y, *gradients), row, dy, FORMATS[dtype], accuracy)


ROWS = {"float64": 90, "float32": 40, "float16": 30}


@pytest.mark.parametrize("dtype", list(ROWS))
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_search(variant: Variant, dtype: str) -> None:
    fmt, rng = FORMATS[dtype], np.random.default_rng(41)
    claim = numpy.CLAIMS[variant.function, dtype]
    limit = 4.0 if claim == "tight" else float(claim)
    accuracy = "tight" if claim == "tight" else "correct"
    for _ in range(ROWS[dtype]):
        case = random_case(rng, fmt, parameters=FORMATS["float64"], dy_bits=500)
        ratios = ratios_of(variant, dtype, case.x, case.dy, case.parameters, accuracy)
        assert ratios.pop("y", 0.0) <= limit, case
        assert all(ratio <= 1 for ratio in ratios.values()), (ratios, case)


MAX, TINY, NORMAL = 1.7976931348623157e308, 5e-324, 2.2250738585072014e-308

KNOWN: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    # Found by the search: products of dy with gates or 1/D left the range.
    "gate times dy overflows": ((7.29e47,), (3.33e296,), {}),
    "tiny gates, huge dy": ((-4.39e-304, -8.28e-303, 1.98e-302), (-9.5e285, 2.9e286, 0.0), {}),
    "tiny gates, large dy": ((2.17e-245, 1.04e-244, 1.37e-244), (7.7e156, 0.0, 7.2e132), {}),
    "huge gate, tiny dy": ((1.0, 1.0, MAX, -TINY), (-4.3e-203, 3.6e-203, 3.7e-203, 3.8e-203), {}),
    "tiny D, ordinary dy": ((-3.8e-270, -7.6e-270, -1.1e-269), (NORMAL, TINY, -1.0), {}),
    "tiny D, subnormal dy": ((-7.2e-267, -7.3e-267), (-1.67e-320, 3e-323), {"b": 3.8e282}),
    "subnormal D, huge dy": ((TINY, -TINY, 0.0), (1e300, -2e300, 1e299), {}),
    # The differences from the largest logit underflowed where c is 0.
    "c is 0, tiny logits": ((-5.5e-278, 5.9e-278), (-2.8e117, 1.5e80), {"s": 0.0}),
    "c is tiny, huge logits": ((7.8e254, 7.9e254), (-1.7e-282, 1.6e-282), {"s": 0.0, "b": TINY}),
    "dy subnormal, c large": ((-8.8e-70, 1.4e-106), (0.0, 3.7e-301), {"b": -2.8e70}),
    # One logit dominates: only what p below the range meets has a derivative.
    "p below the range": (
        (-56.7, 2.6, 50.7, 92.8, 69.8),
        (0.0, 1.0, -MAX, MAX, MAX),
        {"s": 18.67},
    ),
    "huge differences, p far below": ((-TINY, TINY, -MAX), (0.0, 1.0, 0.0), {"s": -4.94e-306}),
    "p below 2**-2102": ((-2e146, -4e146), (1.6e291, 7.7e290), {"s": 9.9e-147, "n": TINY}),
    "gate 0 where p is below": ((-229.7, -476.1, -608.2, 401.6), (0.0, -2.3e188, 0.0, 0.0), {}),
    "dy only where p is below 2**-2102": ((0.0, -1457.5), (0.0, MAX), {"n": math.e}),
    "difference beyond the range": ((1.72501614e308, -6.3489336e307, 1.0), (1.0, 2.0, 3.0), {}),
    "huge dy where p is no number": ((0.0, 1.0, -1e5), (1e-300, 2e-300, 1e300), {}),
}


@pytest.mark.parametrize("name", list(KNOWN))
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_rows_that_once_failed(variant: Variant, name: str) -> None:
    x, dy, options = KNOWN[name]
    options = {"s": 1.0, "b": 0.0, "n": None, **options}
    ratios = ratios_of(variant, "float64", x, dy, options, "tight")
    assert ratios.pop("y", 0.0) <= 4
    assert all(ratio <= 1 for ratio in ratios.values()), ratios


# Of the others, plain gates and detached extrema have a gradient there.
CONSTANT = [v for v in VARIANTS if v.form != "plain" and not v.detach_extrema]


@pytest.mark.parametrize("variant", CONSTANT, ids=str)
@pytest.mark.parametrize("x", [MAX, -MAX, 1.0, -1.0, TINY, -TINY, 0.0, 1e-160, -3e200])
def test_gradient_of_a_single_entry_is_exactly_zero(variant: Variant, x: float) -> None:
    for dy in (MAX, -TINY, 1.0, 1e-200):
        dx, *_ = variant.gradients(numpy, np.asarray([x, -np.inf]), np.asarray([dy, np.nan]))
        assert dx.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_nothing_but_invalid_rows_is_nan(variant: Variant, dtype: str) -> None:
    # No exact result to compare with: all sizes meet in one batch, and an intermediate NaN shows.
    info, rng = np.finfo(dtype), np.random.default_rng(43)
    ends = np.asarray([info.max, info.tiny, info.smallest_subnormal, 1.0, 0.0], dtype)
    values = np.concatenate([ends, -ends])
    x, dy = rng.choice(values, (3000, 4)), rng.choice(values, (3000, 4))
    s, b = (rng.choice([0.0, 1.0, -1e-300, 1e300, -3e-5, 5e-324], (3000, 1)) for _ in "sb")
    options: dict[str, Any] = {"axis": 1, "s": s, "b": b}
    assert not np.isnan(variant.weights(numpy, x, **options)).any()
    dx, *sums = variant.gradients(numpy, x, dy, **options)
    assert not np.isnan(dx).any()
    assert not any(np.isnan(value).any() for value in sums)
