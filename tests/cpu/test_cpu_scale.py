"""s and b that are integers which no float equals: the scale of each row is exact all the same."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest
import torch

import softmax_variants as sv
from backend_support.judging import gradient_ratio, parameter_ratio, weight_error
from softmax_variants_backends._cpu import CLAIMS
from softmax_variants_spec.exact import Row
from softmax_variants_spec.formats import FORMATS

S = 2**70 + 2**17 - 1
"""To round it to a float moves it by 2**17: little, unless the terms of c = s ln n + b cancel."""
C = 2.0**51
N = 6
B = 1 - round(S * log(N) - C)
"""With it c is about C where n is N: less than the terms by 2**20, where the classes end."""
ROWS = 40
"""Enough for some weights of binary32 to be next to a midpoint, where a wrong c shows."""
DTYPES = ["bfloat16", "float32"]


def logits(dtype: str, *, seed: int = 0) -> torch.Tensor:
    """Return rows whose exponents are down to -80 where c is about C."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(ROWS, N, generator=generator) * -80.0 / C).to(getattr(torch, dtype))


def present(x: torch.Tensor) -> torch.Tensor:
    """Return a mask, and make one more entry absent by its logit."""
    mask = torch.ones(x.shape, dtype=torch.bool)
    mask[1, 2] = False
    x[2, 3] = -torch.inf
    return mask


def row(x: torch.Tensor, k: int, mask: Any = None, **parameters: Any) -> Row:
    where = None if mask is None else tuple(mask[k].tolist())
    return Row("ssmax", tuple(x[k].tolist()), where, **parameters)


@pytest.mark.parametrize("n", [None, N, N + 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_keep_the_claim(dtype: str, n: int | None) -> None:
    x = logits(dtype)
    mask = present(x)
    y = sv.ssmax(x, S, B, n=n, where=mask)
    for k in range(ROWS):
        exact = row(x, k, mask, s=S, b=B, n=n)
        assert weight_error(y[k].tolist(), exact, FORMATS[dtype]) <= CLAIMS["ssmax", dtype]
    assert ((y > 0.0) & (y < 1.0)).any() or n == N + 1
    out = torch.zeros_like(x)
    assert sv.ssmax(x, S, B, n=n, where=mask, out=out) is out
    assert torch.equal(out, y)
    if dtype == "float32":
        array, where = x.numpy(), mask.numpy()
        np.testing.assert_array_equal(sv.ssmax(array, S, B, n=n, where=where), y.numpy())
        columns = sv.ssmax(array.T, S, B, n=n, where=where.T, axis=0)
        np.testing.assert_array_equal(columns.T, y.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_beside_integers(dtype: str) -> None:
    x = logits(dtype)
    # c is about C where n is N, again.
    s = torch.full((ROWS, 1), 2.0**70, dtype=torch.float64)
    b = 1 - round(2.0**70 * log(N) - C)
    count = torch.full((ROWS, 1), N)
    count[2] = N + 1
    y = sv.ssmax(x, s, b, n=count)
    dx, ds, db = sv.ssmax_vjp(x, torch.ones_like(x), s, b, n=count)
    for k in range(ROWS):
        exact = row(x, k, s=2**70, b=b, n=int(count[k]))
        assert weight_error(y[k].tolist(), exact, FORMATS[dtype]) <= CLAIMS["ssmax", dtype]
    assert (dx.shape, ds.shape, ds.dtype, db.shape) == (x.shape, s.shape, s.dtype, ())
    assert db.dtype == x.dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_meet_the_class(dtype: str) -> None:
    x, dy = logits(dtype), logits(dtype, seed=1) * C
    fmt = FORMATS[dtype]
    for k in range(4):
        dx, ds, db = sv.ssmax_vjp(x[k], dy[k], S, B)
        exact, cotangent = row(x, k, s=S, b=B), dy[k].tolist()
        assert gradient_ratio(dx.tolist(), exact, cotangent, fmt, "faithful") <= 1.0
        for name, got in (("ds", ds), ("db", db)):
            assert got.dtype == x.dtype
            ratio = parameter_ratio(name, got.item(), exact, cotangent, fmt, "faithful")
            assert ratio <= 1.0, name


def test_parameters_that_are_not_allowed_and_empty_rows() -> None:
    x = torch.zeros(3, 2)
    x[1] = -torch.inf
    y = sv.ssmax(x, S, torch.tensor([[torch.inf], [torch.nan], [1.0]]))
    assert y[0].isnan().all()
    assert y[1].tolist() == [0.0, 0.0]
    assert y[2].tolist() == [0.5, 0.5]
    # A scale beyond the range of floats, of two terms that are not.
    largest = 2**1023 + 2**960 + 1
    assert sv.ssmax(x, largest, 2**1023 + 1, n=3)[0].isnan().all()
