"""Accuracy of the row kernels, and that a row's bits depend on what it holds only."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backend_support.judging import gradient_ratio, parameter_ratio, weight_error
from cpu_support.kernel_calls import run
from softmax_variants_backends._cpu._layout import BLOCK
from softmax_variants_spec.exact import Row
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

VARIANTS = [
    ("softmax", {}),
    ("ssmax", {"s": 0.7, "b": 0.3}),
    ("ssmax", {"s": -1.5, "n": 77.5}),
    ("sa_softmax", {"form": "plain"}),
    ("sa_softmax", {"form": "shifted"}),
    ("sa_softmax", {"form": "minmax"}),
    ("sa_softmax", {"form": "normalized"}),
    ("sa_softmax", {"form": "normalized", "detach_extrema": True}),
]
PROMISED = {"float16": 0.5 + 2.0**-18, "float32": 0.5 + 2.0**-18, "float64": 1.0}
LENGTHS = (1, 2, 15, 16, 17, 33, 130)
SHORT_LENGTHS = (1, 3, 15, 16, 17, 32, 100, 127, 128)


def logits(rows: int, length: int, dtype: str, *, seed: int = 0) -> Array:
    rng = np.random.default_rng([seed, length])
    return (rng.normal(0, 4, (rows, length)) * rng.uniform(0, 2, (rows, 1))).astype(dtype)


def same_bits(a: Array, b: Array) -> bool:
    return np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


@pytest.mark.parametrize("dtype", PROMISED)
@pytest.mark.parametrize(("function", "options"), VARIANTS)
def test_weights_are_as_accurate_as_promised(
    function: str, options: dict[str, Any], dtype: str
) -> None:
    for length in LENGTHS:
        x = logits(2, length, dtype)
        got = run(function, x, **options)
        assert not got.left.any()
        for own, result in zip(x, got.out, strict=True):
            row = Row(function, tuple(map(float, own)), **options)
            error = weight_error([float(v) for v in result], row, FORMATS[dtype])
            assert error <= PROMISED[dtype], (length, error)


@pytest.mark.parametrize("dtype", PROMISED)
@pytest.mark.parametrize(("function", "options"), VARIANTS)
def test_gradients_meet_the_class(function: str, options: dict[str, Any], dtype: str) -> None:
    fmt = FORMATS[dtype]
    accuracy = "tight" if dtype == "float64" else "faithful"
    for length in LENGTHS:
        x, dy = logits(2, length, dtype), logits(2, length, dtype, seed=1)
        got = run(function, x, dy=dy, **options)
        assert not got.left.any()
        for i in range(2):
            row = Row(function, tuple(map(float, x[i])), **options)
            cotangent = [float(v) for v in dy[i]]
            ratio = gradient_ratio([float(v) for v in got.out[i]], row, cotangent, fmt, accuracy)
            assert ratio <= 1.0, length
            if function == "ssmax":
                for name, words in zip(("ds", "db"), (got.terms[:2], got.terms[2:]), strict=True):
                    value = float(words[:, i].sum().astype(dtype))
                    assert parameter_ratio(name, value, row, cotangent, fmt, accuracy) <= 1.0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("function", "options"), VARIANTS[::3])
@pytest.mark.parametrize("gradients", [False, True])
def test_a_row_has_the_same_bits_alone_together_and_along_either_axis(
    function: str, options: dict[str, Any], dtype: str, gradients: bool
) -> None:
    for length in SHORT_LENGTHS:
        x, dy = logits(37, length, dtype), logits(37, length, dtype, seed=1)
        x[5], x[20, 0] = -np.inf, -np.inf
        given = {"dy": dy} if gradients else {}
        whole = run(function, x, **given, **options).out
        cut = run(function, x, **given, cuts=[1, 2, 18, 20, 36], **options).out
        assert same_bits(whole, cut), length

        def turned(a: Array) -> Array:
            return np.asfortranarray(a)

        strided = {"dy": turned(dy)} if gradients else {}
        columns = run(function, turned(x), **strided, out=turned(np.zeros_like(x)), **options).out
        assert same_bits(whole, columns), length
        backwards = {"dy": dy[::-1, ::-1].copy()[::-1, ::-1]} if gradients else {}
        reversed_x = x[::-1, ::-1].copy()[::-1, ::-1]
        assert same_bits(whole, run(function, reversed_x, **backwards, **options).out), length


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("function", "options"), VARIANTS[::3])
@pytest.mark.parametrize("gradients", [False, True])
def test_masked_entries_are_as_absent_ones_and_what_they_hold_reaches_nothing(
    function: str, options: dict[str, Any], dtype: str, gradients: bool
) -> None:
    for length in (3, 16, 40, 200):
        x, dy = logits(20, length, dtype), logits(20, length, dtype, seed=1)
        mask = np.random.default_rng(length).random(x.shape) < 0.7
        mask[3] = False
        given = {"dy": dy} if gradients else {}
        expected = run(function, np.where(mask, x, -np.inf).astype(dtype), **given, **options).out
        filled = np.where(mask, x, np.nan).astype(dtype)
        spoiled = {"dy": np.where(mask, dy, np.inf).astype(dtype)} if gradients else {}
        got = run(function, filled, **spoiled, mask=mask, **options)
        assert not got.left.any()
        assert same_bits(expected, got.out), length
        assert (got.out[~mask] == 0).all()
        columns = run(function, np.asfortranarray(filled), mask=mask, **spoiled, **options).out
        assert same_bits(expected, columns), length


@pytest.mark.parametrize(
    ("function", "dtype", "options"),
    [
        ("softmax", "float32", {}),
        ("softmax", "float64", {}),
        ("ssmax", "float32", {"s": 0.7}),
        ("sa_softmax", "float16", {"form": "normalized"}),
        ("sa_softmax", "float64", {"form": "minmax"}),
    ],
)
@pytest.mark.parametrize("gradients", [False, True])
def test_split_rows_have_the_bits_of_whole_ones(
    function: str, dtype: str, options: dict[str, Any], gradients: bool
) -> None:
    for length in (BLOCK, BLOCK + 1, 3 * BLOCK + 1000):
        x, dy = logits(2, length, dtype), logits(2, length, dtype, seed=1)
        given = {"dy": dy} if gradients else {}
        whole = run(function, x, **given, **options)
        split = run(function, x, **given, **options, split=True, cuts=[1])
        assert same_bits(whole.out, split.out), length
        assert same_bits(whole.terms, split.terms), length


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_that_are_not_finite_are_nan_and_leave_others_alone(dtype: str) -> None:
    for length in (5, 16, 300):
        x = logits(20, length, dtype)
        expected = run("softmax", x).out
        x[4, -1], x[7, 0] = np.nan, np.inf
        x[7, 1], x[9] = -np.inf, np.nan
        got = run("softmax", x).out
        assert np.isnan(got[[4, 9]]).all()
        assert np.isnan(got[7, 0])
        assert got[7, 1] == 0
        others = [i for i in range(20) if i not in (4, 7, 9)]
        assert same_bits(got[others], expected[others])


def test_rows_of_binary64_near_the_ends_of_the_range_are_left_and_not_written() -> None:
    x = logits(20, 30, "float64")
    dy = logits(20, 30, "float64", seed=1)
    expected = run("sa_softmax", x, form="minmax", dy=dy)
    assert not expected.left.any()
    x[1, 3], x[2, 5], x[3, 0], x[4, 1] = 1e200, 1e-200, np.nan, np.inf
    dy[5, 0], dy[6, 0], dy[7, 7] = 1e300, 5e-324, np.nan
    out = np.full_like(x, 7.0)
    for own in (out, np.asfortranarray(out)):
        got = run("sa_softmax", x, form="minmax", dy=dy, out=own)
        assert got.left.nonzero()[0].tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert (got.out[1:8] == 7.0).all()
        others = [0, *range(8, 20)]
        assert same_bits(got.out[others], expected.out[others])


def test_weights_may_replace_the_logits() -> None:
    for length in (7, 16, 1000):
        x = logits(20, length, "float32")
        expected = run("softmax", x).out
        assert same_bits(run("softmax", x, out=x).out, expected)


def test_results_that_are_streamed_have_the_same_bits() -> None:
    x = logits(1 << 13, 1040, "float32")
    out = run("softmax", x).out
    for begin, end in pairwise([0, 3, 100]):
        assert same_bits(out[begin:end], run("softmax", x[begin:end]).out)


def test_a_steep_scale_lifts_nothing_that_is_zero() -> None:
    # exp stops above 0 for entries far below the largest; c multiplies gradients by 2^700 and more.
    x = np.asarray([[1.0, 0.0, 0.5]], np.float32)
    for dy in ([0.0, 3e38, -3e38], [3e38, 0.0, 1.0]):
        got = run("ssmax", x, dy=np.asarray([dy], np.float32), s=2.0**900, n=2.0)
        assert got.out.tolist() == [[0.0, 0.0, 0.0]]
        assert got.terms.tolist() == [[0.0], [0.0], [0.0], [0.0]]
