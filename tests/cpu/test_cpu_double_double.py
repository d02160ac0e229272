"""The double-double evaluation that judges the kernels, against mpmath."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest

from cpu_support.double_double import LOWEST, accumulate, exponential, logarithm
from cpu_support.double_double_rows import FUNCTIONS
from cpu_support.mpmath_rows import errors_of_evaluation
from cpu_support.random_rows import DISTRIBUTIONS, Block

LARGEST_ERROR = -90
"""log2 of it, relative; an error in ULP of binary64 is known to 2^-37 then."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_rows_are_those_of_mpmath(function: str) -> None:
    rows = [
        Block(dtype, function, distribution, length, 1)
        for dtype in ("float32", "float64")
        for distribution in DISTRIBUTIONS
        for length in (2, 33)
    ]
    found = errors_of_evaluation(rows)
    assert found.pop("elements") > 300
    gradients = {"dx", "ds", "db"} if function == "ssmax" else {"dx"}
    assert set(found) == {"weights"} | gradients | {f"scale of {name}" for name in gradients}
    for name, error in found.items():
        assert error < (-40 if name.startswith("scale") else LARGEST_ERROR), name


def test_exponential_is_that_of_mpmath() -> None:
    rng = np.random.default_rng(7)
    step = float(mpmath.ln(2)) / 1024
    # Anywhere, near 0, and on both sides of the middles between multiples of the step.
    z = np.concatenate(
        [
            -rng.uniform(0, -LOWEST, 500),
            -np.exp2(rng.uniform(-80, 0, 200)),
            [0.0, LOWEST, -step, -step / 2, np.nextafter(-step / 2, 0)],
            -(rng.integers(0, 2**21, 200) + 0.5) * step,
        ]
    )
    low = z * 2.0**-53 * rng.uniform(-1, 1, z.size) / 2
    for high_z, low_z in zip(z, low, strict=True):
        (high, rest), exponent = exponential((high_z, low_z))
        assert 0.99 < high < 2.001
        with mpmath.workprec(300):
            exact = mpmath.exp(mpmath.mpf(high_z) + mpmath.mpf(low_z))
            got = mpmath.ldexp(mpmath.mpf(high) + mpmath.mpf(rest), exponent)
            assert abs(got - exact) < mpmath.ldexp(exact, -100), (high_z, low_z)
    assert exponential((2 * LOWEST, 0.0)) == exponential((LOWEST, 0.0))


def test_logarithm_is_that_of_mpmath() -> None:
    assert logarithm(1) == (0.0, 0.0)
    for n in [*range(2, 300), 4096, 20011, 300000, 600000, 2**49 + 1]:
        high, low = logarithm(n)
        with mpmath.workprec(300):
            exact = mpmath.log(n)
            assert abs(mpmath.mpf(high) + mpmath.mpf(low) - exact) < mpmath.ldexp(exact, -99), n


def test_sums_keep_what_two_words_cannot() -> None:
    total = (0.0, 0.0, 0.0)
    for term in ((1.0, 2.0**-60), (2.0**-110, 2.0**-165), (-1.0, -(2.0**-60))):
        total = accumulate(total, term)
    assert sum(total) == 2.0**-110 + 2.0**-165


def test_evaluation_shares_no_code_with_what_it_judges() -> None:
    code = (
        "import sys, cpu_support.double_double_rows\n"
        "print([name for name in sys.modules if name.startswith('softmax_variants')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[]\n"
