"""From arrays of any layout to the kernels and back, with kernels of plain Python in their place.

Those compute each row with the array-API numerics, so weights and dx must have the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from backend_support.variants import VARIANTS, Variant
from cpu_support.stand_in import LEAVE, StandIn
from softmax_variants_backends import array_api
from softmax_variants_backends._cpu import _layout as fields
from softmax_variants_backends._cpu import _plan, _rows
from softmax_variants_backends._cpu._numpy_arrays import NumpyArrays
from softmax_variants_backends._cpu._rows import RowKernels
from softmax_variants_backends._cpu._torch_arrays import TorchArrays

if TYPE_CHECKING:
    from collections.abc import Callable

NUMPY_DTYPES = ["float16", "float32", "float64"]
SHAPES = [((7,), 0), ((5, 4), 0), ((5, 1), 1), ((2, 3, 5), 1), ((2, 1, 3, 2, 4), 4), ((1, 1), 0)]
FEW = [Variant("softmax"), Variant("ssmax"), Variant("sa_softmax", "minmax", detach_extrema=True)]
"""Variants that differ in what the kernels are told."""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    own = StandIn()
    monkeypatch.setattr(_rows, "kernel", own.kernel)
    return own


class Backend:
    """The kernels with the functions of a backend."""

    def __init__(self, arrays: Any) -> None:
        self.kernels = RowKernels(arrays)

    def softmax(self, x: Any, *, axis: int, where: Any, out: Any) -> Any:
        return self.kernels.weights("softmax", axis, None, x, None, None, None, where, out)

    def ssmax(self, x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
        return self.kernels.weights("ssmax", axis, None, x, s, b, n, where, out)

    def sa_softmax(self, x: Any, *, form: str, axis: int, where: Any, out: Any, **_: Any) -> Any:
        return self.kernels.weights("sa_softmax", axis, form, x, None, None, None, where, out)

    def softmax_vjp(self, x: Any, dy: Any, *, axis: int, where: Any) -> Any:
        (dx,) = self.gradients("softmax", axis, None, False, x, dy, None, None, None, where)
        return dx

    def ssmax_vjp(self, x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
        return self.gradients("ssmax", axis, None, False, x, dy, s, b, n, where)

    def sa_softmax_vjp(
        self, x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
    ) -> Any:
        rest = (x, dy, None, None, None, where)
        (dx,) = self.gradients("sa_softmax", axis, form, detach_extrema, *rest)
        return dx

    def gradients(self, *arguments: Any) -> tuple[Any, ...]:
        found = self.kernels.gradients(*arguments)
        assert found is not None
        return found


def bits(a: Any) -> Any:
    if isinstance(a, torch.Tensor):
        a = a.view(getattr(torch, f"int{8 * a.element_size()}")).numpy()
    return np.ascontiguousarray(a).view(f"u{a.itemsize}")


def assert_same_bits(one: Any, other: Any) -> None:
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    np.testing.assert_array_equal(bits(one), bits(other))


def assert_close(one: Any, other: Any) -> None:
    """Compare sums, the order of which differs."""
    assert (one.shape, one.dtype, type(one)) == (other.shape, other.dtype, type(other))
    if isinstance(one, torch.Tensor):
        one, other = one.to(torch.float64), other.to(torch.float64)
    exponent = {2: -7, 4: -22, 8: -45}[one.itemsize]
    np.testing.assert_allclose(one, other, rtol=2.0**exponent, atol=2.0**exponent)


def check(backend: Backend, variant: Variant, x: Any, dy: Any, **options: Any) -> None:
    y = variant.weights(backend, x, **options)
    assert_same_bits(y, variant.weights(array_api, x, **options))
    dx, *sums = variant.gradients(backend, x, dy, **options)
    wanted, *sums_wanted = variant.gradients(array_api, x, dy, **options)
    assert_same_bits(dx, wanted)
    for one, other in zip(sums, sums_wanted, strict=True):
        assert_close(one, other)


def parameters(
    rng: np.random.Generator, shape: tuple[int, ...], axis: int, kind: str
) -> dict[str, Any]:
    rows = list(shape)
    rows[axis] = 1
    heads = [length if i == 0 else 1 for i, length in enumerate(rows)]
    if kind == "numbers":
        return {"s": 0.43, "b": -0.25, "n": 17}
    if kind == "arrays":
        return {
            "s": rng.normal(size=heads).astype(np.float32),
            "b": rng.normal(size=rows),
            "n": rng.integers(2, 99, rows[-1:]),
        }
    return {"s": rng.normal(size=()), "b": rng.normal(size=heads).astype(np.float16)}


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
@pytest.mark.parametrize(
    ("variant", "kind"),
    [
        *((variant, "arrays") for variant in VARIANTS),
        *((Variant("ssmax"), kind) for kind in ("numbers", "counted")),
    ],
    ids=str,
)
def test_shapes_and_parameters(
    variant: Variant, shape: tuple[int, ...], axis: int, kind: str
) -> None:
    rng = np.random.default_rng(1)
    backend = Backend(NumpyArrays())
    for dtype in NUMPY_DTYPES:
        x, dy = (rng.normal(0, 4, shape).astype(dtype) for _ in range(2))
        where = rng.random(shape[-1:]) < 0.8
        options = parameters(rng, shape, axis, kind)
        for mask in (None, where):
            for _ in range(2):  # the second time, what is kept serves
                check(backend, variant, x, dy, axis=axis, where=mask, **options)


def every_second(a: Any) -> Any:
    wide = np.zeros((2 * a.shape[0], *a.shape[1:-1], 3 * a.shape[-1]), a.dtype)
    wide[::2, ..., 1::3] = a
    return wide[::2, ..., 1::3]


def reversed_axes(a: Any) -> Any:
    return np.ascontiguousarray(a[::-1, ..., ::-1])[::-1, ..., ::-1]


def middle_first(a: Any) -> Any:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, 0)), 0, 1)


def unaligned(a: Any) -> Any:
    buffer = np.zeros(a.nbytes + 1, np.uint8)
    view = buffer[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def between_elements(a: Any) -> Any:
    """Strides that are no multiple of the elements' size."""
    records = np.zeros(a.shape, np.dtype([("other", "u1"), ("own", a.dtype)]))
    records["own"] = a
    return records["own"]


