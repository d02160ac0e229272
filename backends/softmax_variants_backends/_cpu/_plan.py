"""From layouts of arrays to what a kernel is told of them, and how rows are dealt to threads.

The bits of a row do not depend on anything here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from softmax_variants_backends._axes import MAX_AXES, broadcast_strides, row_axes

from . import _layout as fields

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt

    from softmax_variants_backends._axes import Layout, RowAxes

    from ._sums import Order

__all__ = ["Case", "Plan", "plan_of"]

WHOLE_LENGTH = 1 << 19
"""Entries of a row, at most, that one thread takes as a whole: what is kept of longer ones leaves
the caches before it is wanted again."""
GRAIN = 1 << 16
"""Entries that a thread has at least: about the time that it takes to begin."""
PARTS_EACH = 4
"""Parts of a thread's share, for those that come earlier to take more of them."""

_FORMS = {
    None: fields.PLAIN,
    "plain": fields.PLAIN,
    "shifted": fields.SHIFTED,
    "minmax": fields.MINMAX,
    "normalized": fields.NORMALIZED,
}


@dataclass(frozen=True)
class Case:
    """A call, as far as layouts go."""

    axis: int
    form: str | None
    detach_extrema: bool
    x: Layout
    dy: Layout | None
    out: Layout
    mask: Layout | None
    parameters: tuple[Layout | None, ...]
    """SSMax's s, b and n; None for numbers."""
    counted: bool
    """Whether n is neither an array nor a number."""


@dataclass(frozen=True)
class Plan:
    """What calls alike share."""

    layout: npt.NDArray[np.int64]
    """As the kernels read it; see ``_layout.py``. Nobody writes into it."""
    axes: RowAxes
    rows: int
    length: int
    strided: bool
    """Whether neighbouring rows are closer in memory than neighbouring entries."""
    orders: dict[Hashable, tuple[Order, Order]] = field(default_factory=dict)
    """How rows' terms of ds and db are summed, by the shapes of s and b that calls have had."""

    @property
    def blocks(self) -> int:
        """Blocks of a row."""
        return -(-self.length // fields.BLOCK)

    @property
    def group(self) -> int:
        """Rows that are best taken together."""
        return fields.TILE_ROWS if self.strided else 1

    @property
    def most_threads(self) -> int:
        """Threads that have enough to do."""
        return max(1, self.rows * self.length // GRAIN)

    def in_blocks(self, threads: int) -> bool:
        """Return whether rows are evaluated block by block."""
        return self.blocks > 1 and (self.length > WHOLE_LENGTH or self.splits(threads))

    def splits(self, threads: int) -> bool:
        """Return whether threads share the blocks of rows, rather than each having its own rows.

        Rows that are shared are read from memory three times. It is worth that where threads would
        otherwise have to wait for others for as long as they work, or longer.
        """
        groups = -(-self.rows // self.group)
        rounds = -(-groups // threads)
        return threads > 1 and rounds * threads >= 2 * groups

    def step(self, threads: int) -> int:
        """Return how many rows are dealt out at a time."""
        wanted = max(
            -(-self.rows // (threads * PARTS_EACH)), -(-GRAIN // (PARTS_EACH * self.length))
        )
        together = fields.TILE_ROWS
        if self.strided and wanted > fields.BAND_ROWS:
            together = fields.BAND_ROWS
        if self.strided or wanted > together:
            wanted = -(-wanted // together) * together
        return wanted


def plan_of(case: Case) -> Plan | None:
    """Return the plan of a call, None if its arrays have too many axes that cannot be merged."""
    shape, axis = case.x.shape, case.axis
    operands = (case.x, case.dy, case.out, case.mask, *case.parameters)
    strides = {
        k: broadcast_strides(own.shape, own.strides, shape)
        for k, own in enumerate(operands)
        if own is not None
    }
    axes = row_axes(shape, axis, [*strides.values()])
    if axes is None:
        return None
    layout = np.zeros(fields.FIELDS, np.int64)
    layout[fields.ROWS] = axes.rows
    layout[fields.LENGTH] = shape[axis]
    layout[fields.AXES] = len(axes.sizes)
    layout[fields.FORM] = _FORMS[case.form]
    layout[fields.DETACH] = case.detach_extrema
    layout[fields.N_FROM] = fields.FROM_COUNT if case.counted else fields.FROM_NUMBER
    if case.parameters[2] is not None:
        layout[fields.N_FROM] = fields.FROM_ARRAY
    layout[fields.SIZES : fields.SIZES + MAX_AXES] = 1
    layout[fields.SIZES : fields.SIZES + len(axes.sizes)] = axes.sizes
    for k, along_rows in zip(strides, axes.strides, strict=True):
        at = fields.STRIDES + k * MAX_AXES
        layout[at : at + len(along_rows)] = along_rows
        if k <= fields.MASK:
            # A single entry is contiguous.
            layout[fields.STEPS + k] = strides[k][axis] if shape[axis] > 1 else 1
    return Plan(
        layout=layout,
        axes=axes,
        rows=axes.rows,
        length=shape[axis],
        strided=0 < abs(axes.strides[0][-1]) < abs(strides[fields.X][axis]),
    )
