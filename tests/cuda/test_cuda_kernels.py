"""The CUDA kernels, run on the CPU: the conformance suite, and every path that rows can take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import softmax_variants_backends.torch as array_numerics
from backend_support.judging import promised, worst_ratios
from backend_support.rows import random_case
from backend_support.variants import VARIANTS, Variant
from cuda_support import emulated_backend
from cuda_support.emulated_backend import EmulatedBackend
from cuda_support.emulated_launcher import AMPERE, HOPPER, EmulatedLauncher, holding
from softmax_variants_spec.conformance.runner import plan, run
from softmax_variants_spec.conformance.subject import load_subject
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from softmax_variants_spec.conformance.outcome import Outcome

DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
NARROW = ("float16", "bfloat16", "float32")


class Silent:
    def start(self, total: int) -> None:
        pass

    def step(self, what: str, outcome: Outcome | None = None) -> None:
        pass


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", ["softmax", "ssmax", "sa_softmax"])
def test_conformance(function: str, dtype: str) -> None:
    subject = load_subject(emulated_backend.__name__)
    report = run(plan(subject, functions=[function], dtypes=[dtype], smoke=True), Silent())
    assert [f"{o.id}: {o.message}" for o in report.outcomes if o.status != "passed"] == []


# Paths ---------------------------------------------------------------------------------------

HELD = EmulatedBackend(EmulatedLauncher())
"""Rows that a block holds."""

# Blocks that hold so little that short rows need several.
SHARED = EmulatedBackend(EmulatedLauncher(holding(HOPPER, 32)))
APART = EmulatedBackend(EmulatedLauncher(holding(AMPERE, 32)))

# One size of a cluster for each function: their code differs in nothing else.
SHARED_LENGTHS = {"softmax": 50, "ssmax": 120, "sa_softmax": 250}
SHARED_PARTS = {"softmax": 2, "ssmax": 4, "sa_softmax": 8}


def random_rows(
    rows: int, length: int, dtype: str, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, dict[str, Any]]:
    """Return x, dy, a mask, and the parameters of SSMax as arrays by row."""
    random = np.random.default_rng([seed, rows, length])
    x = random.normal(size=(rows, length)) * random.choice([0.5, 3.0, 20.0], (rows, 1))
    x[random.random(x.shape) < 0.05] = -np.inf
    x[random.random(x.shape) < 0.05] = x.max(initial=0.0)  # ties
    dy = random.normal(size=x.shape)
    where = random.random(x.shape) < 0.8
    s, b = random.normal(size=(rows, 1)), random.normal(size=(rows, 1))
    arrays = [torch.from_numpy(own).to(DTYPES[dtype]) for own in (x, dy, s, b)]
    parameters = {"s": arrays[2], "b": arrays[3]}
    return arrays[0], arrays[1], torch.from_numpy(where), parameters


def results_of(
    backend: Any, variant: Variant, x: Tensor, dy: Tensor, **options: Any
) -> tuple[Tensor, ...]:
    """Return y and dx, of SSMax also ds and db."""
    y = variant.weights(backend, x, **options)
    return (y, *variant.gradients(backend, x, dy, **options))


def differing(a: Tensor, b: Tensor) -> int:
    """Return how many entries differ, NaN being equal to NaN."""
    return int(((a != b) & ~(a.isnan() & b.isnan())).sum())


def assert_like_array_numerics(
    backend: EmulatedBackend, variant: Variant, dtype: str, rows: int, length: int
) -> None:
    x, dy, where, parameters = random_rows(rows, length, dtype)
    for mask in (None, where):
        options = {"axis": 1, "where": mask, **parameters}
        found = results_of(backend, variant, x, dy, **options)
        expected = results_of(array_numerics, variant, x, dy, **options)
        # Both round all weights but one in 2**15 correctly.
        assert differing(found[0], expected[0]) <= x.numel() >> 12
        # Gradients cancel here and there, and what is left of them is the errors of their terms.
        for own, other in zip(found[1:], expected[1:], strict=True):
            assert differing(own, other) <= 1 + (own.numel() >> 5)


@pytest.mark.parametrize("length", [1, 3, 40, 300, 2500])
@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_rows_of_a_block(variant: Variant, dtype: str, length: int) -> None:
    HELD.launcher.launched.clear()
    assert_like_array_numerics(HELD, variant, dtype, 5, length)
    assert set(HELD.launcher.launched) <= {"rows", "sum_terms"}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_rows_of_a_cluster(variant: Variant, dtype: str) -> None:
    SHARED.launcher.launched.clear()
    assert_like_array_numerics(SHARED, variant, dtype, 3, SHARED_LENGTHS[variant.function])
    # Parts of 32 bits are half as long; a block alone may hold more of 16-bit weights.
    parts = SHARED_PARTS[variant.function] * (2 if dtype == "float32" else 1)
    assert f"rows_{parts}" in SHARED.launcher.launched
    assert set(SHARED.launcher.launched) <= {"rows", f"rows_{parts}", "sum_terms"}


@pytest.mark.parametrize(
    ("variant", "dtype"),
    [(VARIANTS[0], "float32"), (VARIANTS[1], "float16"), (VARIANTS[-2], "float16")],
    ids=str,
)
def test_rows_of_the_largest_cluster(variant: Variant, dtype: str) -> None:
    # Parts are longer than a block holds elsewhere: fewer things are kept of them.
    SHARED.launcher.launched.clear()
    assert_like_array_numerics(SHARED, variant, dtype, 2, 16 * 32 + 200)
    assert set(SHARED.launcher.launched) - {"sum_terms"} == {"rows_16"}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_split_rows(variant: Variant, dtype: str) -> None:
    APART.launcher.launched.clear()
    assert_like_array_numerics(APART, variant, dtype, 3, 500)
    split = {"split_parts", "split_rows", "split_write"}
    assert set(APART.launcher.launched) - {"sum_terms"} == split


def assert_exact_within_claim(
    backend: EmulatedBackend, variant: Variant, dtype: str, x: Any, dy: Any, options: Any
) -> None:
    row = variant.row(x, **options)
    if not promised(row):
        return
    like = DTYPES[dtype]
    logits, cotangent = torch.as_tensor(x, dtype=like), torch.as_tensor(dy, dtype=like)
    results = results_of(backend, variant, logits, cotangent, **options)
    claim = emulated_backend.CLAIMS[variant.function, dtype]
    accuracy = "tight" if claim == "tight" else "correct"
    ratios = worst_ratios(results, row, dy, FORMATS[dtype], accuracy)
    assert ratios.pop("y") <= (4.0 if isinstance(claim, str) else claim), (x, options)
    assert all(ratio <= 1 for ratio in ratios.values()), (ratios, x, dy, options)


FOUR = EmulatedBackend(EmulatedLauncher(holding(HOPPER, 4)))
FLOAT64_PATHS = {
    "block": (HELD, 70, "rows"),
    "cluster": (FOUR, 50, "rows_16"),
    "block, global memory": (APART, 70, "rows"),
    "cluster, global memory": (FOUR, 150, "rows_16"),
}


@pytest.mark.parametrize("path", FLOAT64_PATHS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_float64_against_the_exact_values(variant: Variant, path: str) -> None:
    backend, length, kernel = FLOAT64_PATHS[path]
    backend.launcher.launched.clear()
    x, dy, _, parameters = random_rows(1, length, "float64")
    options = {name: own.item() for name, own in parameters.items()}
    assert_exact_within_claim(backend, variant, "float64", x[0].tolist(), dy[0].tolist(), options)
    assert set(backend.launcher.launched) - {"sum_terms"} == {kernel}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_search(variant: Variant, dtype: str) -> None:
    fmt, random = FORMATS[dtype], np.random.default_rng(47)
    for _ in range(15):
        case = random_case(random, fmt, parameters=FORMATS["float64"], dy_bits=500)
        assert_exact_within_claim(HELD, variant, dtype, case.x, case.dy, case.parameters)
