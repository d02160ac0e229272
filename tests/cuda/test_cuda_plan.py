"""From shapes to paths, without a GPU: threads, parts, shared memory, axes, accesses."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softmax_variants_backends._axes import MAX_AXES
from softmax_variants_backends._cuda._launch import Layout, Limits
from softmax_variants_backends._cuda._plan import (
    ITEM_SIZES,
    KEPT,
    MAX_LANES,
    SCRATCH_BYTES,
    SMALL_BLOCK,
    STRIDED_THREADS,
    Array,
    Plan,
    path_of,
    plan_of,
    scratch_bytes,
)

HOPPER = Limits((9, 0), 227 << 10)
AMPERE = Limits((8, 0), 163 << 10)
ADA = Limits((8, 9), 99 << 10)
BLACKWELL_WORKSTATION = Limits((12, 0), 99 << 10)
DEVICES = [HOPPER, AMPERE, ADA, BLACKWELL_WORKSTATION]


def array(
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
    dtype: str = "float32",
    offset: int = 0,
) -> Array:
    if strides is None:
        strides = tuple(prod(shape[i + 1 :]) for i in range(len(shape)))
    return Array(Layout(shape, strides, dtype), offset)


def plan(x: Array, *, axis: int = -1, out: Array | None = None, **rest: object) -> Plan:
    own = array(x.layout.shape, dtype=x.layout.dtype)
    found = plan_of(x, out or own, axis=axis % len(x.layout.shape), **({"limits": HOPPER} | rest))
    assert found is not None
    return found


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("item_size", [2, 4, 8])
@pytest.mark.parametrize("limits", DEVICES, ids=lambda limits: str(limits.capability))
def test_any_length_is_covered_and_fits(limits: Limits, item_size: int, gradients: bool) -> None:
    lengths = {1, 2, 3, 7, 8, 9, 1000, 3 * 2**14, 10**6, 2**24, 2**31 - 1}
    lengths |= {2**k + d for k in range(2, 25) for d in (-1, 0, 1)}
    for length in sorted(lengths):
        path = path_of(length, item_size, limits, gradients=gradients)
        entries = 16 // item_size
        assert path.part_length % entries == 0
        assert path.parts * path.part_length >= length
        if path.split:
            # Every part has something: no block is launched for nothing where there are many.
            assert (path.parts - 1) * path.part_length < length
        assert path.lanes & (path.lanes - 1) == 0
        assert 1 <= path.lanes <= MAX_LANES
        assert path.lanes >= 32 or path.parts == 1
        assert path.vectors * path.lanes * entries >= path.part_length
        assert (path.vectors - 1) * path.lanes * entries < path.part_length
        assert SCRATCH_BYTES + path.row_bytes <= limits.shared
        assert path.split or path.parts <= (16 if limits.capability >= (9, 0) else 1)
        assert path.arrays == 1 + gradients
        assert path.kept in (0, KEPT.get((item_size, gradients), 0))
        assert not (path.kept and path.split)
        # Only rows of float64 are read again from global memory.
        assert path.array_bytes == path.vectors * path.lanes * 16 or (
            path.array_bytes == 0 and item_size == 8
        )


LIMIT = HOPPER.capacity[0]
"""Entries of weights that a block holds."""


@pytest.mark.parametrize(
    ("length", "item_size", "parts", "split"),
    [
        (LIMIT, 4, 1, False),
        (LIMIT + 1, 4, 4, False),  # parts of half as many are faster
        (LIMIT + 1, 8, 2, False),
        (2 * LIMIT + 1, 2, 4, False),
        (16 * LIMIT, 8, 16, False),
        (16 * LIMIT + 1, 2, 16, False),
        (32 * LIMIT, 4, 16, False),
        (32 * LIMIT + 1, 4, 33, True),
        (10**7, 8, 16, False),
    ],
)
def test_paths_of_a_hopper(length: int, item_size: int, parts: int, split: bool) -> None:
    path = path_of(length, item_size, HOPPER, gradients=False)
    assert (path.parts, path.split) == (parts, split)
    assert (path.array_bytes == 0) == (length == 10**7)


def test_gradients_have_a_limit_of_their_own() -> None:
    limits = replace(HOPPER, capacity=(4096, 1024))
    assert path_of(4096, 4, limits, gradients=False).parts == 1
    assert path_of(4096, 4, limits, gradients=True).parts == 8


@pytest.mark.parametrize("limits", [AMPERE, ADA])
def test_no_clusters_before_hopper(limits: Limits) -> None:
    limit = limits.capacity[0]
    assert path_of(limit // 2, 4, limits, gradients=False).parts == 1
    assert path_of(limit + 1, 4, limits, gradients=False).split
    own = path_of(10**6, 8, limits, gradients=False)
    assert (own.parts, own.array_bytes) == (1, 0)


def test_blocks_hold_less_where_there_is_less_room() -> None:
    """A row of 16384 in binary64 has 128 KiB, which Ada's 99 do not hold; half of it they do."""
    for limits, fits in ((AMPERE, True), (ADA, False)):
        wide = replace(limits, capacity=(16384, 16384))
        assert (path_of(16384, 8, wide, gradients=False).array_bytes > 0) == fits
        assert path_of(8192, 8, wide, gradients=False).array_bytes > 0
    assert path_of(16384, 8, replace(ADA, capability=(12, 0)), gradients=False).parts == 2


