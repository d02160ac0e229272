"""Rows near 0 take a shorter way to their weights: the same results at both sides of where it ends.

Results are compared with the array-API numerics, whose weights of these types are correctly rounded
but for a few in 10^8.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cuda_support.emulated_backend import EmulatedBackend
from cuda_support.emulated_launcher import EAGER, HOPPER, EmulatedLauncher
from softmax_variants_backends.array_api import _functions as numerics

KNOWING = EmulatedBackend(EmulatedLauncher(EAGER))
ANY = EmulatedBackend(EmulatedLauncher(HOPPER))
SHARED = EmulatedBackend(EmulatedLauncher(replace(EAGER, capacity=(32, 32))))
"""Known lengths; any; and those of clusters."""

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
LENGTH = 128
# The limits of what counts as near: 2^7 for float32, 2^12 for 16 bits.
TOPS = [0.0, 1e-3, -1e-3, 100.0, -100.0, *(127.5, 128.0, 128.5, -127.5, -129.0), 1000.0, -3000.0]
TOPS += [4090.0, 4096.0, 4112.0, -4096.0, -5000.0, 16000.0, 17000.0, -60000.0, 65000.0]


def rows(dtype: str, seed: int) -> torch.Tensor:
    """Return a row below each top: entries at and beyond where weights end, and absent ones."""
    random = np.random.default_rng(seed)
    x = np.array(TOPS)[:, None] - random.gamma(1.0, 4.0, (len(TOPS), LENGTH))
    x[:, 0] = TOPS
    depths = [80.0, 87.0, 103.0, 104.5, 127.0, 128.0, 129.0, 159.0, 161.0, 200.0, 700.0, 1e4]
    x[:, 1 : 1 + len(depths)] = np.array(TOPS)[:, None] - depths
    x[::2, 20:24] = -np.inf
    return torch.from_numpy(x).clamp(min=-65504.0).to(DTYPES[dtype]) + 0.0


def calls(backend: Any, x: torch.Tensor, **options: Any) -> dict[str, torch.Tensor]:
    axis: dict[str, Any] = {"axis": 1, "where": options.get("where")}
    forms = {
        form: backend.sa_softmax(x, form=form, detach_extrema=False, out=None, **axis)
        for form in ("plain", "shifted", "minmax", "normalized")
    }
    scaled = {
        f"s = {s}": backend.ssmax(x, torch.tensor(s), 0.0, n=None, out=None, **axis)
        for s in (0.001, 0.0032, 0.0033, 0.43, 1.0, 30.0, 211.0, 212.0, -0.4, 0.0)
    }
    return {"softmax": backend.softmax(x, out=None, **axis)} | forms | scaled


BACKENDS = [
    *(pytest.param(KNOWING, dtype, id=f"known-{dtype}") for dtype in DTYPES),
    *(pytest.param(ANY, dtype, id=f"any-{dtype}") for dtype in DTYPES),
    pytest.param(SHARED, "float16", id="cluster-float16"),
]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("backend", "dtype"), BACKENDS)
def test_near_and_far(backend: Any, dtype: str, masked: bool) -> None:
    x = rows(dtype, 7)
    where = torch.from_numpy(np.random.default_rng(8).random(x.shape) < 0.8) if masked else None
    found, expected = (calls(own, x, where=where) for own in (backend, numerics))
    for name, y in found.items():
        differ = (y != expected[name]) & ~(y.isnan() & expected[name].isnan())
        assert not differ.any(), (name, x[differ], y[differ], expected[name][differ])
        absent = (x == -torch.inf) | (~where if where is not None else False)
        assert not torch.signbit(y[absent]).any(), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_in_the_place_of_the_logits(dtype: str) -> None:
    """What is evaluated again cannot be read there once results have been written."""
    random = np.random.default_rng(9)
    # Enough entries that some weights round differently a little above and below.
    x = torch.from_numpy(random.normal(size=(64, 1024)) * 3).to(DTYPES[dtype])
    options: dict[str, Any] = {"axis": 1, "where": None}
    expected = KNOWING.softmax(x, out=None, **options)
    own = x.clone()
    assert KNOWING.softmax(own, out=own, **options) is own
    assert torch.equal(own, expected)
    assert torch.equal(expected, numerics.softmax(x, out=None, **options))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", [KNOWING, ANY, SHARED], ids=["known", "any", "cluster"])
def test_gradients_at_the_steepest_scales(backend: Any, dtype: str) -> None:
    """The least exponential, times such a scale, would be no small number any more."""
    x = torch.zeros((3, LENGTH), dtype=DTYPES[dtype])
    x[:, 1], x[0, 2], x[1, 2] = 1.0, 0.5, -1.0
    dy = torch.full_like(x, torch.finfo(x.dtype).max)
    dy[:, 2:] *= -1.0
    for s in (2.0**900, -(2.0**900), 2.0**650):
        options: dict[str, Any] = {"n": 3.0, "axis": 1, "where": None}
        for found, expected in zip(
            backend.ssmax_vjp(x, dy, s, 0.0, **options),
            numerics.ssmax_vjp(x, dy, s, 0.0, **options),
            strict=True,
        ):
            same = (found == expected) | (found.isnan() & expected.isnan())
            assert same.all(), (s, found, expected)
