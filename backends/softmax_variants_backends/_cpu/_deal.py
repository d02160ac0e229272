"""Rows dealt to threads: ranges of rows, or blocks of rows that are few and long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _layout as fields
from . import _pool
from ._address import address_of
from ._kernels import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._plan import Plan

__all__ = ["run_blocks", "run_rows"]

_STAGES = range(3)


def run_rows(
    kernel: Callable[..., int], arguments: tuple[Any, ...], plan: Plan, threads: int
) -> int:
    """Run a kernel on all rows, and return how many it left."""
    left: list[int] = []

    def task(begin: int, end: int) -> None:
        left.append(kernel(WHOLE, *arguments, 0, begin, end))

    _pool.run(task, plan.rows, plan.step(threads), threads)
    return sum(left)


def run_blocks(
    kernel: Callable[..., int], arguments: tuple[Any, ...], plan: Plan, threads: int
) -> int:
    """Run a kernel on the blocks of all rows, and return how many rows it left.

    A row's stages follow each other while it is in the cache, unless there are too few rows for
    all threads.
    """
    rows, blocks, group = plan.rows, plan.blocks, plan.group
    records = np.empty(rows * blocks * fields.RECORD)
    arguments = (*arguments, address_of(records))
    left: list[int] = []
    if plan.splits(threads):
        for stage in _STAGES:

            def share(begin: int, end: int, stage: int = stage) -> None:
                left.append(kernel(stage, *arguments, begin, end))

            _pool.run(share, rows * blocks, group, threads)
        return sum(left)

    def task(begin: int, end: int) -> None:
        for first in range(begin, end, group):
            last = min(first + group, end)
            left.extend(
                kernel(stage, *arguments, block + first, block + last)
                for stage in _STAGES
                for block in range(0, rows * blocks, rows)
            )

    _pool.run(task, rows, plan.step(threads), threads)
    return sum(left)