@pytest.mark.parametrize("item_size", [2, 4])
def test_rows_are_not_split_for_what_is_kept(item_size: int) -> None:
    """Weights have the same bits where exponentials are evaluated again, and take less room."""
    wide = replace(ADA, capacity=(16384, 16384))
    path = path_of(16384, item_size, wide, gradients=False)
    assert (path.parts, path.split, path.kept) == (1, False, 0)
    assert path_of(4096, item_size, wide, gradients=False).kept > 0
    assert path_of(16384, item_size, replace(wide, shared=227 << 10), gradients=False).kept > 0


@given(
    length=st.integers(1, 70000),
    dtype=st.sampled_from(sorted(ITEM_SIZES)),
    rows=st.integers(1, 5000),
    strided=st.booleans(),
    offset=st.sampled_from([0, 8]),
    backward=st.booleans(),
)
def test_the_tree_follows_from_the_length_alone(
    length: int, dtype: str, rows: int, strided: bool, offset: int, backward: bool
) -> None:
    shape = (rows, length)
    x = array(shape, (1, rows) if strided else (length, 1), dtype, offset)
    dy = array(shape, dtype=dtype) if backward else None
    found = plan(x, dy=dy)
    item_size = ITEM_SIZES[dtype]
    assert found.path == path_of(length, item_size, HOPPER, gradients=backward)
    assert found.threads % 32 == 0
    assert found.threads <= max(MAX_LANES, STRIDED_THREADS[item_size])
    assert found.shared <= HOPPER.shared
    assert found.rows_per_block & (found.rows_per_block - 1) == 0
    assert found.grid == -(-rows // found.rows_per_block) * found.path.parts


WHOLE = [(length, dtype) for length in (64, 1024, 4096) for dtype in ("float16", "float32")]


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("length", "dtype"), WHOLE)
def test_many_rows_of_whole_vectors_get_kernels_of_their_own(
    length: int, dtype: str, backward: bool
) -> None:
    def known(rows: int, limits: Limits = HOPPER, **options: object) -> tuple[int, int]:
        x = array((rows, length), dtype=dtype, **options)
        return plan(x, dy=array((rows, length), dtype=dtype) if backward else None, **more).known

    more: dict[str, object] = {}
    path = path_of(length, ITEM_SIZES[dtype], HOPPER, gradients=backward)
    enough = HOPPER.worthwhile // length
    assert known(enough) == (path.lanes, path.vectors)
    # Few entries are not worth a compilation; others are not accessed 16 bytes at a time.
    assert known(enough - 1) == (0, 0)
    assert known(enough, offset=2) == (0, 0)
    assert known(enough, strides=(1, enough)) == (0, 0)
    more["limits"] = replace(HOPPER, worthwhile=0)
    assert known(1) == (path.lanes, path.vectors)


def test_lengths_without_kernels_of_their_own() -> None:
    eager = replace(HOPPER, worthwhile=0)
    for length, dtype in ((1023, "float32"), (1028, "float16"), (1, "float16"), (1024, "float64")):
        assert plan(array((4, length), dtype=dtype), limits=eager).known == (0, 0)
    # Vectors that only some of the lanes have.
    path = path_of(36, 4, HOPPER, gradients=False)
    assert path.lanes * path.vectors > 9
    assert plan(array((4, 36)), limits=eager).known == (0, 0)


