"""Speed of the functions beside peers, in one run: read the ratios.

Run ``pytest tests/benchmarks --benchmark-enable --benchmark-group-by=group``. Larger arrays, and
more peers, are in ``test_cpu_speed.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import torch

import softmax_variants as sv

SHAPES = ((4, 8), (64, 128), (1024, 1024))


def _plain_normalized(x):
    low, high = np.minimum(x.min(1, keepdims=True), 0), np.maximum(x.max(1, keepdims=True), 0)
    e = np.exp(x - x.max(1, keepdims=True))
    return (x - low) / (high - low) * (e / e.sum(1, keepdims=True))


FUNCTIONS = {
    "copy": np.copy,
    "torch.softmax": lambda x: torch.softmax(torch.from_numpy(x), 1),
    "scipy.special.softmax": lambda x: scipy.special.softmax(x, axis=1),
    "NumPy SA normalized": _plain_normalized,
    "sv.softmax": sv.softmax,
    "sv.ssmax": lambda x: sv.ssmax(x, 0.43),
    "sv.sa_softmax": sv.sa_softmax,
    "sv.softmax_vjp": lambda x: sv.softmax_vjp(x, x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_speed(benchmark, shape, dtype, name):
    benchmark.group = f"{shape[0]}x{shape[1]} {dtype}"
    x = np.random.default_rng(0).normal(0.0, 4.0, shape).astype(dtype)
    result = benchmark(FUNCTIONS[name], x)
    assert np.asarray(result).shape == shape
