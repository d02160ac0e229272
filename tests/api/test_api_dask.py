"""The functions on Dask arrays: lazy, with the numbers of NumPy, and arguments checked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import pytest

import softmax_variants as sv
from softmax_variants_backends import numpy as numpy_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

X = np.random.default_rng(53).normal(0.0, 9.0, (4, 6)).astype(np.float32)
DY = np.random.default_rng(54).normal(0.0, 1.0, (4, 6)).astype(np.float32)
WHERE = np.random.default_rng(55).random((4, 6)) < 0.7


@pytest.fixture(autouse=True)
def _synchronous() -> Iterator[None]:
    # In this thread, where NumPy can be kept from warning of what the backend replaces.
    with dask.config.set(scheduler="synchronous"), np.errstate(all="ignore"):
        yield


def lazy(array: Any) -> Any:
    return da.from_array(array, chunks=(3, 4))  # type: ignore[no-untyped-call]


def test_numbers_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the array-API numerics, which serve Dask.
    monkeypatch.setattr(numpy_backend, "kernels", lambda: None)
    s = np.asarray([[0.4], [-0.9], [0.0], [1.5]])
    x, dy, where, scale = lazy(X), lazy(DY), lazy(WHERE), lazy(s)
    got = (
        sv.softmax(x, where=where),
        sv.sa_softmax(x, form="minmax"),
        sv.ssmax(x, scale, 0.25),
        *sv.ssmax_vjp(x, dy, scale, 0.25, where=where),
    )
    wanted = (
        sv.softmax(X, where=WHERE),
        sv.sa_softmax(X, form="minmax"),
        sv.ssmax(X, s, 0.25),
        *sv.ssmax_vjp(X, DY, s, 0.25, where=WHERE),
    )
    assert all(isinstance(one, da.Array) for one in got)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one.compute(), other, strict=True)


def test_nothing_is_computed_to_check_the_arguments() -> None:
    def fail(block: Any) -> Any:
        msg = "computed"
        raise RuntimeError(msg)

    x = lazy(X).map_blocks(fail, dtype="float32", meta=np.empty((0, 0), np.float32))
    weights: Any = sv.sa_softmax(x, where=lazy(WHERE))
    assert (weights.shape, weights.dtype) == (x.shape, x.dtype)
    with pytest.raises(RuntimeError, match=r"^computed$"):
        weights.compute()


def test_arguments_of_another_library() -> None:
    x: Any = lazy(X)
    message = r"^where must be a Dask array like x, got a NumPy array of shape \(4, 6\)"
    with pytest.raises(TypeError, match=message):
        sv.softmax(x, where=WHERE)
    with pytest.raises(TypeError, match=r"^dy must be a Dask array like x, got a NumPy array "):
        sv.softmax_vjp(x, DY)
