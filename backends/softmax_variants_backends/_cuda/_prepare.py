"""What a call needs beside addresses and numbers: its kernels, and all that they are told.

It follows from the function and the layouts of the arrays, so calls alike share it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from softmax_variants_backends._numbers import log_words

from . import _sums
from ._call import TYPES, tail
from ._launch import Layout, Module
from ._plan import ITEM_SIZES, SCRATCH_BYTES, Array, plan_of

if TYPE_CHECKING:
    from ._launch import Launcher
    from ._plan import Plan

__all__ = ["Case", "Launch", "ParameterSums", "Prepared", "prepare"]

_STORAGES = {"float16": "Half", "bfloat16": "Bfloat", "float32": "Float", "float64": "Double"}
_SUMS = Module("")

_RECORD = 8
"""Doubles that a part, or a whole row, leaves for the next launch of split rows."""
_SPLIT_ROW_THREADS = 256
"""Threads that combine the parts of a split row."""


class Case(NamedTuple):
    """A function, and the arrays that it is called with as far as layouts go."""

    function: str
    axis: int
    form: str | None
    detach_extrema: bool
    x: Array
    dy: Array | None
    out: Array
    mask: Array | None
    parameters: tuple[Layout | None, ...]
    """SSMax's s, b and n; None for numbers."""
    counted: bool
    """Whether n is neither an array nor a number."""


class Launch(NamedTuple):
    kernel: Any
    grid: int
    block: int
    shared: int
    tail: bytes


class ParameterSums(NamedTuple):
    """The sums that make ds and db, ready to be packed; each in the order (ds, db)."""

    kernel: Any
    columns: int
    """Doubles that hold the rows' terms of one."""
    partial_sums: tuple[int, int]
    """Doubles between two launches."""
    results: tuple[tuple[tuple[int, ...], str], tuple[tuple[int, ...], str]]
    """Shapes and dtypes."""
    first: tuple[bytes, bytes]
    last: tuple[bytes, bytes]
    blocks: tuple[int, int]
    """Of the two launches; there may be no second one."""


class Prepared(NamedTuple):
    """What a call needs beside addresses and numbers."""

    launches: tuple[Launch, ...]
    records: int
    """Doubles of workspace."""
    log_length: tuple[float, float]
    sums: ParameterSums | None


def prepare(launcher: Launcher, case: Case) -> Prepared | None:
    """Return what calls of a case need, None if the kernels do not take it.

    Raises
    ------
    CompileError
        If the kernels do not compile.
    """
    if not _takes(case):
        return None
    plan = plan_of(
        case.x,
        case.out,
        axis=case.axis,
        limits=launcher.limits,
        dy=case.dy,
        mask=case.mask,
        parameters=case.parameters,
    )
    if plan is None:
        return None
    path = plan.path
    parts = 0 if path.split else path.parts
    module = Module(_STORAGES[plan.dtype], case.function, case.dy is not None, parts, *plan.known)
    sums = None
    if module.function == "ssmax" and module.gradients:
        sums = _prepare_sums(launcher, plan, case)
        if sums is None:
            return None

    def launch(name: str, *, stage: int = 0, combine: bool = False) -> Launch:
        # Records of parts are combined by threads of their own, without the rows.
        shared = SCRATCH_BYTES if combine else plan.shared
        return Launch(
            launcher.kernel(module, name, shared),
            plan.rows if combine else plan.grid,
            _SPLIT_ROW_THREADS if combine else plan.threads,
            shared,
            tail(
                plan,
                form=case.form,
                detach_extrema=case.detach_extrema,
                types=[None if own is None else own.dtype for own in case.parameters],
                counted=case.counted,
                stage=stage,
            ),
        )

    launches: list[Launch]
    if path.split:
        stages = (0, 1) if case.counted else (0,)
        launches = [
            launch(name, stage=stage, combine=name == "split_rows")
            for stage in stages
            for name in ("split_parts", "split_rows")
        ]
        launches.append(launch("split_write"))
    else:
        launches = [launch("rows" if path.parts == 1 else f"rows_{path.parts}")]
    return Prepared(
        launches=tuple(launches),
        records=plan.rows * (path.parts + 1) * _RECORD if path.split else 0,
        log_length=log_words(plan.length),
        sums=sums,
    )


def _prepare_sums(launcher: Launcher, plan: Plan, case: Case) -> ParameterSums | None:
    shape = case.x.layout.shape
    number = Layout((), (), plan.dtype)
    ds, db = (own or number for own in case.parameters[:2])
    ds_sum, db_sum = (
        _sums.sum_of(own, shape, case.axis, plan.axes.row_strides) for own in (ds, db)
    )
    if ds_sum is None or db_sum is None:
        return None
    words = 2 if plan.dtype == "float64" else 1
    low = plan.rows if words == 2 else 0
    return ParameterSums(
        kernel=launcher.kernel(_SUMS, "sum_terms", _sums.SUM_SHARED),
        columns=words * plan.rows,
        partial_sums=(2 * ds_sum.partial_sums, 2 * db_sum.partial_sums),
        results=((ds.shape, ds.dtype), (db.shape, db.dtype)),
        first=(ds_sum.first(low=low), db_sum.first(low=low)),
        last=(ds_sum.last(), db_sum.last()),
        blocks=(ds_sum.blocks + db_sum.blocks, ds_sum.last_blocks + db_sum.last_blocks),
    )


def _takes(case: Case) -> bool:
    """Return whether the kernels read and write these arrays, as they are described.

    Whoever calls past the public functions may bring anything.
    """
    shape, _, dtype = case.x.layout
    if dtype not in ITEM_SIZES or 0 in shape:
        return False
    for own in (case.x, case.dy, case.out):
        if own is None:
            continue
        if (own.layout.shape, own.layout.dtype) != (shape, dtype):
            return False
        if own.offset % ITEM_SIZES[dtype] != 0:
            return False
    if case.mask is not None:
        mask = case.mask.layout
        if mask.dtype != "bool" or not _broadcasts(mask.shape, shape):
            return False
    rows = (*shape[: case.axis], 1, *shape[case.axis + 1 :])
    return all(
        own is None or (own.dtype in TYPES and _broadcasts(own.shape, rows))
        for own in case.parameters
    )


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    return len(shape) <= len(target) and all(
        own in (1, full) for own, full in zip(reversed(shape), reversed(target), strict=False)
    )