@pytest.mark.parametrize("rows", [1, 5, 4096])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_kernels_that_know_their_rows_take_less_shared_memory(dtype: str, rows: int) -> None:
    eager = replace(HOPPER, worthwhile=0)
    item_size = ITEM_SIZES[dtype]
    special = 0
    for length in (2**k for k in range(3, 18)):
        found = plan(array((rows, length), dtype=dtype), limits=eager)
        path = found.path
        assert path == path_of(length, item_size, HOPPER, gradients=False)
        # What the kernels are compiled for: more threads cannot be launched.
        assert not found.special or found.threads <= max(SMALL_BLOCK, path.lanes)
        if found.special:
            special += 1
            # Floats are kept of 16-bit logits, in their place and once more.
            arrays = {2: 2 if path.kept else 1, 4: 1 + path.kept}[item_size]
            parts = path.parts if path.parts > 1 else 0
            scratch = scratch_bytes(max(SMALL_BLOCK, path.lanes) // 32, parts)
            assert scratch < SCRATCH_BYTES
            assert found.shared == scratch + found.rows_per_block * path.array_bytes * arrays
        # Where not all accesses are whole vectors, the same rows are for the others.
        for other in (
            array((rows, length), dtype=dtype, offset=2),
            array((rows, length), (1, max(rows, 2)), dtype),
        ):
            apart = plan(other, limits=eager)
            assert apart.path == path
            assert apart.shared == SCRATCH_BYTES + apart.rows_per_block * path.row_bytes
    assert special > 0


def test_rows_next_to_each_other() -> None:
    """Along the first axis neighbouring rows are read together: 32 bytes at a time if possible."""
    found = plan(array((1024, 8192)), axis=0)
    assert (found.x.rows_first, found.x.vector, found.x.step) == (True, False, 8192)
    assert found.rows_per_block * 4 >= 32
    # As many as threads and memory allow, and as there are.
    lanes = path_of(8192, 4, HOPPER, gradients=False).lanes
    assert 1 < plan(array((8192, 8192)), axis=0).rows_per_block <= 1024 // lanes
    assert plan(array((1024, 3)), axis=0).rows_per_block == 4
    # Rows are not neighbours where entries are closer, or where they are all the same one.
    assert not plan(array((8192, 4096))).x.rows_first
    assert not plan(array((64, 4096), (0, 1))).x.rows_first


def test_order_of_memory_decides_which_rows_are_neighbours() -> None:
    found = plan(array((8, 16, 100), (1, 8, 128)))
    assert found.axes.sizes == (16, 8)
    assert found.x.rows_first
    assert found.axes.row_strides == (1, 8, 0)


@pytest.mark.parametrize(
    ("x", "vector"),
    [
        (array((6, 64)), True),
        (array((6, 62)), False),  # every other row begins between vectors
        (array((6, 62), (64, 1)), True),  # padded
        (array((1, 62)), True),
        (array((6, 64), offset=4), False),
        (array((6, 64), (64, -1)), False),
        (array((6, 64), (-64, 1)), True),
        (array((6, 64), (0, 1)), True),
        (array((6, 64), (128, 2)), False),
        (array((6, 1), (4, 7)), True),  # the stride of a single entry does not matter
        (array((6, 8), dtype="float16"), True),
        (array((6, 4), dtype="float16"), False),
        (array((6, 2), dtype="float64"), True),
        (array((6, 4), (4, 1), "float64", 8), False),
    ],
)
def test_vector_accesses(x: Array, vector: bool) -> None:
    assert plan(x).x.vector is vector


@pytest.mark.parametrize(
    ("mask", "vector"),
    [
        (array((6, 64), dtype="bool"), True),
        (array((1, 64), (64, 1), "bool"), True),
        (array((64,), dtype="bool"), True),
        (array((6, 1), (1, 1), "bool"), False),
        (array((6, 64), dtype="bool", offset=2), False),
        (array((6, 64), (66, 1), "bool"), False),
        (array((6, 64), (68, 1), "bool"), True),
    ],
)
def test_vector_accesses_of_masks(mask: Array, vector: bool) -> None:
    found = plan(array((6, 64)), mask=mask).mask
    assert found is not None
    assert found.vector is vector


def test_broadcast_operands_have_stride_0() -> None:
    found = plan(
        array((2, 3, 5, 64)),
        mask=array((5, 64), dtype="bool"),
        parameters=(Layout((3, 1, 1), (1, 1, 1), "float32"), None, Layout((), (), "int64")),
    )
    assert found.axes.sizes == (2, 3, 5)
    assert found.mask is not None
    assert found.mask.strides == (0, 0, 64)
    assert found.parameters == ((0, 1, 0), None, (0, 0, 0))
    # What stays the same along axes does not keep them apart.
    alone = plan(array((2, 3, 5, 64)), parameters=(Layout((), (), "float32"), None, None))
    assert alone.axes.sizes == (30,)


def test_too_much_is_not_taken() -> None:
    many = (2,) * (MAX_AXES + 1)
    shape = (*many, 4)
    # Each axis apart from the next in memory, and in the mask.
    strides = tuple(5**k for k in range(len(many), 0, -1))
    mask = array(shape, (*strides, 1), "bool")
    assert plan_of(array(shape), array(shape), axis=9, limits=HOPPER, mask=mask) is None
    assert plan_of(array(shape[1:]), array(shape[1:]), axis=8, limits=HOPPER) is not None
    long = array((1, 2**31))
    assert plan_of(long, long, axis=1, limits=HOPPER) is None
    rows = array((2**31 * 8, 4096), dtype="float64")
    assert plan_of(rows, rows, axis=1, limits=HOPPER) is None
