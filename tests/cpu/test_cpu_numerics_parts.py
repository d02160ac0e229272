"""The parts that kernels are made of: the logarithm, roundings, tiles, vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from mpmath import mp, mpf
from numba import njit

from softmax_variants_backends._cpu._exponential import exponential, precision_of
from softmax_variants_backends._cpu._layout import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from softmax_variants_backends._cpu._logarithm import logarithm
from softmax_variants_backends._cpu._memory import load_doubles, store_doubles
from softmax_variants_backends._cpu._storage import copy_in, copy_out, store
from softmax_variants_backends._cpu._wide_exponential import LIFT, exponential_in_words
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

LANES = 16
rng = np.random.default_rng(0)


@njit
def _store_all(storage: int, values: Array, target: Array) -> None:
    for i in range(0, values.size, LANES):
        at = target.ctypes.data + i * target.itemsize
        store(storage, False, at, load_doubles(values.ctypes.data + 8 * i))


@njit
def _exponentials(precision: int, values: Array, target: Array) -> None:
    for i in range(0, values.size, LANES):
        found = exponential(precision, load_doubles(values.ctypes.data + 8 * i))
        store_doubles(target.ctypes.data + 8 * i, found)


@njit
def _precision(storage: int, gradients: bool) -> int:
    found: int = precision_of(storage, gradients)
    return found


@njit
def _wide_exponentials(values: Array, low_values: Array, target: Array, low_target: Array) -> None:
    for i in range(0, values.size, LANES):
        high, low = exponential_in_words(
            load_doubles(values.ctypes.data + 8 * i), load_doubles(low_values.ctypes.data + 8 * i)
        )
        store_doubles(target.ctypes.data + 8 * i, high)
        store_doubles(low_target.ctypes.data + 8 * i, low)


@njit
def _there_and_back(
    storage: int, columns: Array, rows: Array, pitch: int, result: Array, back: Array
) -> None:
    count, step = columns.shape
    copy_in(
        storage, columns.ctypes.data, step, 1, 0, 0, 0, LANES, count, rows.ctypes.data, pitch, -1.0
    )
    copy_out(
        storage, result.ctypes.data, result.strides[0], LANES, count, back.ctypes.data, step, 1
    )


def test_the_logarithm_has_two_words() -> None:
    numbers = [0.5, 1.0, 2.0, 5e-324, 1e-310, 1.7e308, math.nextafter(1, 2), math.nextafter(1, 0)]
    numbers += [float(v) for v in rng.integers(1, 10**6, 300)]
    numbers += [float(v) for v in 2.0 ** rng.uniform(-1074, 1023, 300)]
    numbers += [1 + float(v) for v in rng.uniform(-1, 1, 300) * 2.0 ** rng.integers(-50, 0, 300)]
    with mp.workprec(300):
        for number in numbers:
            high, low = logarithm(number, 0.0)
            exact = mp.log(mpf(number))
            assert high == float(high + low)
            assert abs(mpf(high) + mpf(low) - exact) <= mpf(2) ** -80 * abs(exact), number
        # The low word of an integer beyond 2^53.
        high, low = logarithm(2.0**63, -1.0)
        exact = mp.log(mpf(2) ** 63 - 1)
        assert abs(mpf(high) + mpf(low) - exact) <= mpf(2) ** -80 * exact


@pytest.mark.parametrize(
    ("storage", "gradients", "bound"),
    [
        (FLOAT32, False, 2.0**-46),
        (FLOAT32, True, 2.0**-32.9),
        (FLOAT16, False, 2.0**-32.9),
        (FLOAT16, True, 2.0**-28.5),
        (BFLOAT16, False, 2.0**-28.5),
        (BFLOAT16, True, 2.0**-28.5),
    ],
)
def test_the_exponential_of_logits_up_to_32_bits(
    storage: int, gradients: bool, bound: float
) -> None:
    precision = _precision(storage, gradients)
    z = np.concatenate([-rng.uniform(0, 1, 2000), -rng.uniform(0, 104, 2000), np.zeros(16)])
    found = np.empty_like(z)
    _exponentials(precision, z, found)
    with mp.workprec(120):
        errors = [abs(mpf(float(e)) / mp.exp(mpf(float(v))) - 1) for v, e in zip(z, found)]  # noqa: B905
    assert max(errors) <= bound
    far = np.full(16, -np.inf)
    _exponentials(precision, far, far)
    assert (far > 0).all()
    assert (far < 1e-303).all()


def test_the_exponential_in_two_words() -> None:
    z = np.concatenate([-rng.uniform(0, 1, 2000), -rng.uniform(0, 900, 2000)])
    z_low = z * rng.uniform(-(2.0**-54), 2.0**-54, z.size)
    high, low = np.empty_like(z), np.empty_like(z)
    _wide_exponentials(z, z_low, high, low)
    with mp.workprec(200):
        for i in range(z.size):
            exact = mp.exp(mpf(float(z[i])) + mpf(float(z_low[i]))) * mpf(2) ** LIFT
            error = abs((mpf(float(high[i])) + mpf(float(low[i]))) / exact - 1)
            assert error <= mpf(2) ** -57.5, float(z[i])
    ones, zeros = np.zeros(16), np.zeros(16)
    _wide_exponentials(ones, zeros, ones, zeros)
    assert (ones == 2.0**LIFT).all()
    assert (zeros == 0).all()


@pytest.mark.parametrize(("name", "storage"), [("float16", FLOAT16), ("bfloat16", BFLOAT16)])
def test_results_of_16_bits_are_rounded_once(name: str, storage: int) -> None:
    fmt = FORMATS[name]
    # Next to numbers of the format, to midpoints between them, and to either end of the range.
    exponents = rng.integers(fmt.spacing_exponent - 3, fmt.emax + 2, 4000)
    places = rng.integers(1, 1 << fmt.precision, 4000) + rng.choice([0.0, 0.5], 4000)
    values = places * 2.0 ** (exponents - fmt.precision + 1.0)
    values *= 1 + rng.choice([0.0, 2.0**-52, -(2.0**-52), 2.0**-30, -(2.0**-30)], 4000)
    values = np.concatenate(
        [values, -values, [0.0, math.inf, -math.inf, 2.0**1020, 1e-300], np.zeros(11)]
    )
    bits = np.empty(values.size, np.uint16)
    _store_all(storage, values, bits)
    if name == "float16":
        found = bits.view(np.float16).astype(np.float64)
    else:
        found = (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    assert found.tolist() == [fmt.round(float(v)) for v in values]
    _store_all(storage, np.full(16, math.nan), bits[:16])
    assert ((bits[:16] & 0x7FFF) > {"float16": 0x7C00, "bfloat16": 0x7F80}[name]).all()


@pytest.mark.parametrize(
    ("storage", "dtype"),
    [(FLOAT16, "float16"), (BFLOAT16, "uint16"), (FLOAT32, "float32"), (FLOAT64, "float64")],
)
@pytest.mark.parametrize("count", [1, 16, 37])
def test_tiles_are_turned_into_rows_and_back(storage: int, dtype: str, count: int) -> None:
    columns = rng.normal(0, 3, (count, 50)).astype(np.float32)
    if storage == BFLOAT16:
        columns = (columns.view(np.uint32) >> 16).astype(np.uint16)
        numbers = (columns.astype(np.uint32) << 16).view(np.float32)
    else:
        columns = columns.astype(dtype)
        numbers = columns
    padded = -(-count // LANES) * LANES
    working = np.float64 if storage == FLOAT64 else np.float32
    rows = np.zeros((LANES, padded + 3), working)
    back = np.zeros_like(columns)
    result = np.ascontiguousarray(columns[:, :LANES].T)
    # Numba has no arrays of float16.
    bits = f"u{columns.itemsize}"
    _there_and_back(
        storage, columns.view(bits), rows, rows.strides[0], result.view(bits), back.view(bits)
    )
    assert (rows[:, :count] == numbers[:, :LANES].T).all()
    assert (rows[:, count:padded] == -1.0).all()
    assert (rows[:, padded:] == 0.0).all()
    assert (back[:, :LANES] == columns[:, :LANES]).all()
    assert (back[:, LANES:] == 0).all()


def test_exponentials_are_vectors_and_no_calls() -> None:
    zeros, results = np.zeros(LANES), np.zeros((2, LANES))
    _exponentials(_precision(FLOAT32, gradients=False), zeros, results[0])
    _wide_exponentials(zeros, zeros, *results)
    codes = [*_exponentials.inspect_llvm().values(), *_wide_exponentials.inspect_llvm().values()]
    assert len(codes) == 2
    for code in codes:
        assert "<16 x double>" in code
        assert "@llvm.fma.v16f64" in code
        assert "@exp" not in code
        assert " fast " not in code
