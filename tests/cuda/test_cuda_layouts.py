"""A row has the same bits in every layout, batch, form of mask and order of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from backend_support.variants import VARIANTS, Variant
from cuda_support.emulated_backend import EmulatedBackend
from cuda_support.emulated_launcher import (
    EAGER,
    HOPPER,
    EmulatedLauncher,
    NumpyLauncher,
    holding,
)
from softmax_variants_backends._cuda._plan import ITEM_SIZES, path_of

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}

ANY = EmulatedBackend(EmulatedLauncher())
BACKWARDS = EmulatedBackend(EmulatedLauncher(backwards=True))
# Kernels compiled for the length of a row. Of the layouts below, those of which not all accesses
# are whole vectors are still for the kernels of any length.
KNOWING = EmulatedBackend(EmulatedLauncher(EAGER))
KNOWING_BACKWARDS = EmulatedBackend(EmulatedLauncher(EAGER, backwards=True))
OF_NUMPY = EmulatedBackend(NumpyLauncher())

# One size of cluster for each function and direction, as short rows as give it.
SHARED = EmulatedBackend(EmulatedLauncher(holding(HOPPER, 32)))
SHARED_BACKWARDS = EmulatedBackend(EmulatedLauncher(holding(HOPPER, 32), backwards=True))
SHARED_LENGTHS = {"softmax": 50, "ssmax": 120, "sa_softmax": 250}

ROWS, LENGTH = 7, 40  # whole vectors of every dtype
# Several rows a warp; several warps a row.
KNOWN = [("bfloat16", 64), ("float16", 4096), ("float32", 64), ("float32", 1024)]


def base(dtype: str, length: int = LENGTH) -> tuple[Tensor, Tensor, Tensor]:
    """Return x with ties, dy, and a mask, in C order and aligned."""
    random = np.random.default_rng(length)
    x = np.round(random.normal(size=(ROWS, length)) * 4, 1)
    where = random.random(x.shape) < 0.7
    x[0], where[1] = 0.5, False  # equal entries; an empty row
    dy = random.normal(size=x.shape)
    like = DTYPES[dtype]
    return torch.from_numpy(x).to(like), torch.from_numpy(dy).to(like), torch.from_numpy(where)


def bits(value: Any) -> Any:
    """Return what is compared: numbers of as many bits."""
    if isinstance(value, torch.Tensor):
        size = {2: torch.int16, 4: torch.int32, 8: torch.int64}[value.element_size()]
        return value.contiguous().view(size).numpy()
    return np.ascontiguousarray(value).view(f"i{value.itemsize}")


def same_bits(found: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(np.array_equal(bits(own), bits(other)) for own, other in pairs)


def by_row(variant: Variant, backend: Any, x: Any, dy: Any, **options: Any) -> tuple[Any, ...]:
    """Return y and dx: ds and db are sums over rows."""
    s = options.pop("s", 0.3)
    y = variant.weights(backend, x, s=s, b=0.2, **options)
    return y, variant.gradients(backend, x, dy, s=s, b=0.2, **options)[0]


# Each returns a tensor of the same entries, laid out in another way.


def unaligned(values: Tensor) -> Tensor:
    room = torch.empty(values.numel() + 1, dtype=values.dtype)
    return room[1:].view(values.shape).copy_(values)


def rows_apart(values: Tensor) -> Tensor:
    """Rows with something between them that is NaN, and aligned still."""
    room = torch.full((values.shape[0], values.shape[1] + 16), torch.nan).to(values.dtype)
    return room[:, : values.shape[1]].copy_(values)


def rows_unaligned(values: Tensor) -> Tensor:
    """Rows of which every second one is not aligned."""
    room = torch.full((values.shape[0], values.shape[1] + 1), torch.nan).to(values.dtype)
    return room[:, :-1].copy_(values)


def columns(values: Tensor) -> Tensor:
    """Neighbouring rows, not entries, are neighbours in memory."""
    return values.t().contiguous().t()


def every_second(values: Tensor) -> Tensor:
    room = torch.full((values.shape[0], 2 * values.shape[1]), torch.nan).to(values.dtype)
    return room[:, ::2].copy_(values)


LAYOUTS = (unaligned, rows_apart, rows_unaligned, columns, every_second)

SOME = (VARIANTS[0], VARIANTS[1], VARIANTS[-2])
"""One variant of each function."""


EVERY_CASE = [
    pytest.param(backend, variant, dtype, length, id=f"{variant}-{dtype}-{length}")
    for backend, variants, lengths in (
        (ANY, VARIANTS, [(dtype, LENGTH) for dtype in DTYPES]),
        (KNOWING, SOME, KNOWN),
    )
    for variant in variants
    for dtype, length in lengths
]


@pytest.mark.parametrize(("backend", "variant", "dtype", "length"), EVERY_CASE)
def test_layouts(backend: Any, variant: Variant, dtype: str, length: int) -> None:
    x, dy, where = base(dtype, length)
    for mask in (None, where):
        expected = by_row(variant, backend, x, dy, axis=1, where=mask)
        for of_x in LAYOUTS:
            assert same_bits(by_row(variant, backend, of_x(x), dy, axis=1, where=mask), expected), (
                of_x
            )
        for of_dy, of_mask in zip(LAYOUTS, reversed(LAYOUTS), strict=True):
            found = by_row(
                variant,
                backend,
                rows_apart(x),
                of_dy(dy),
                axis=1,
                where=None if mask is None else of_mask(mask),
            )
            assert same_bits(found, expected), (of_dy, of_mask)


@pytest.mark.parametrize(("backend", "variant", "dtype", "length"), EVERY_CASE)
def test_axes_and_batches(backend: Any, variant: Variant, dtype: str, length: int) -> None:
    x, dy, where = base(dtype, length)
    y, dx = by_row(variant, backend, x, dy, axis=1, where=where)
    # Along the first axis, of arrays that have it outermost or innermost.
    for lay in (torch.Tensor.contiguous, columns):
        found = by_row(variant, backend, lay(x.t()), dy.t(), axis=0, where=where.t())
        assert same_bits(tuple(own.t() for own in found), (y, dx)), lay
    # Alone, and among so many that several blocks have them.
    alone = by_row(variant, backend, x[2:3], dy[2:3], axis=1, where=where[2:3])
    assert same_bits(alone, (y[2:3], dx[2:3]))
    many = [own.repeat(13, 1) for own in (x, dy, where)]
    found = by_row(variant, backend, many[0], many[1], axis=1, where=many[2])
    assert same_bits(found, (y.repeat(13, 1), dx.repeat(13, 1)))
    # Rows in three dimensions that no strides can merge; a stride of 0.
    cubes = [own.repeat(4, 1, 1).transpose(0, 1) for own in (x, dy, where)]
    found = by_row(variant, backend, cubes[0], cubes[1], axis=2, where=cubes[2])
    assert same_bits(tuple(own[:, 1] for own in found), (y, dx))
    wide = [own[:, None].expand(-1, 3, -1) for own in (x, dy, where)]
    found = by_row(variant, backend, wide[0], wide[1], axis=2, where=wide[2])
    assert same_bits(tuple(own[:, 2] for own in found), (y, dx))


@pytest.mark.parametrize(("backend", "variant", "dtype", "length"), EVERY_CASE)
def test_masks(backend: Any, variant: Variant, dtype: str, length: int) -> None:
    x, dy, _ = base(dtype, length)
    of_entries = torch.arange(length) % 3 != 0
    of_rows = (torch.arange(ROWS) % 2 != 0)[:, None]
    hidden = torch.full((), -torch.inf).to(x.dtype)
    for mask in (of_entries, of_entries[None], of_rows, torch.tensor(True), unaligned(of_entries)):
        expected = by_row(variant, backend, torch.where(mask, x, hidden), dy, axis=1, where=None)
        assert same_bits(by_row(variant, backend, x, dy, axis=1, where=mask), expected)
        # What is absent may hold anything.
        poisoned = torch.where(mask, x, x.new_tensor(torch.nan))
        cotangent = torch.where(mask, dy, dy.new_tensor(torch.nan))
        assert same_bits(
            by_row(variant, backend, poisoned, cotangent, axis=1, where=mask), expected
        )
    everything = by_row(variant, backend, x, dy, axis=1, where=None)
    shown = torch.ones(x.shape, dtype=torch.bool)
    assert same_bits(by_row(variant, backend, x, dy, axis=1, where=shown), everything)


@pytest.mark.parametrize(("backend", "variant", "dtype", "length"), EVERY_CASE)
def test_out(backend: Any, variant: Variant, dtype: str, length: int) -> None:
    x, dy, where = base(dtype, length)
    y, _ = by_row(variant, backend, x, dy, axis=1, where=where)
    options = {"s": 0.3, "b": 0.2, "axis": 1, "where": where}
    for lay in LAYOUTS:
        out = lay(torch.zeros_like(x))
        assert variant.weights(backend, x, out=out, **options) is out
        assert same_bits((out,), (y,)), lay
    # Entries between rows, before the first and after the last, are not ours.
    for width in (length + 16, length + 1):
        room = torch.full((ROWS + 2, width), 7.0).to(x.dtype)
        variant.weights(backend, x, out=room[1:-1, :length], **options)
        assert same_bits((room[1:-1, :length],), (y,))
        room[1:-1, :length] = 7.0
        assert bool((room == 7.0).all())
    own = x.clone()
    variant.weights(backend, own, out=own, **options)
    assert same_bits((own,), (y,))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_negative_strides(variant: Variant, dtype: str) -> None:
    x, dy, where = (own.numpy() for own in base(dtype))
    expected = by_row(variant, OF_NUMPY, x, dy, axis=1, where=where)
    turned = [np.ascontiguousarray(own[::-1, ::-1])[::-1, ::-1] for own in (x, dy, where)]
    found = by_row(variant, OF_NUMPY, turned[0], turned[1], axis=1, where=turned[2])
    assert same_bits(found, expected)
    out = np.zeros_like(x)
    variant.weights(OF_NUMPY, x, out=out[::-1, ::-1], s=0.3, b=0.2, axis=1, where=where)
    assert same_bits((out[::-1, ::-1],), expected[:1])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("variant", SOME, ids=str)
def test_layouts_of_rows_of_a_cluster(variant: Variant, dtype: str) -> None:
    length = SHARED_LENGTHS[variant.function]
    x, dy, where = base(dtype, length)
    expected = by_row(variant, SHARED, x, dy, axis=1, where=where)
    for of_x, of_dy in ((unaligned, columns), (columns, rows_apart), (rows_unaligned, unaligned)):
        found = by_row(variant, SHARED, of_x(x), of_dy(dy), axis=1, where=columns(where))
        assert same_bits(found, expected), (of_x, of_dy)
        out = of_dy(torch.zeros_like(x))
        variant.weights(SHARED, of_x(x), out=out, s=0.3, b=0.2, axis=1, where=where)
        assert same_bits((out,), expected[:1]), (of_x, of_dy)
        own = of_x(x)
        variant.weights(SHARED, own, out=own, s=0.3, b=0.2, axis=1, where=where)
        assert same_bits((own,), expected[:1]), of_x


def assert_same_backwards(
    variant: Variant, dtype: str, forwards: Any, backwards: Any, length: int
) -> None:
    x, dy, where = base(dtype, length)
    options: dict[str, Any] = {"s": x[:, :1].clone(), "b": 0.2, "axis": 1, "where": where}
    for lay in (torch.Tensor.contiguous, columns):
        first, second = (
            (
                variant.weights(own, lay(x), **options),
                *variant.gradients(own, lay(x), dy, **options),
            )
            for own in (forwards, backwards)
        )
        assert same_bits(first, second)


@pytest.mark.parametrize("length", [3, 700])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_order_of_threads_of_a_block(variant: Variant, dtype: str, length: int) -> None:
    assert_same_backwards(variant, dtype, ANY, BACKWARDS, length)


@pytest.mark.parametrize(("dtype", "length"), KNOWN)
@pytest.mark.parametrize("variant", SOME, ids=str)
def test_known_lengths(variant: Variant, dtype: str, length: int) -> None:
    """Kernels that know the length of the rows, and those for any, give the same bits."""
    x, dy, where = base(dtype, length)
    for mask in (None, where, where[0]):
        expected = by_row(variant, ANY, x, dy, axis=1, where=mask)
        assert same_bits(by_row(variant, KNOWING, x, dy, axis=1, where=mask), expected)
        assert same_bits(by_row(variant, KNOWING_BACKWARDS, x, dy, axis=1, where=mask), expected)


@pytest.mark.parametrize(("dtype", "length"), KNOWN)
@pytest.mark.parametrize(("s", "b"), [(0.3, 0.2), (-0.3, 0.2), (0.0, 0.0)])
def test_known_lengths_at_any_scale(dtype: str, length: int, s: float, b: float) -> None:
    """An absent entry's -inf meets a scale of 0 or less, and the sums of ds and db."""
    ssmax = VARIANTS[1]
    assert ssmax.function == "ssmax"
    x, dy, where = base(dtype, length)
    for mask in (None, where):
        results = [
            (
                ssmax.weights(backend, x, s=s, b=b, axis=1, where=mask),
                *ssmax.gradients(backend, x, dy, s=s, b=b, axis=1, where=mask),
            )
            for backend in (KNOWING, ANY)
        ]
        assert same_bits(*results)
        absent = x == -torch.inf if mask is None else (x == -torch.inf) | ~mask
        assert not results[0][0][absent].any()
        assert not results[0][1][absent].any()


def test_known_lengths_are_of_every_kind() -> None:
    plans = [path_of(length, ITEM_SIZES[dtype], EAGER, gradients=False) for dtype, length in KNOWN]
    assert all(path.special for path in plans)
    kinds = {(path.kept, path.lanes > 32) for path in plans}
    assert kinds == {(1, False), (1, True), (2, False), (2, True)}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_order_of_threads_of_a_cluster(variant: Variant, dtype: str) -> None:
    length = SHARED_LENGTHS[variant.function]
    assert_same_backwards(variant, dtype, SHARED, SHARED_BACKWARDS, length)


def test_nothing_beyond_the_arrays_is_accessed() -> None:
    """In a process of its own: it would not survive."""
    command = [sys.executable, "-m", "cuda_support.guarded_rows"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout[-5:]) == (0, "done\n"), done.stdout[-200:] + done.stderr
