"""Arguments of the kernels as bytes: ``struct Call`` and ``struct SumCalls`` of call.cuh.

What changes from call to call (addresses, numbers) is at the front and packed anew, the rest is
packed once with the plan. All fields have 8 bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from softmax_variants_backends._axes import MAX_AXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._plan import Access, Plan

__all__ = ["HEAD", "TYPES", "tail"]

HEAD = struct.Struct("=9Q4d")
"""Addresses of x, dy, out, the mask, s, b, n, terms, records; s, b, and two words of ln n."""

TYPES = {
    name: code
    for code, name in enumerate(
        (
            *("float16", "bfloat16", "float32", "float64"),
            *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        )
    )
}
"""Types of s, b and n in memory."""

_FORMS = {None: 0, "plain": 0, "shifted": 1, "minmax": 2, "normalized": 3}
_FROM_NUMBER, _FROM_ARRAY, _FROM_COUNT = range(3)

_TAIL = struct.Struct(f"={30 + 8 * MAX_AXES}q")


def tail(
    plan: Plan,
    *,
    form: str | None,
    detach_extrema: bool,
    types: Sequence[str | None],
    counted: bool,
    stage: int = 0,
) -> bytes:
    """Return what follows the head of a call.

    ``types`` are the dtypes of s, b and n, None for numbers; ``counted`` says that n is neither
    an array nor a number.
    """
    path = plan.path
    sources = [_FROM_NUMBER if name is None else _FROM_ARRAY for name in types]
    if counted:
        sources[2] = _FROM_COUNT
    four = (plan.x, plan.dy, plan.out, plan.mask)
    return _TAIL.pack(
        *sources,
        *(0 if name is None else TYPES[name] for name in types),
        _FORMS[form],
        detach_extrema,
        stage,
        plan.rows,
        plan.length,
        len(plan.axes.sizes),
        path.lanes,
        plan.rows_per_block,
        path.parts,
        path.part_length,
        path.vectors,
        path.array_bytes > 0,
        path.kept > 0,
        *(own is not None and own.vector for own in four),
        *(own is not None and own.rows_first for own in four[:3]),
        *(0 if own is None else own.step for own in four),
        *_padded(plan.axes.sizes, 1),
        *(stride for own in four for stride in _padded(_strides(own))),
        *(stride for own in plan.parameters for stride in _padded(own or ())),
    )


def _strides(access: Access | None) -> tuple[int, ...]:
    return () if access is None else access.strides


def _padded(values: Sequence[int], filler: int = 0) -> tuple[int, ...]:
    return (*values, *(filler,) * (MAX_AXES - len(values)))
