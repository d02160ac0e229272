"""From shapes to paths: how many threads and blocks share a row, and where the row is kept.

A row's tree of sums follows from its length, the dtype, the direction and the device, never from
the layout, so its bits do too. The layout decides how memory is read and how many rows a block has.
All that may be tuned is in this file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from softmax_variants_backends._axes import broadcast_strides, row_axes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from softmax_variants_backends._axes import RowAxes

    from ._launch import Layout, Limits

__all__ = ["ITEM_SIZES", "Access", "Array", "Path", "Plan", "path_of", "plan_of"]

ITEM_SIZES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}

VECTOR_BYTES = 16
MAX_PARTS = 16
"""Blocks of a cluster."""
WARP = 32
MAX_WARPS = 32
"""Of a block."""

ARRAYS = {False: 1, True: 2}
"""Arrays that a row has in shared memory: x, for gradients also dy."""
KEPT = {(2, False): 2, (4, False): 1, (2, True): 2}
"""By item size and direction: how many times a row's memory the exponentials take, where they are
kept there from the sum to the result. Elsewhere they are evaluated again: that takes less time than
the memory would cost in rows that a multiprocessor works on at once."""
KEPT_PARTS = {(2, False): 16, (4, False): 16, (2, True): 8}
"""Parts of a row, at most, where they are kept."""

LANE_VECTORS = {
    (2, False): ((8, 2), (64, 4)),
    (4, False): ((8, 2), (512, 4)),
    (2, True): ((64, 2), (1024, 4)),
    (4, True): ((128, 4),),
}
"""Vectors that a lane has, for rows or parts of so many vectors at most; 8 for longer ones. With
few, threads of a warp have more rows; with many, what is done once a row and thread counts less."""
MOST_LANE_VECTORS = 8
MAX_LANES = 512
SMALL_BLOCK = 256
"""Threads that kernels which know their rows are compiled for, if a row has no more lanes."""

BLOCK_THREADS = 128
"""About as many threads as a block of several rows has."""
STRIDED_BYTES = 32
"""What is read at a time, at least, where rows are neighbours in memory and entries are not."""
STRIDED_THREADS = {2: 1024, 4: 1024, 8: 512}
STRIDED_SHARED = 200 * 1024
"""What a block may take for that."""

MAX_GRID = 2**31 - 1
MAX_LENGTH = 2**31 - 1


class Array(NamedTuple):
    """An operand: its layout, and its address modulo 16."""

    layout: Layout
    offset: int = 0


@dataclass(frozen=True)
class Path:
    """How rows of a length are shared out."""

    lanes: int
    """Threads of a block that share a row, or its part."""
    parts: int
    """Blocks that share a row."""
    part_length: int
    """Entries of a part, in whole vectors."""
    vectors: int
    """Vectors of a part for each lane."""
    split: bool
    """Whether parts are blocks of separate launches, rather than of a cluster."""
    kept: int
    """Times an array's memory that the exponentials kept take; 0: they are evaluated again."""
    arrays: int
    """Arrays that are loaded: x, or x and dy."""
    special: bool
    """Whether kernels may be compiled for such rows: all lanes have as many vectors, and few."""
    array_bytes: int
    """Shared memory of one of them; 0: it is read from global memory again."""

    @property
    def row_bytes(self) -> int:
        """Shared memory of a row, or its part."""
        return self.array_bytes * (self.arrays + self.kept)


@dataclass(frozen=True)
class Access:
    """How a kernel walks one array."""

    strides: tuple[int, ...]
    step: int
    """Stride along the row."""
    vector: bool
    """Whether rows can be accessed 16 bytes at a time (of a mask: a vector's entries at once)."""
    rows_first: bool
    """Whether neighbouring rows are closer in memory than neighbouring entries."""


