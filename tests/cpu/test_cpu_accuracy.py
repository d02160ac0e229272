"""The compiled kernels keep what they claim on random rows, evaluated in double-double."""

from __future__ import annotations

import numpy as np
import pytest

from cpu_support.double_double_rows import Numbers
from cpu_support.measured_rows import errors_in_units, measured, merged, ulp_exponents
from cpu_support.random_rows import DISTRIBUTIONS, FORMATS, blocks
from softmax_variants_backends._cpu import CLAIMS

ELEMENTS = {"float32": 10**5, "float64": 10**4, "float16": 10**4, "bfloat16": 10**4}
TIGHT = 4.0
"""Both the ULP of a weight and how many times what is faithful a gradient may err by."""


@pytest.mark.parametrize("dtype", ELEMENTS)
def test_claims_hold_on_random_rows(dtype: str) -> None:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for block in blocks(dtype, ELEMENTS[dtype]):
        for kind, part in measured(block).items():
            key = (block.function, kind)
            found[key] = merged(found[key], part) if key in found else part
    assert (
        sum(part["elements"] for (_, kind), part in found.items() if kind == "weights")
        >= (ELEMENTS[dtype])
    )
    assert {kind for _, kind in found} == {"weights", "dx", "ds", "db"}
    for (function, kind), part in found.items():
        claim = CLAIMS[function.split()[0], dtype]
        if kind == "weights":
            assert part["ulp"] <= (TIGHT if claim == "tight" else claim), part["worst"]
        else:
            assert part["of faithful"] <= (TIGHT if claim == "tight" else 1.0), part["worst"]


def test_rows_are_what_they_are_called() -> None:
    seen = {}
    for block in blocks("float32", 10**5):
        rows = block.make()
        x, where = rows.x, rows.where
        assert x.dtype == np.float32
        assert x.shape == (block.rows, block.length)
        assert (where is not None) == ("masked" in block.distribution)
        if where is not None:
            assert np.isnan(x[~where]).any() == np.isnan(x).any()
            assert not np.isnan(x[where]).any()
        else:
            assert np.isfinite(x).all()
        seen.setdefault(block.distribution, []).append(x[np.isfinite(x)])
    every = {name: np.abs(np.concatenate(parts)) for name, parts in seen.items()}
    assert set(every) == set(DISTRIBUTIONS)
    assert every["spread exponents"].min() < 2.0**-140
    assert every["spread exponents"].max() > 2.0**120
    assert 25 < every["normal, sigma 30"].std() / np.sqrt(1 - 2 / np.pi) < 35
    ties = next(block for block in blocks("float32", 10**5) if block.distribution == "near ties")
    spread = np.ptp(ties.make().x, axis=1)
    assert (spread == 0).any()
    assert spread.max() <= 8 * 2.0**-20


def numbers(value: float, low: float = 0.0, exponent: int = 0) -> Numbers:
    return Numbers(np.array([value]), np.array([low]), np.array([exponent]))


@pytest.mark.parametrize(
    ("dtype", "got", "exact", "error"),
    [
        ("float32", 1.0, numbers(1.0), 0.0),
        ("float32", 1.0 + 2.0**-23, numbers(1.0), 1.0),
        ("float32", 1.0, numbers(1.0, 2.0**-60), 2.0**-37),
        # Below a power of two the spacing is half of that above it.
        ("float32", 1.0, numbers(1.0, -(2.0**-60)), 2.0**-36),
        ("float32", -1.0, numbers(-1.0, 2.0**-60), 2.0**-36),
        ("float32", 0.0, numbers(1.0, 0.0, -150), 0.5),
        ("float32", 2.0**-149, numbers(1.0, 0.0, -2000), 1.0),
        ("float32", np.inf, numbers(1.0, 0.0, 128), 0.0),
        ("float32", np.inf, numbers(-1.5, 0.0, 140), 2.0**25),
        ("float32", np.inf, numbers(2.0 - 2.0**-23, 0.0, 127), 1.0),
        ("float32", np.nan, numbers(1.0), np.inf),
        ("float16", 65504.0, numbers(65520.0), 0.5),
        ("float64", 5e-324, numbers(0.0), 1.0),
        ("float64", np.inf, numbers(1.0, 0.0, 1024), 0.0),
        ("float64", np.finfo(np.float64).max, numbers(1.0, 0.0, 1024), 1.0),
        ("float64", 1.0, numbers(1.0, 2.0**-53), 0.5),
    ],
)
def test_errors_are_those_of_the_specification(
    dtype: str, got: float, exact: Numbers, error: float
) -> None:
    fmt = FORMATS[dtype]
    found = errors_in_units(np.array([got]), exact, ulp_exponents(exact, fmt), fmt)
    assert found.tolist() == [error]
