"""One numerics on every library: NumPy, array-api-strict and PyTorch give the same numbers.

So do the row kernels on arrays of NumPy and PyTorch, and the array-API numerics on all.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch

from backend_support.judging import worst_ratios
from backend_support.rows import random_case, random_numbers
from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import array_api, numpy
from softmax_variants_backends import torch as torch_backend
from softmax_variants_backends.numpy import _blocked
from softmax_variants_spec.formats import FORMATS

ROWS, LENGTH = 40, 9


def to_strict(a: Any) -> Any:
    return array_api_strict.asarray(np.asarray(a))


def to_torch(a: Any) -> Any:
    return torch.from_numpy(np.array(a))


def plain(a: Any) -> Any:
    return a.numpy() if isinstance(a, torch.Tensor) else np.asarray(a)


@cache
def batch(dtype: str) -> dict[str, Any]:
    """Return rows of every kind that the search knows, with masks, NaN and infinities."""
    rng, fmt = np.random.default_rng(17), FORMATS[dtype]
    x, dy = (
        np.stack([random_numbers(rng, fmt, LENGTH) for _ in range(ROWS)]).astype(dtype)
        for _ in range(2)
    )
    x[::7, 3], x[3, 2], x[4, 5], x[11] = -np.inf, np.nan, np.inf, -np.inf
    dy[5, 1], dy[6, 2], x[6, 2] = np.nan, np.inf, -np.inf
    where = rng.random((ROWS, LENGTH)) < 0.75
    where[12] = False
    s = random_numbers(rng, FORMATS["float32"], ROWS).reshape(-1, 1)
    s[::2] = rng.normal(size=(ROWS // 2, 1))
    n = rng.integers(1, 2**40, (ROWS, 1))
    return {"x": x, "dy": dy, "where": where, "s": s, "b": rng.normal(size=(1, 1)), "n": n}


def arguments(dtype: str, convert: Any, variant: Variant, axis: int, masked: bool) -> Any:
    """Return the batch as one library's arrays, with the rows along an axis."""
    arrays = {k: (v if axis == 1 else v.T) for k, v in batch(dtype).items()}
    arrays = {k: convert(np.ascontiguousarray(v)) for k, v in arrays.items()}
    options: dict[str, Any] = {"axis": axis, "where": arrays["where"] if masked else None}
    if variant.function == "ssmax":
        options |= {name: arrays[name] for name in "sbn"}
    return arrays["x"], arrays["dy"], options