@dataclass(frozen=True)
class Plan:
    """All that follows from shapes, strides, alignment and the device."""

    dtype: str
    length: int
    axes: RowAxes
    path: Path
    rows_per_block: int
    special: bool
    """Whether the kernels are compiled for such rows, all accessed as vectors."""
    grid: int
    """Blocks of a launch."""
    x: Access
    dy: Access | None
    out: Access
    mask: Access | None
    parameters: tuple[tuple[int, ...] | None, ...]
    """Strides of s, b and n; None where it is no array."""

    @property
    def known(self) -> tuple[int, int]:
        """What kernels for such arrays are compiled for: lanes and vectors, 0 for any."""
        return (self.path.lanes, self.path.vectors) if self.special else (0, 0)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.axes.rows

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.path.lanes * self.rows_per_block

    @property
    def shared(self) -> int:
        """Dynamic shared memory of a block."""
        path, scratch = self.path, SCRATCH_BYTES
        arrays = path.arrays + path.kept
        if self.special:
            parts = path.parts if path.parts > 1 else 0
            scratch = scratch_bytes(max(path.lanes, SMALL_BLOCK) // WARP, parts)
            # 16-bit weights are kept in the place of the logits, too.
            arrays -= path.kept > 1 and path.arrays == 1
        return scratch + self.rows_per_block * path.array_bytes * arrays


def scratch_bytes(warps: int, parts: int) -> int:
    """Return the shared memory that reductions over so many warps and parts take.

    In groups.cuh, too: two buffers for 6 doubles of each, and two mailboxes.
    """
    return -(-16 * (6 * (warps + parts) + 1) // 256) * 256


SCRATCH_BYTES = scratch_bytes(MAX_WARPS, MAX_PARTS)
"""The same in modules that do not know their rows."""


def path_of(length: int, item_size: int, limits: Limits, *, gradients: bool) -> Path:
    """Return how rows of a length are shared out; the same for all layouts."""
    kind = item_size, gradients
    capacity = limits.capacity[gradients]

    def fits(path: Path) -> bool:
        return path.row_bytes <= _room(limits)

    while not fits(_path(capacity, 1, kind)):
        capacity //= 2

    def candidates() -> Iterator[Path]:
        # What is kept may take more room than there is: rows are rather not split for it.
        kept = (True, False)
        # 16-bit weights, which are read in half the time, gain from twice as many entries a block,
        # and are kept in little memory. In parts, half as many of 32 bits were the fastest.
        narrow = kind == (2, False)
        if length <= (2 * capacity if narrow else capacity):
            yield from (_path(length, 1, kind, kept=own) for own in kept)
        if clusters and length <= MAX_PARTS * 2 * capacity:
            entries = capacity // 2 if item_size == 4 else capacity
            parts = min(_power_of_two(-(-length // entries)), MAX_PARTS)
            if narrow or length <= parts * capacity:
                yield _path(length, parts, kind, kept=True)
            yield _path(length, parts, kind)

    clusters = limits.capability >= (9, 0)
    found = next(filter(fits, candidates()), None)
    if found is not None:
        return found
    if item_size == 8:
        return replace(_path(length, MAX_PARTS if clusters else 1, kind), array_bytes=0)
    parts = -(-length // capacity)
    # Whole vectors a part: the last parts may have nothing left.
    parts = -(-length // _path(length, parts, kind).part_length)
    return _path(length, parts, kind, split=True)


def _path(
    length: int, parts: int, kind: tuple[int, bool], *, kept: bool = False, split: bool = False
) -> Path:
    item_size, gradients = kind
    entries = VECTOR_BYTES // item_size
    row_vectors = -(-length // entries)
    part_vectors = -(-row_vectors // parts)
    if parts == 1:
        table = LANE_VECTORS.get(kind, ())
        each = next((few for most, few in table if part_vectors <= most), MOST_LANE_VECTORS)
    else:
        each = MOST_LANE_VECTORS
    lanes = min(MAX_LANES, _power_of_two(-(-part_vectors // each)))
    if parts > 1:
        lanes = max(lanes, WARP)  # parts are summed by warps
    vectors = -(-part_vectors // lanes)
    whole = parts * lanes * vectors * entries == length
    return Path(
        lanes=lanes,
        parts=parts,
        part_length=part_vectors * entries,
        vectors=vectors,
        split=split,
        kept=KEPT[kind] if kept and parts <= KEPT_PARTS.get(kind, 0) else 0,
        arrays=ARRAYS[gradients],
        special=whole and item_size < 8 and not split and vectors <= MOST_LANE_VECTORS,
        array_bytes=vectors * lanes * VECTOR_BYTES,
    )


def plan_of(
    x: Array,
    out: Array,
    *,
    axis: int,
    limits: Limits,
    dy: Array | None = None,
    mask: Array | None = None,
    parameters: Sequence[Layout | None] = (None, None, None),
) -> Plan | None:
    """Return the plan of a call, None if kernels cannot take it: too many axes, blocks, entries.

    ``dy`` is there for gradients; ``parameters`` are the layouts of s, b and n.
    """
    shape = x.layout.shape
    item_size = ITEM_SIZES[x.layout.dtype]
    length = shape[axis]
    operands = [own for own in (x, out, dy, mask) if own is not None]
    layouts = [own.layout for own in operands] + [own for own in parameters if own is not None]
    strides = [broadcast_strides(own.shape, own.strides, shape) for own in layouts]
    axes = row_axes(shape, axis, strides)
    if axes is None or length > MAX_LENGTH:
        return None
    walks = iter(zip(axes.strides, (own[axis] for own in strides), strict=True))
    entries = VECTOR_BYTES // item_size

    def access(array: Array, per_vector: int, alignment: int) -> Access:
        own, step = next(walks)
        if length == 1:
            step = 1
        even = all(stride % per_vector == 0 for stride in own)
        vector = step == 1 and array.offset % alignment == 0 and even
        return Access(own, step, vector, rows_first=0 < abs(own[-1]) < abs(step))

    x_access, out_access = (access(own, entries, VECTOR_BYTES) for own in (x, out))
    dy_access = None if dy is None else access(dy, entries, VECTOR_BYTES)
    # A vector's bytes of the mask are read in words of 4 bytes (2 for float64).
    word = min(4, entries)
    mask_access = None if mask is None else access(mask, word, word)
    parameter_strides = tuple(None if own is None else next(walks)[0] for own in parameters)

    path = path_of(length, item_size, limits, gradients=dy is not None)
    strided = any(own is not None and own.rows_first for own in (x_access, out_access, dy_access))
    rows = _rows_per_block(path, axes.rows, item_size, limits, strided=strided)
    accessed = (x_access, out_access, *(() if dy_access is None else (dy_access,)))
    special = path.special and all(own.vector for own in accessed)
    # Small arrays are not worth a second's compilation for each new length.
    special = special and axes.rows * length >= limits.worthwhile
    special = special and (path.lanes > SMALL_BLOCK or path.lanes * rows <= SMALL_BLOCK)
    grid = -(-axes.rows // rows) * path.parts
    if grid > MAX_GRID:
        return None
    return Plan(
        dtype=x.layout.dtype,
        length=length,
        axes=axes,
        path=path,
        rows_per_block=rows,
        special=special,
        grid=grid,
        x=x_access,
        dy=dy_access,
        out=out_access,
        mask=mask_access,
        parameters=parameter_strides,
    )


def _rows_per_block(path: Path, rows: int, item_size: int, limits: Limits, *, strided: bool) -> int:
    """Return how many rows a block has: a power of two, whole warps together."""
    if path.parts > 1:
        return 1

    def fitting(wanted: int, threads: int, shared: int) -> int:
        while wanted > 1 and (wanted * path.lanes > threads or wanted * path.row_bytes > shared):
            wanted //= 2
        return wanted

    room = _room(limits)
    found = fitting(min(BLOCK_THREADS // path.lanes or 1, _power_of_two(rows)), BLOCK_THREADS, room)
    if strided:
        wanted = min(STRIDED_BYTES // item_size, _power_of_two(rows))
        found = max(found, fitting(wanted, STRIDED_THREADS[item_size], min(room, STRIDED_SHARED)))
    return max(found, WARP // path.lanes)


def _room(limits: Limits) -> int:
    """Return the shared memory that a block's rows may take."""
    return limits.shared - SCRATCH_BYTES


def _power_of_two(value: int) -> int:
    """Return the least power of two that is not smaller."""
    return 1 << (value - 1).bit_length() if value > 1 else 1
