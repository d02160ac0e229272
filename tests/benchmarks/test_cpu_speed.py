"""Speed of the CPU's row kernels beside peers, in one run: read the ratios.

Run ``pytest tests/benchmarks/test_cpu_speed.py --benchmark-enable --benchmark-group-by=group``;
without benchmarks each call is made once, on a part of its array, and compared with the others.
``docs/results/cpu_benchmark.py`` times the same calls in turns, and writes the tables of the page.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from cpu_support.timed_calls import COPY, FUNCTIONS, SHAPES, Case, calls, small_calls

SMALL = 64
CASES = [
    Case(shape, axis, dtype, gradients=gradients)
    for dtype in ("float32", "float64", "float16", "bfloat16")
    for shape, axis in SHAPES
    for gradients in (False, True)
]


def case_id(case):
    return f"{case.shape[0]}x{case.shape[1]}-{case.axis}-{case.dtype}-{case.direction}"


@cache
def names_of(dtype, gradients):
    return list(calls(Case((2, 2), 1, dtype, gradients=gradients), "eager"))


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(case, name, id=f"{case_id(case)}-{name}")
        for case in CASES
        for name in names_of(case.dtype, case.gradients)
    ],
)
def test_speed(benchmark, case, name):
    benchmark.group = case_id(case)
    if benchmark.enabled:
        call = calls(case)[name]
    else:
        case = replace(case, shape=tuple(min(size, SMALL) for size in case.shape))
        call = calls(case, "eager")[name]
    with np.errstate(all="ignore"):  # sums in float16 overflow: those of others
        result = benchmark(call)
    first = result[0] if isinstance(result, tuple) else result
    assert first.shape == case.shape


@pytest.mark.parametrize("gradients", [False, True], ids=["forward", "backward"])
def test_formulas_are_what_they_are_compared_with(gradients):
    case = Case((16, 33), 1, "float32", gradients=gradients)
    timed = calls(case, "eager")
    values = {}
    for name, call in timed.items():
        result = call()
        first = result[0] if isinstance(result, tuple) else result
        values[name] = np.array(first.numpy() if isinstance(first, torch.Tensor) else first)
    for name, value in values.items():
        function = name.split(",")[0]
        if function == "sa_softmax":
            function = "sa_softmax normalized"
        wanted = {COPY: case.operands()[0].numpy()}.get(
            name, values["softmax" if "." in function else function]
        )
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-6, err_msg=name)
    assert set(FUNCTIONS) < set(values)


@pytest.mark.parametrize(
    ("library", "name"), [(library, name) for library, own in small_calls().items() for name in own]
)
def test_small(benchmark, library, name):
    benchmark.group = f"4x8 float32, {library}"
    result = benchmark(small_calls()[library][name])
    first = result[0] if isinstance(result, tuple) else result
    assert isinstance(first, torch.Tensor if library == "PyTorch" else np.ndarray)