def results(
    backend: Any, convert: Any, variant: Variant, dtype: str, axis: int, masked: bool
) -> Any:
    x, dy, options = arguments(dtype, convert, variant, axis, masked)
    got = (variant.weights(backend, x, **options), *variant.gradients(backend, x, dy, **options))
    for value in got[:2]:
        assert type(value) is type(x)
        assert value.dtype == x.dtype
        assert value.shape == x.shape
    return [plain(value) for value in got]


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_libraries_agree(variant: Variant, dtype: str, axis: int, masked: bool) -> None:
    kernels = [(numpy, np.asarray), (torch_backend, to_torch)]
    operations = [(_blocked, np.asarray), (array_api, np.asarray), (array_api, to_torch)]
    if dtype != "float16":  # array-api-strict has none
        operations.append((array_api, to_strict))
    for first, *others in (kernels, operations):
        wanted = results(*first, variant, dtype, axis, masked)
        for backend, convert in others:
            got = results(backend, convert, variant, dtype, axis, masked)
            for one, other in zip(got, wanted, strict=True):
                # Zeros of either sign are equal.
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_axes_agree(variant: Variant, dtype: str) -> None:
    rows = results(numpy, np.asarray, variant, dtype, 1, masked=True)
    columns = results(numpy, np.asarray, variant, dtype, 0, masked=True)
    for one, other in zip(rows[:2], columns[:2], strict=True):
        np.testing.assert_array_equal(
            one.view(f"u{one.itemsize}"), other.T.view(f"u{one.itemsize}")
        )


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_row_is_the_same_alone_and_in_a_batch(variant: Variant) -> None:
    x, dy, options = arguments("float64", np.asarray, variant, 1, masked=True)
    together = variant.weights(numpy, x, **options), variant.gradients(numpy, x, dy, **options)[0]
    for i in range(ROWS):
        own = {k: v[i % len(v)] if isinstance(v, np.ndarray) else v for k, v in options.items()}
        own["axis"] = 0
        alone = variant.weights(numpy, x[i], **own), variant.gradients(numpy, x[i], dy[i], **own)[0]
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one[i].view(np.uint64), other.view(np.uint64))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_bfloat16_is_as_accurate_as_claimed(variant: Variant) -> None:
    fmt, rng = FORMATS["bfloat16"], np.random.default_rng(23)
    parameters = FORMATS["float32"]
    limit = float(torch_backend.CLAIMS[variant.function, "bfloat16"])
    for _ in range(25):
        case = random_case(rng, fmt, parameters=parameters, dy_bits=200)
        x, dy = (torch.tensor(a, dtype=torch.float64).to(torch.bfloat16) for a in (case.x, case.dy))
        np.testing.assert_array_equal(x.to(torch.float64).numpy(), case.x)
        y = variant.weights(torch_backend, x, **case.parameters)
        gradients = variant.gradients(torch_backend, x, dy, **case.parameters)
        assert all(value.dtype == torch.bfloat16 for value in (y, *gradients))
        row = variant.row(case.x, **case.parameters)
        ratios = worst_ratios((y, *gradients), row, case.dy, fmt, "correct")
        assert ratios.pop("y") <= limit, case
        assert all(ratio <= 1 for ratio in ratios.values()), (ratios, case)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(
    ("backend", "convert"),
    [(numpy, np.asarray), (array_api, to_strict), (torch_backend, to_torch)],
    ids=["numpy", "array-api-strict", "torch"],
)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 0)])
def test_empty_arrays(backend: Any, convert: Any, variant: Variant, shape: tuple[int, ...]) -> None:
    x = convert(np.zeros(shape))
    for axis in range(len(shape)):
        rows = (*shape[:axis], 1, *shape[axis + 1 :])
        s = convert(np.ones((1,) * len(shape)))
        n = convert(np.ones(rows))
        y = variant.weights(backend, x, s=s, n=n, axis=axis)
        dx, *sums = variant.gradients(backend, x, x, s=s, b=0.5, n=n, axis=axis)
        assert tuple(y.shape) == tuple(dx.shape) == shape
        if sums:
            assert [tuple(value.shape) for value in sums] == [(1,) * len(shape), ()]
            assert all(
                bool((value == 0).all() if value.ndim else value == 0) for value in map(plain, sums)
            )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_gradients_of_parameters_have_their_shape_and_dtype(dtype: str) -> None:
    x = torch.arange(24.0).reshape(2, 3, 4).to(torch.float64)
    x = (x - 3.0 * (x % 5)).to(torch.float32)
    dy = torch.cos(x)
    s = torch.linspace(0.25, 1.0, 3, dtype=torch.float64).reshape(3, 1).to(getattr(torch, dtype))
    dx, ds, db = torch_backend.ssmax_vjp(x, dy, s, 0.5, n=None, axis=2, where=None)
    assert (dx.shape, dx.dtype) == (x.shape, x.dtype)
    assert (ds.shape, ds.dtype) == (s.shape, s.dtype)
    assert (db.shape, db.dtype) == ((), x.dtype)
    each = [
        torch_backend.ssmax_vjp(
            x[i, j], dy[i, j], s[j].to(torch.float64), 0.5, n=None, axis=0, where=None
        )
        for i in range(2)
        for j in range(3)
    ]
    by_head = torch.stack([each[j][1] + each[j + 3][1] for j in range(3)])
    rounding = 2.0 * torch.finfo(s.dtype).eps + 2.0**-30
    torch.testing.assert_close(ds.to(torch.float64), by_head, rtol=rounding, atol=1e-6 * rounding)
