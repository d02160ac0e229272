"""How long the reference takes: run with ``pytest tests/benchmarks --benchmark-enable``."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from softmax_variants_spec.evaluation import evaluate
from softmax_variants_spec.exact import Row, gradient, weights
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

FLOAT64 = FORMATS["float64"]


def row_of(function: str, length: int) -> Row:
    rng = random.Random(length)
    return Row(function, tuple(rng.gauss(0, 8) for _ in range(length)))


@pytest.mark.parametrize("length", [8, 64, 4096])
@pytest.mark.parametrize("function", ["softmax", "ssmax", "sa_softmax"])
def test_certified_weights(benchmark: BenchmarkFixture, function: str, length: int) -> None:
    row = row_of(function, length)

    def certify() -> list[Any]:
        # What the row's gradient would share has to be computed anew each time.
        evaluate.cache_clear()
        return weights(row, FLOAT64)

    assert len(benchmark(certify)) == length


@pytest.mark.parametrize("length", [8, 64, 4096])
@pytest.mark.parametrize("function", ["softmax", "ssmax", "sa_softmax"])
def test_gradient_of_a_row_already_evaluated(
    benchmark: BenchmarkFixture, function: str, length: int
) -> None:
    row = row_of(function, length)
    weights(row, FLOAT64)
    dy = tuple(random.Random(1).gauss(0, 1) for _ in range(length))
    assert len(benchmark(gradient, row, dy, FLOAT64)) == length
