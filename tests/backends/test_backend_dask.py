"""Dask: a lazy graph with the bits of NumPy, however the rows are cut into chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import pytest

from backend_support.variants import Variant
from softmax_variants_backends import dask as backend
from softmax_variants_backends import numpy as numpy_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIANTS = (
    Variant("softmax"),
    Variant("ssmax"),
    Variant("sa_softmax", "minmax"),
    Variant("sa_softmax", "normalized", detach_extrema=True),
)


@pytest.fixture(autouse=True)
def _synchronous() -> Iterator[None]:
    # In this thread, where NumPy can be kept from warning of what the backend replaces.
    with dask.config.set(scheduler="synchronous"), np.errstate(all="ignore"):
        yield


def results(variant: Variant, module: Any, x: Any, dy: Any, where: Any, axis: int = 1) -> list[Any]:
    options = {"axis": axis, "where": where, "s": 0.43, "b": 0.1}
    found = [variant.weights(module, x, **options)]
    return found + list(variant.gradients(module, x, dy, **options))


def assert_bits_are_those_of_numpy(variant: Variant, dtype: str, chunks: tuple[int, int]) -> None:
    rng = np.random.default_rng(47)
    x, dy = (rng.normal(0.0, size, (5, 7)).astype(dtype) for size in (12.0, 1.0))
    where = rng.random(x.shape) < 0.7
    where[2] = False
    wanted = results(variant, numpy_backend, x, dy, where)
    got = results(variant, backend, *(da.from_array(a, chunks=chunks) for a in (x, dy, where)))
    assert all(isinstance(one, da.Array) for one in got)
    for one, other in zip(dask.compute(*got), wanted, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_bits_are_those_of_numpy(variant: Variant) -> None:
    assert_bits_are_those_of_numpy(variant, "float32", (3, 4))


@pytest.mark.parametrize("chunks", [(5, 7), (5, 2), (1, 7)], ids=["whole", "columns", "rows"])
def test_chunks_change_nothing(chunks: tuple[int, int]) -> None:
    assert_bits_are_those_of_numpy(VARIANTS[0], "float16", chunks)


@pytest.mark.parametrize("variant", [VARIANTS[0], VARIANTS[2]], ids=str)
def test_float64_along_a_cut_axis(variant: Variant) -> None:
    rng = np.random.default_rng(48)
    x = rng.normal(0.0, 20.0, (6, 4))
    wanted = variant.weights(numpy_backend, x, axis=0)
    got = variant.weights(backend, da.from_array(x, chunks=(4, 4)), axis=0)
    np.testing.assert_array_equal(got.compute(), wanted, strict=True)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_nothing_is_computed_before_the_result(variant: Variant) -> None:
    def fail(block: Any) -> Any:
        msg = "computed"
        raise RuntimeError(msg)

    x = da.map_blocks(fail, da.ones((4, 6), chunks=3), dtype="float32", meta=np.empty((0, 0), "f4"))
    lazy = results(variant, backend, x, x, None)
    assert lazy[0].shape == lazy[1].shape == (4, 6)
    with pytest.raises(RuntimeError, match="computed"):
        lazy[0].compute()


@pytest.mark.parametrize("variant", VARIANTS[:3], ids=str)
def test_out_is_refused(variant: Variant) -> None:
    x = da.ones((4, 6), chunks=3)
    with pytest.raises(ValueError, match="out must be None"):
        variant.weights(backend, x, axis=1, out=x)
