"""NumPy's blocks change nothing: any shape, axis, layout and block size gives the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import array_api
from softmax_variants_backends.numpy import _blocked as numpy
from softmax_variants_backends.numpy._blocks import blocks, part

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def bits(a: Any) -> Any:
    return np.ascontiguousarray(a).view(f"u{a.itemsize}")


def assert_same_bits(one: Any, other: Any) -> None:
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    np.testing.assert_array_equal(bits(one), bits(other))


@SETTINGS
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=5),
    st.integers(0, 4),
    st.sampled_from([1, 2, 5, 16, 100, 10**6]),
)
def test_blocks_cover_an_array_once(shape: list[int], axis: int, limit: int) -> None:
    axis %= len(shape)
    counts = np.zeros(shape, dtype=np.int64)
    for index in blocks(tuple(shape), axis, limit):
        block = counts[index]
        assert block.shape[axis] == shape[axis]
        # A block larger than the limit is one row.
        assert block.size <= limit or block.size == shape[axis]
        block += 1
    assert (counts == 1).all()


def test_blocks_are_not_needlessly_small() -> None:
    # A batch of short rows is cut where rows end: a few blocks, not one a row.
    assert len(list(blocks((1000, 10), 1, 1000))) == 10
    assert len(list(blocks((1, 1, 4, 500), 3, 1000))) == 2


def test_parts_of_operands_broadcast() -> None:
    index = (slice(2, 4), slice(0, 3), slice(5, 6))
    rng = np.random.default_rng(0)
    for shape in [(6, 3, 8), (1, 3, 8), (6, 1, 1), (3, 8), (8,), (1,), ()]:
        operand = rng.normal(size=shape)
        whole = np.broadcast_to(operand, (6, 3, 8))[index]
        np.testing.assert_array_equal(np.broadcast_to(part(operand, index), whole.shape), whole)
        assert isinstance(part(operand, index), np.ndarray)  # not a scalar, which is a float
    assert part(None, index) is None
    assert part(0.5, index) == 0.5


SHAPES = [((7,), 0), ((5, 4), 0), ((5, 4), 1), ((2, 3, 5), 1), ((2, 1, 3, 2, 4), 4)]
SHAPES += [((2, 3, 2, 5, 2), 3), ((3, 2, 2, 1, 2), 0), ((1, 1), 1), ((130, 129), 1)]


@pytest.mark.parametrize("limit", [1, 5, 64])
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_size_of_blocks_changes_no_bit(
    variant: Variant,
    shape: tuple[int, ...],
    axis: int,
    limit: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if shape[0] == 130:
        limit *= 300
    rng = np.random.default_rng(4)
    dtype = np.float32 if len(shape) % 2 else np.float64
    x, dy = (rng.normal(0, 9, shape).astype(dtype) for _ in range(2))
    rows = list(shape)
    rows[axis] = 1
    heads = [length if i == len(shape) - 2 else 1 for i, length in enumerate(rows)]
    options: dict[str, Any] = {
        "axis": axis,
        "where": rng.random(shape[-1:]) < 0.8,
        "s": rng.normal(size=heads),
        "b": rng.normal(size=rows[-1:]),
        "n": rng.integers(2, 99, rows),
    }
    monkeypatch.setattr(numpy, "_BLOCK", limit)
    assert len(list(blocks(shape, axis, limit))) > 1 or limit > x.size or x.size == shape[axis]
    assert_same_bits(variant.weights(numpy, x, **options), variant.weights(array_api, x, **options))
    got = variant.gradients(numpy, x, dy, **options)
    wanted = variant.gradients(array_api, x, dy, **options)
    for one, other in zip(got, wanted, strict=True):
        assert_same_bits(one, other)


def reversed_axes(a: Any) -> Any:
    return np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1]


def every_second(a: Any) -> Any:
    wide = np.zeros((2 * a.shape[0], 3 * a.shape[1]), a.dtype)
    wide[::2, 1::3] = a
    return wide[::2, 1::3]


def unaligned(a: Any) -> Any:
    buffer = np.zeros(a.nbytes + 1, np.uint8)
    view = buffer[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def read_only(a: Any) -> Any:
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS = [np.asfortranarray, reversed_axes, every_second, unaligned, read_only]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_layout_changes_no_bit(variant: Variant, layout: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(6)
    for dtype in (np.float16, np.float32, np.float64):
        x, dy = (rng.normal(0, 5, (13, 37)).astype(dtype) for _ in range(2))
        where = rng.random(x.shape) < 0.7
        s = rng.normal(size=(13, 1))
        options: dict[str, Any] = {"axis": 1, "where": where, "s": s}
        laid: dict[str, Any] = {"axis": 1, "where": layout(where), "s": layout(s)}
        kept = x.copy(), dy.copy()
        y = variant.weights(numpy, layout(x), **laid)
        assert_same_bits(y, variant.weights(numpy, x, **options))
        got = variant.gradients(numpy, layout(x), layout(dy), **laid)
        wanted = variant.gradients(numpy, x, dy, **options)
        for one, other in zip(got, wanted, strict=True):
            assert_same_bits(one, other)
        assert_same_bits(x, kept[0])
        assert_same_bits(dy, kept[1])


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_broadcast_inputs(variant: Variant) -> None:
    rng = np.random.default_rng(7)
    row = rng.normal(0, 5, (1, 23))
    x, dy = np.broadcast_to(row, (9, 23)), np.broadcast_to(np.float64(0.5), (9, 23))
    assert 0 in x.strides
    where = np.broadcast_to(rng.random((1, 23)) < 0.7, (9, 23))
    y = variant.weights(numpy, x, axis=1, where=where)
    assert y.flags.writeable
    assert 0 not in y.strides
    assert_same_bits(y, variant.weights(numpy, x.copy(), axis=1, where=where.copy()))
    dx = variant.gradients(numpy, x, dy, axis=1, where=where)[0]
    assert_same_bits(
        dx, variant.gradients(numpy, x.copy(), dy.copy(), axis=1, where=where.copy())[0]
    )


@pytest.mark.parametrize("limit", [1, 50, 10**6])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_out_may_be_x_itself(variant: Variant, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy, "_BLOCK", limit)
    rng = np.random.default_rng(8)
    x = rng.normal(0, 5, (6, 4, 5))
    for axis in range(3):
        wanted = variant.weights(numpy, x, axis=axis)
        own = x.copy()
        assert variant.weights(numpy, own, axis=axis, out=own) is own
        assert_same_bits(own, wanted)
        other = np.asfortranarray(np.full_like(x, np.nan))
        assert variant.weights(numpy, x, axis=axis, out=other) is other
        assert_same_bits(other, wanted)
        strided = np.zeros((6, 4, 10))[:, :, ::2]
        variant.weights(numpy, x, axis=axis, out=strided)
        assert_same_bits(strided, wanted)


def test_subclasses_come_back_as_arrays() -> None:
    class Own(np.ndarray):
        pass

    x = np.zeros((2, 3)).view(Own)
    assert type(numpy.softmax(x, axis=1, where=None, out=None)) is np.ndarray
    assert type(numpy.softmax_vjp(x, x, axis=1, where=None)) is np.ndarray


def test_warnings_stay_silent_and_settings_as_they_were() -> None:
    x = np.asarray([[1e308, -1e308, np.nan], [np.inf, 0.0, 1.0]])
    with np.errstate(all="raise"):
        for variant in VARIANTS:
            variant.weights(numpy, x, axis=1)
            variant.gradients(numpy, x, x, axis=1)
        assert set(np.geterr().values()) == {"raise"}