def read_only(a: Any) -> Any:
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS = [np.asfortranarray, reversed_axes, every_second, middle_first]
LAYOUTS += [unaligned, between_elements, read_only]


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("variant", FEW, ids=str)
def test_layouts(variant: Variant, layout: Callable[[Any], Any], axis: int) -> None:
    rng = np.random.default_rng(2)
    backend = Backend(NumpyArrays())
    for dtype in NUMPY_DTYPES:
        x, dy = (rng.normal(0, 4, (3, 5, 4)).astype(dtype) for _ in range(2))
        options = parameters(rng, x.shape, axis, "arrays")
        where = rng.random(x.shape) < 0.7
        check(backend, variant, layout(x), dy, axis=axis, where=where, **options)
        if axis == 2:
            options["b"] = layout(np.broadcast_to(options["b"], x.shape)[..., :1])
        check(backend, variant, x, layout(dy), axis=axis, where=layout(where), **options)
        out = layout(np.zeros_like(x))
        if not out.flags.writeable:
            continue
        found = variant.weights(backend, x, axis=axis, where=where, out=out, **options)
        assert found is out
        assert_same_bits(out, variant.weights(array_api, x, axis=axis, where=where, **options))
        own = layout(x.copy())
        assert variant.weights(backend, own, axis=axis, where=where, out=own, **options) is own
        assert_same_bits(own, out)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("variant", FEW, ids=str)
