"""The family where a device has no float64: two words of float32."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy
import array_api_compat.torch
import array_api_strict
import numpy as np
import pytest
import torch

from backend_support.judging import all_faithful, promised, worst_ratios
from backend_support.namespaces import WithoutFloat64
from backend_support.rows import random_case
from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends.array_api import _functions
from softmax_variants_backends.array_api._working import has_float64, working_for
from softmax_variants_spec.formats import FORMATS

NUMPY = WithoutFloat64(array_api_compat.numpy)
STRICT = WithoutFloat64(array_api_strict)
TORCH = WithoutFloat64(array_api_compat.torch)


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    with np.errstate(all="ignore"):
        yield


def to_numpy(values: Any, dtype: str) -> Any:
    return np.asarray(values, dtype)


def to_strict(values: Any, dtype: str) -> Any:
    return array_api_strict.asarray(np.asarray(values, dtype))


def to_torch(values: Any, dtype: str) -> Any:
    return torch.tensor(np.asarray(values), dtype=torch.float64).to(getattr(torch, dtype))


def test_namespace_has_no_float64() -> None:
    for namespace in (NUMPY, STRICT, TORCH):
        assert not has_float64(namespace, "cpu")
        working = working_for(namespace, "cpu", "float32")
        assert working.words == 2
        assert working.dtype == namespace.float32
        with pytest.raises(AttributeError, match="float64"):
            _ = namespace.float64


def test_metal_has_no_float64() -> None:
    assert not has_float64(array_api_compat.torch, "mps:0")
    assert not has_float64(array_api_compat.torch, torch.device("mps"))
    assert has_float64(array_api_compat.torch, torch.device("cpu"))


LIBRARIES = [
    (NUMPY, to_numpy, "float32", "tight"),
    (NUMPY, to_numpy, "float16", "faithful"),
    (TORCH, to_torch, "bfloat16", "faithful"),
]
PARAMETERS_LARGEST = float(np.finfo(np.float32).max) / 2


@pytest.mark.parametrize(
    ("namespace", "convert", "dtype", "accuracy"), LIBRARIES, ids=["float32", "float16", "bfloat16"]
)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_classes_are_met(
    variant: Variant, namespace: Any, convert: Any, dtype: str, accuracy: str
) -> None:
    fmt, rng = FORMATS[dtype], np.random.default_rng(31)
    dy_bits = 40 if dtype == "float16" else 60
    judged = 0
    while judged < 25:
        case = random_case(rng, fmt, parameters=FORMATS["float32"], dy_bits=dy_bits)
        options = case.parameters
        row = variant.row(case.x, **options)
        # Beyond the range of the widest type there is no c.
        if not promised(row, PARAMETERS_LARGEST):
            continue
        judged += 1
        x, dy = convert(case.x, dtype), convert(case.dy, dtype)
        y = variant.weights(_functions, x, **options, xp=namespace)
        gradients = variant.gradients(_functions, x, dy, **options, xp=namespace)
        assert all(value.dtype == x.dtype for value in (y, *gradients))
        ratios = worst_ratios((y, *gradients), row, case.dy, fmt, accuracy)
        # Far below 4 ULP, and for 16 bits far below 1: what is left is one rounding.
        assert ratios.pop("y") <= 0.5 + 2.0**-12, case
        if accuracy == "faithful":
            assert all_faithful([float(v) for v in y], row, fmt), case
        assert all(ratio <= 1 for ratio in ratios.values()), (ratios, case)


KNOWN: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    # The remainder of a division of subnormal gates was itself below the range.
    "subnormal gate": ((9.0183089674397e-14, 2.802596928649634e-45), (10.4, 2.1), {}),
    # 31 halvings were a shift into the sign of a 32-bit integer.
    "31 halvings of D": ((0.0, 2.0**-31), (0.0, 1.0), {"s": -4.9e8}),
    "huge gate, tiny dy": ((1.0, 3.4e38, -1e-45), (9e-30, 9e-30, -7e-31), {}),
    "huge and single": ((-3.4e38,), (-0.88,), {}),
    "subnormal D": ((-7.5897253e-39, -7.5897267e-39, -7.5897183e-39), (2.5e11, 1e20, -3.8e28), {}),
    "c is 0, tiny logits": ((1e-20, -2e-20, 3e-20), (1.0, 2.0, -1.0), {"s": 0.0}),
    "dy subnormal, c large": ((1e-30, -1e-30), (1e-44, -3e-45), {"s": 3e29}),
}


@pytest.mark.parametrize("name", list(KNOWN))
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_rows_that_once_failed_in_binary32(variant: Variant, name: str) -> None:
    fmt = FORMATS["float32"]
    numbers, cotangents, options = KNOWN[name]
    x, dy = np.asarray(numbers, np.float32), np.asarray(cotangents, np.float32)
    options = {"s": 1.0, "b": 0.0, "n": None, **options}
    row = variant.row(x, **options)
    y = variant.weights(_functions, x, **options, xp=NUMPY)
    gradients = variant.gradients(_functions, x, dy, **options, xp=NUMPY)
    ratios = worst_ratios((y, *gradients), row, dy, fmt, "tight")
    assert ratios.pop("y") <= 0.5 + 2.0**-12
    assert all(ratio <= 1 for ratio in ratios.values()), ratios


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_no_library_promotes_on_the_way(variant: Variant) -> None:
    # array-api-strict cannot promote float32: what NumPy and PyTorch would do behind a name that
    # is hidden here would change bits.
    rng = np.random.default_rng(37)
    x, dy = rng.normal(0, 20, (6, 15)), rng.normal(0, 1, (6, 15))
    where = rng.random((6, 15)) < 0.8
    results = []
    for namespace, convert in ((STRICT, to_strict), (NUMPY, to_numpy), (TORCH, to_torch)):
        arrays = [convert(a, "float32") for a in (x, dy)]
        mask = {STRICT: array_api_strict.asarray, TORCH: torch.from_numpy}.get(
            namespace, np.asarray
        )(where)
        s = convert([[0.43]], "float32")
        options = {"axis": 1, "where": mask, "s": s, "b": -0.1, "xp": namespace}
        got = (
            variant.weights(_functions, arrays[0], **options),
            *variant.gradients(_functions, *arrays, **options),
        )
        assert all(value.dtype == namespace.float32 for value in got)
        results.append([np.asarray(value) for value in got])
    for other in results[1:]:
        for one, wanted in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("length", [1, 31, 32, 1025])
def test_powers_of_two_in_32_bit_integers(length: int) -> None:
    # p spans all of the exponents: 31 and more halvings are shifts beyond a signed integer.
    x = -np.linspace(0.0, 103.0, length, dtype=np.float32)
    y = _functions.softmax(x, axis=0, where=None, out=None, xp=NUMPY)
    assert (y >= 0).all()
    assert np.abs(y.astype(np.float64).sum() - 1) < 2.0**-22
    dx = _functions.softmax_vjp(x, np.ones_like(x) * (x == x[-1]), axis=0, where=None, xp=NUMPY)
    assert (dx[:-1] <= 0).all()
    assert dx[-1] >= 0
