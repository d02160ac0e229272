"""Short rows, 16 at once, have the bits of the same rows one by one, which take another way."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import softmax_variants as sv
from softmax_variants_backends._cpu._intrinsics import LANES
from softmax_variants_backends._cpu._layout import FLOAT64, SA_SOFTMAX, SOFTMAX, SSMAX
from softmax_variants_backends._cpu._short_rows import short_rows_of_kind
from softmax_variants_backends._cpu._short_tiles import SHORT_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Results = tuple[Any, ...]

LENGTHS = (1, 2, 7, 15, 16, 17, 33, 100, SHORT_LENGTH)
ROWS = 2 * LANES + 3
FORMS = ("plain", "shifted", "minmax", "normalized")


def logits(length: int) -> tuple[Array, Array]:
    """Return rows and cotangents: ties, zeros, signs, absent entries, an empty row."""
    rng = np.random.default_rng(length)
    x = rng.normal(0, 3, (ROWS, length)).astype(np.float32)
    x[1] = 0.0
    x[2] = np.abs(x[2])
    x[3] = -np.abs(x[3])
    x[4] = np.round(x[4])
    x[5] = x[5, 0]
    x[6] *= 30
    x[7, rng.random(length) < 0.5] = -np.inf
    x[8] = -np.inf
    x[9, : length // 2] = 0.0
    x[10, ::3] = -np.inf  # rows 16 to 31 are whole: they may share one scale, or may not
    return x, rng.normal(0, 1, x.shape).astype(np.float32)


def bits(results: Results) -> list[Any]:
    """Return what tells -0 from 0."""
    found = [np.asarray(own.contiguous().view(torch.uint8)) for own in results]
    return [own.tobytes() for own in found]


def assert_same_bits(
    call: Callable[..., Results], rows: list[torch.Tensor], along_rows: int = 2
) -> None:
    """Compare rows together with rows one by one; so many results have a row for each."""
    together = call(*rows)
    for i in range(ROWS):
        alone = call(*(own[i : i + 1] for own in rows))
        for whole, part in zip(together[:along_rows], alone[:along_rows], strict=True):
            assert bits((whole[i : i + 1],)) == bits((part,)), f"row {i}: {whole[i]} {part}"


def family() -> dict[str, Callable[..., Results]]:
    """Return calls of all kinds on (x, dy, where, s)."""
    calls: dict[str, Callable[..., Results]] = {
        "softmax": lambda x, dy, where, s: (
            sv.softmax(x, where=where),
            sv.softmax_vjp(x, dy, where=where),
        )
    }
    for name, number in (("s", 0.43), ("s of 0", 0.0), ("negative s", -1.3), ("steep s", 2.0**300)):
        calls[f"ssmax, {name}"] = lambda x, dy, where, s, number=number: (
            sv.ssmax(x, number, 0.1 if number != 0 else 0.0, where=where),
            sv.ssmax_vjp(x, dy, number, 0.1 if number != 0 else 0.0, where=where)[0],
        )
    calls["ssmax, an array"] = lambda x, dy, where, s: (
        sv.ssmax(x, s, 0.25, where=where),
        *sv.ssmax_vjp(x, dy, s, 0.25, where=where)[:2],
    )
    calls["ssmax, n"] = lambda x, dy, where, s: (
        sv.ssmax(x, 0.5, s, n=1000, where=where),
        sv.ssmax_vjp(x, dy, 0.5, s, n=1000, where=where)[0],
    )
    for form in FORMS:
        for detached in (False, True):
            calls[f"sa_softmax, {form}{', detached' if detached else ''}"] = (
                lambda x, dy, where, s, form=form, detached=detached: (
                    sv.sa_softmax(x, form=form, where=where),
                    sv.sa_softmax_vjp(x, dy, form=form, detach_extrema=detached, where=where),
                )
            )
    return calls


@pytest.mark.parametrize("name", family())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
def test_rows_have_the_same_bits_together_and_alone(
    name: str, dtype: torch.dtype, masked: bool
) -> None:
    call = family()[name]
    for length in LENGTHS:
        x, dy = (torch.from_numpy(own).to(dtype) for own in logits(length))
        rng = np.random.default_rng(7)
        where = None
        if masked:
            x[:, ::4] = torch.nan
            where = torch.from_numpy(rng.random(x.shape) < 0.8)
            where[:, ::4] = False
        s = torch.from_numpy(rng.normal(0.4, 0.5, (ROWS, 1))).to(dtype)
        rows = [x, dy, s] if where is None else [x, dy, s, where]

        def on_rows(x: Any, dy: Any, s: Any, where: Any = None) -> Results:
            return call(x, dy, where, s)

        assert_same_bits(on_rows, rows, 3 if name == "ssmax, an array" else 2)


@pytest.mark.parametrize("name", family())
def test_rows_along_another_axis_have_the_same_bits(name: str) -> None:
    call = family()[name]
    for length in LENGTHS:
        x, dy = map(torch.from_numpy, logits(length))
        s = torch.linspace(-0.5, 1.5, ROWS)[:, None]
        expected = call(x, dy, None, s)[:2]
        columns = [own.T.contiguous().T for own in (x, dy)]
        assert bits(call(*columns, None, s)[:2]) == bits(expected)
        # An array of bfloat16 in NumPy's memory has columns in both directions, too.
        half = [own.to(torch.bfloat16) for own in (x, dy)]
        turned = [own.T.contiguous().T for own in half]
        assert bits(call(*turned, None, s)[:2]) == bits(call(*half, None, s)[:2])


def test_code_of_each_kind_has_a_name_of_its_own() -> None:
    # Numba's cache links by names what different processes have compiled.
    kinds = [*itertools.product(range(FLOAT64), (SOFTMAX, SSMAX, SA_SOFTMAX), (False, True))]
    names = {short_rows_of_kind(*kind).py_func.__qualname__ for kind in kinds}
    assert len(names) == len(kinds)


def test_an_invalid_row_is_one_by_one_with_its_neighbours() -> None:
    x, dy = map(torch.from_numpy, logits(40))
    expected = sv.softmax(x), sv.softmax_vjp(x, dy), sv.sa_softmax_vjp(x, dy)
    for bad in (torch.nan, torch.inf):
        broken = x.clone()
        broken[20, 3] = bad
        found = sv.softmax(broken), sv.softmax_vjp(broken, dy), sv.sa_softmax_vjp(broken, dy)
        for own, good in zip(found, expected, strict=True):
            assert own[20].isnan().all()
            keep = torch.arange(ROWS) != 20
            assert bits((own[keep],)) == bits((good[keep],))
    broken = dy.clone()
    broken[20, 3] = torch.inf
    assert sv.softmax_vjp(x, broken)[20].isnan().all()


def test_out_may_be_the_logits() -> None:
    for length in LENGTHS:
        x = torch.from_numpy(logits(length)[0])
        for own in (x.clone(), x.T.contiguous().T):
            expected = sv.sa_softmax(own)
            sv.sa_softmax(own, out=own)
            assert bits((own,)) == bits((expected,))


def test_numpy_has_the_bits_of_pytorch() -> None:
    x, dy = logits(33)
    for dtype in (np.float32, np.float16):
        own, own_dy = x.astype(dtype), dy.astype(dtype)
        found = sv.softmax_vjp(own, own_dy)
        expected = sv.softmax_vjp(torch.from_numpy(own), torch.from_numpy(own_dy))
        assert found.tobytes() == expected.numpy().tobytes()


@pytest.mark.parametrize("length", [2, 40, 300])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_an_only_maximum_has_the_derivative_of_softmax(dtype: torch.dtype, length: int) -> None:
    # p (1 - p) is 0 here: what the gate adds to dy r - G must not be rounded together with it.
    x, dy = torch.full((LANES + 1, length), -1.0), torch.zeros((LANES + 1, length))
    x[:, 1], dy[:, 1] = 1024.0, 1.0
    dx = sv.sa_softmax_vjp(x.to(dtype), dy.to(dtype))
    assert (dx[:, 1] == 0).all(), dx[:, 1]


def test_large_results_have_the_bits_of_small_ones() -> None:
    # Past the caches: 32 MiB and more.
    rng = np.random.default_rng(11)
    for length, dtype in ((LANES, np.float32), (LANES + 4, np.float32), (2 * LANES, np.float16)):
        size = 2**25 // np.dtype(dtype).itemsize
        x = rng.integers(-99, 99, (size // length + LANES, length), np.int8).astype(dtype) / 16
        large = sv.softmax(x)
        assert large.nbytes >= 2**25
        for begin in (0, 1003, len(x) - 500):
            part = slice(begin, begin + 500)
            assert large[part].tobytes() == sv.softmax(x[part]).tobytes()


@pytest.mark.parametrize("length", [20, 300])
def test_absent_entries_add_nothing_to_the_gradients_by_s_and_b(length: int) -> None:
    rng = np.random.default_rng(length)
    x, dy = (torch.from_numpy(rng.normal(0, 1, (LANES, length))).float() for _ in range(2))
    gaps = [torch.full((LANES, 5), value) for value in (-torch.inf, torch.nan)]
    wider = [torch.cat(own, 1) for own in zip((x, dy), gaps, strict=True)]
    for found, expected in zip(
        sv.ssmax_vjp(*wider, 0.5, 0.1)[1:], sv.ssmax_vjp(x, dy, 0.5, 0.1)[1:], strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