def test_broadcast_operands(variant: Variant) -> None:
    rng = np.random.default_rng(3)
    backend = Backend(NumpyArrays())
    shape = (3, 4, 5)
    x = np.broadcast_to(rng.normal(0, 4, (4, 5)), shape)
    dy = np.broadcast_to(np.float64(0.5), shape)
    for axis in range(3):
        for mask in ((5,), (4, 1), (3, 1, 1), (1,), (), (3, 1, 5)):
            where = np.asarray(rng.random(mask) < 0.7)
            check(backend, variant, x, dy, axis=axis, where=where)
    assert 0 not in variant.weights(backend, x, axis=2).strides


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("variant", FEW, ids=str)
def test_more_axes_than_kernels_walk(variant: Variant) -> None:
    rng = np.random.default_rng(4)
    backend = Backend(NumpyArrays())
    shape = (2,) * 10
    # No two axes of x and of the mask follow each other in both.
    x = rng.normal(0, 4, shape).astype(np.float32)
    where = (rng.random(shape) < 0.8).transpose(range(9, -1, -1))
    s, n = rng.normal(size=(2, 1, 2, 1, 2, 1, 2, 1, 2, 1)), rng.integers(2, 99, (*shape[:9], 1))
    check(backend, variant, x, x, axis=9, where=where, s=s, n=n)
    out = np.full_like(x, np.nan)
    assert variant.weights(backend, x, axis=9, where=where, s=s, n=n, out=out) is out
    assert_same_bits(out, variant.weights(array_api, x, axis=9, where=where, s=s, n=n))


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("variant", FEW, ids=str)
def test_tensors(variant: Variant, dtype: str) -> None:
    generator = torch.Generator().manual_seed(5)
    backend = Backend(TorchArrays())
    own = getattr(torch, dtype)
    x, dy = (torch.randn(3, 4, 5, generator=generator).mul(4).to(own) for _ in range(2))
    where = torch.rand(4, 1, generator=generator) < 0.8
    for axis in range(3):
        rows = [1 if i == axis else length for i, length in enumerate(x.shape)]
        options = {
            "axis": axis,
            "where": where,
            "s": torch.randn(rows, generator=generator).to(own).requires_grad_(),
            "b": torch.randn((), generator=generator).to(torch.bfloat16),
            "n": torch.randint(2, 99, rows[-1:], generator=generator),
        }
        with torch.no_grad():
            check(backend, variant, x, dy, **options)
            check(backend, variant, x.transpose(0, 1), dy.transpose(0, 1), axis=axis)
            check(backend, variant, x[:, :1].expand(3, 4, 5), dy, axis=axis)
            # Between elements: PyTorch makes such tensors of memory that it is given.
            memory = bytearray(x.numel() * x.element_size() + 1)
            odd = torch.frombuffer(memory, dtype=own, offset=1).view_as(x)
            odd.copy_(x)
            check(backend, variant, odd, dy, axis=axis)


@pytest.mark.parametrize("n", [2**62 + 2**30 + 1, 2**63 - 1, 2**53 + 1, 2**40, 3])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.usefixtures("stand_in")
def test_whole_numbers_beyond_binary64(n: int, dtype: type) -> None:
    backend = Backend(NumpyArrays())
    x = np.linspace(-1.0, 1.0, 8).reshape(2, 4)
    for given in (np.full((2, 1), n, dtype), np.array([[5], [n]], dtype), np.array(n, dtype)):
        check(backend, Variant("ssmax"), x, x, axis=1, n=given)


def test_numbers_that_no_float_equals_are_not_taken(stand_in: StandIn) -> None:
    kernels = RowKernels(NumpyArrays())
    x = np.zeros((2, 3))
    for s, b in ((2**53 + 1, 0.0), (1.0, 10**400)):
        assert kernels.weights("ssmax", 1, None, x, s, b, None, None, None) is None
        assert kernels.gradients("ssmax", 1, None, False, x, x, s, b, None, None) is None
    assert kernels.weights("ssmax", 1, None, x, 2**53, 0, None, None, None) is not None
    assert len(stand_in.ranges) == 1


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_nothing_is_not_taken(shape: tuple[int, ...], stand_in: StandIn) -> None:
    kernels = RowKernels(NumpyArrays())
    x = np.zeros(shape)
    assert kernels.weights("softmax", 0, None, x, None, None, None, None, None) is None
    rest = (x, x, None, None, None, None)
    assert kernels.gradients("softmax", 0, None, False, *rest) is None
    assert not stand_in.ranges


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("variant", FEW, ids=str)
def test_rows_that_are_left(
    variant: Variant, axis: int, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softmax_variants_backends._cpu._left_rows._BLOCK", 12)
    rng = np.random.default_rng(6)
    shape = (3, 4, 5)
    x, dy = (rng.normal(0, 4, shape) for _ in range(2))
    chosen = np.moveaxis(x, axis, -1)[..., 0]
    chosen[rng.random(chosen.shape) < 0.6] = LEAVE
    options = parameters(rng, shape, axis, "arrays") | {"where": rng.random(shape) < 0.7}
    options["n"] = options["n"].astype(np.float64)
    for laid in (x, np.asfortranarray(x)):
        if library == "numpy":
            check(Backend(NumpyArrays()), variant, laid, dy, axis=axis, **options)
            continue
        tensors = {name: torch.from_numpy(value) for name, value in options.items()}
        two = torch.from_numpy(laid), torch.from_numpy(dy)
        check(Backend(TorchArrays()), variant, *two, axis=axis, **tensors)
    one = Backend(NumpyArrays())
    row = np.array([LEAVE, 1.0, 2.0])
    check(one, variant, row, row, axis=0, where=np.array([True, False, True]), s=-0.5, n=7)


class TestThreads:
    """With all limits lowered, so that small arrays are dealt out."""

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_plan, "GRAIN", 4)
        monkeypatch.setattr(_plan, "WHOLE_LENGTH", 8)
        monkeypatch.setattr(fields, "BLOCK", 8)
        monkeypatch.setattr(fields, "TILE_ROWS", 2)

    @pytest.mark.parametrize("threads", [1, 2, 3, 8])
    @pytest.mark.parametrize("rows", [1, 3, 20])
    @pytest.mark.parametrize("length", [1, 8, 30])
    def test_all_rows_whatever_the_threads(
        self, length: int, rows: int, threads: int, stand_in: StandIn
    ) -> None:
        rng = np.random.default_rng(7)
        arrays = NumpyArrays()
        arrays.threads = lambda: threads  # type: ignore[method-assign]
        backend = Backend(arrays)
        x, dy = (rng.normal(0, 4, (rows, length)).astype(np.float32) for _ in range(2))
        check(backend, Variant("ssmax"), x, dy, axis=1)
        assert bool(stand_in.units) == (length > 8)
        assert bool(stand_in.ranges) == (length <= 8)
        if min(threads, rows) > 1 and rows * length >= 8 and length <= 8:
            assert max(end - begin for begin, end in stand_in.ranges) < rows
        columns, dy_columns = np.ascontiguousarray(x.T), np.ascontiguousarray(dy.T)
        check(backend, Variant("sa_softmax"), columns, dy_columns, axis=0)
        x[rows // 2, 0] = LEAVE
        check(backend, Variant("softmax"), x.astype(np.float64), dy.astype(np.float64), axis=1)

    def test_small_calls_do_not_ask_for_threads(self, stand_in: StandIn) -> None:
        def never() -> int:
            raise AssertionError

        arrays = NumpyArrays()
        arrays.threads = never  # type: ignore[method-assign]
        x = np.zeros((1, 7), np.float32)
        check(Backend(arrays), Variant("softmax"), x, x, axis=1)

    def test_rows_that_threads_share(self, stand_in: StandIn) -> None:
        arrays = NumpyArrays()
        arrays.threads = lambda: 2  # type: ignore[method-assign]
        backend = Backend(arrays)
        x = np.random.default_rng(8).normal(size=(1, 30)).astype(np.float32)
        assert_same_bits(
            Variant("softmax").weights(backend, x, axis=1),
            Variant("softmax").weights(array_api, x, axis=1),
        )
        # Stage by stage, one block at a time.
        assert [stage for stage, _, _ in stand_in.units] == [0] * 4 + [1] * 4 + [2] * 4
        assert {count for _, _, count in stand_in.units} == {1}
        # Rows enough for all threads stay with one each: its stages follow each other.
        stand_in.units.clear()
        y = Variant("softmax").weights(backend, np.repeat(x, 4, axis=0), axis=1)
        assert sorted(unit for stage, unit, _ in stand_in.units if stage == 1) == [*range(16)]
        for row in range(4):
            stages = [stage for stage, unit, _ in stand_in.units if unit % 4 == row]
            assert stages == [0] * 4 + [1] * 4 + [2] * 4
        assert_same_bits(y[:1], y[3:])


def test_what_is_kept_is_limited(monkeypatch: pytest.MonkeyPatch, stand_in: StandIn) -> None:
    monkeypatch.setattr(_rows, "_KEPT_CALLS", 3)
    kernels = RowKernels(NumpyArrays())
    for length in range(1, 9):
        x = np.zeros((1, length))
        assert kernels.weights("softmax", 1, None, x, None, None, None, None, None) is not None
        assert len(kernels._prepared) <= 3
