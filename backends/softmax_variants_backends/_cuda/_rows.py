"""Weights and gradients of the family by the row kernels, for the arrays of any launcher.

A call's plan, kernels and constant arguments are kept under what identifies the layouts of its
arrays; a call like an earlier one only packs addresses and numbers. None is returned for calls
that the kernels do not take, for the caller's other numerics.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from . import _sums
from ._call import HEAD, TYPES, log_words, tail
from ._compile import CompileError
from ._launch import Layout, Module
from ._plan import ITEM_SIZES, SCRATCH_BYTES, Array, plan_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ._launch import Launcher
    from ._plan import Plan

__all__ = ["RowKernels"]

_STORAGES = {"float16": "Half", "bfloat16": "Bfloat", "float32": "Float", "float64": "Double"}
_SUMS = Module("")

_KEPT_CALLS = 4096
_RECORD = 8
"""Doubles that a part, or a whole row, leaves for the next launch of split rows."""
_SPLIT_ROW_THREADS = 256
"""Threads that combine the parts of a split row."""


class _Launch(NamedTuple):
    kernel: Any
    grid: int
    block: int
    shared: int
    tail: bytes


@dataclass(frozen=True, slots=True)
class _ParameterGradient:
    """The gradient of s or b: its shape, and the sums that make it."""

    shape: tuple[int, ...]
    sums: _sums.Sum
    first: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What a call needs beside addresses and numbers."""

    launches: tuple[_Launch, ...]
    records: int
    """Doubles of workspace."""
    log_length: tuple[float, float]
    columns: int
    """Doubles that a row's terms of ds and db have, over all."""
    rows: int
    parameters: tuple[_ParameterGradient, ...]
    sum_terms: Any


_NEW = _Prepared((), 0, (0.0, 0.0), 0, 0, (), None)
"""Stands for what no earlier call has prepared."""


class _Parameters(NamedTuple):
    """SSMax's s, b and n: addresses (0 for numbers), numbers, and what identifies the layouts."""

    addresses: tuple[int, int, int] = (0, 0, 0)
    s: float = 0.0
    b: float = 0.0
    log_n: tuple[float, float] | None = None
    """None if n is counted."""
    kinds: Hashable = None


_NO_PARAMETERS = _Parameters(log_n=(0.0, 0.0))


class RowKernels:
    """The kernels on one device."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._prepared: dict[Hashable, _Prepared | None] = {}
        self._uncompiled: set[Module] = set()

    def weights(
        self,
        function: str,
        axis: int,
        form: str | None,
        x: Any,
        s: Any,
        b: Any,
        n: Any,
        where: Any,
        out: Any,
    ) -> Any | None:
        """Return the weights of ``x``, in ``out`` if given; None if the kernels do not take it."""
        launcher = self._launcher
        found = _NO_PARAMETERS if function != "ssmax" else self._parameters(s, b, n)
        if found is None:
            return None
        locate = launcher.locate
        x_at, x_kind = locate(x)
        mask_at, mask_kind = (0, None) if where is None else locate(where)
        out_at, out_kind = (0, None) if out is None else locate(out)
        key = (
            *(function, axis, form, x_kind, mask_kind, out_kind, found.kinds),
            *(x_at & 15, mask_at & 15, out_at & 15),
        )
        prepared = self._prepared.get(key, _NEW)
        if prepared is None:
            return None
        if out is None:
            out = launcher.empty_like(x)
            out_at, _ = locate(out)
        if prepared is _NEW:
            prepared = self._prepare(
                key, function, axis, form, (x, None, out, where), (s, b, n), detach_extrema=False
            )
            if prepared is None:
                return None
        self._run(prepared, found, (x_at, 0, out_at, mask_at), 0)
        return out

    def gradients(
        self,
        function: str,
        axis: int,
        form: str | None,
        detach_extrema: bool,  # noqa: FBT001 - called by position, for speed
        x: Any,
        dy: Any,
        s: Any,
        b: Any,
        n: Any,
        where: Any,
    ) -> tuple[Any, ...] | None:
        """Return (dx,), of SSMax (dx, ds, db); None if the kernels do not take the call."""
        launcher = self._launcher
        found = _NO_PARAMETERS if function != "ssmax" else self._parameters(s, b, n)
        if found is None:
            return None
        locate = launcher.locate
        (x_at, x_kind), (dy_at, dy_kind) = locate(x), locate(dy)
        mask_at, mask_kind = (0, None) if where is None else locate(where)
        key = (
            *(function, axis, form, x_kind, mask_kind, dy_kind, found.kinds),
            *(x_at & 15, mask_at & 15, dy_at & 15, detach_extrema, "gradients"),
        )
        prepared = self._prepared.get(key, _NEW)
        if prepared is None:
            return None
        dx = launcher.empty_like(x)
        if prepared is _NEW:
            operands = (x, dy, dx, where)
            prepared = self._prepare(
                key, function, axis, form, operands, (s, b, n), detach_extrema=detach_extrema
            )
            if prepared is None:
                return None
        addresses = (x_at, dy_at, locate(dx)[0], mask_at)
        if not prepared.parameters:
            self._run(prepared, found, addresses, 0)
            return (dx,)
        terms = launcher.empty((prepared.columns * prepared.rows,), "float64")
        terms_at, _ = locate(terms)
        self._run(prepared, found, addresses, terms_at)
        return (dx, *self._sum(prepared, terms_at))

    def _parameters(self, s: Any, b: Any, n: Any) -> _Parameters | None:
        """Return s, b and n as a call takes them, None if one is an integer that no float is."""
        s_at, s_value, s_kind = self._parameter(s)
        b_at, b_value, b_kind = self._parameter(b)
        if s_value is None or b_value is None:
            return None
        n_at, n_kind = 0, cast("Hashable", None)
        log_n: tuple[float, float] | None = None
        if isinstance(n, (int, float)):
            log_n, n_kind = log_words(n), "number"
        elif n is not None:
            n_at, n_kind = self._launcher.locate(n)
            log_n = (0.0, 0.0)
        return _Parameters((s_at, b_at, n_at), s_value, b_value, log_n, (s_kind, b_kind, n_kind))

    def _parameter(self, value: Any) -> tuple[int, float | None, Hashable]:
        """Return the address of an array, the value of a number (None if it is no float)."""
        if isinstance(value, float):
            return 0, value, None
        if isinstance(value, int):
            number = float(value) if abs(value) < 2**1023 else 0.0
            return 0, number if number == value else None, None
        at, kind = self._launcher.locate(value)
        return at, 0.0, kind

    def _prepare(
        self,
        key: Hashable,
        function: str,
        axis: int,
        form: str | None,
        operands: tuple[Any, Any, Any, Any],
        parameters: tuple[Any, Any, Any],
        *,
        detach_extrema: bool,
    ) -> _Prepared | None:
        """Return what is kept for calls with arrays laid out like these: x, dy, out, the mask."""
        launcher = self._launcher

        def array(value: Any) -> Array | None:
            if value is None:
                return None
            return Array(launcher.layout(value), launcher.locate(value)[0] & 15)

        x, dy, out, mask = (array(value) for value in operands)
        assert x is not None
        assert out is not None
        layouts = tuple(
            None if value is None or isinstance(value, (int, float)) else launcher.layout(value)
            for value in parameters
        )
        prepared: _Prepared | None = None
        if _takes(axis, (x, dy, out, mask), layouts):
            plan = plan_of(
                x,
                out,
                axis=axis,
                limits=launcher.limits,
                dy=dy,
                mask=mask,
                parameters=layouts,
            )
            if plan is not None:
                parts = 0 if plan.path.split else plan.path.parts
                module = Module(_STORAGES[x.layout.dtype], function, dy is not None, parts)
                try:
                    prepared = self._prepare_plan(
                        plan,
                        x.layout,
                        axis,
                        module,
                        form,
                        layouts,
                        counted=parameters[2] is None,
                        detach_extrema=detach_extrema,
                    )
                except CompileError as error:
                    self._warn(module, error)
        if len(self._prepared) >= _KEPT_CALLS:
            self._prepared.clear()
        self._prepared[key] = prepared
        return prepared

    def _warn(self, module: Module, error: CompileError) -> None:
        """Say once that other numerics have to serve."""
        if module not in self._uncompiled:
            self._uncompiled.add(module)
            msg = (
                f"the CUDA kernels of {module.function} do not compile here, and slower operations "
                f"compute it: {error}"
            )
            warnings.warn(msg, RuntimeWarning, stacklevel=2)

    def _prepare_plan(
        self,
        plan: Plan,
        x: Layout,
        axis: int,
        module: Module,
        form: str | None,
        layouts: tuple[Layout | None, ...],
        *,
        counted: bool,
        detach_extrema: bool,
    ) -> _Prepared | None:
        launcher, path = self._launcher, plan.path
        ssmax = module.function == "ssmax"

        def launch(name: str, *, stage: int = 0, combine: bool = False) -> _Launch:
            # Records of parts are combined by threads of their own, without the rows.
            shared = SCRATCH_BYTES if combine else plan.shared
            return _Launch(
                launcher.kernel(module, name, shared),
                plan.rows if combine else plan.grid,
                _SPLIT_ROW_THREADS if combine else plan.threads,
                shared,
                tail(
                    plan,
                    form=form,
                    detach_extrema=detach_extrema,
                    types=[None if own is None else own.dtype for own in layouts],
                    counted=ssmax and counted,
                    stage=stage,
                ),
            )

        launches: list[_Launch]
        if path.split:
            stages = (0, 1) if ssmax and counted else (0,)
            launches = [
                launch(name, stage=stage, combine=name == "split_rows")
                for stage in stages
                for name in ("split_parts", "split_rows")
            ]
            launches.append(launch("split_write"))
        else:
            launches = [launch("rows" if path.parts == 1 else f"rows_{path.parts}")]
        columns = 4 if module.storage == "Double" else 2
        gradients: list[_ParameterGradient] = []
        if ssmax and module.gradients:
            for own in layouts[:2]:
                layout = own or Layout((), (), x.dtype)
                sums = _sums.sum_of(layout, x.shape, axis, plan.axes.row_strides)
                if sums is None:
                    return None
                low = plan.rows if columns == 4 else 0
                gradients.append(
                    _ParameterGradient(layout.shape, sums, sums.first(low=low), sums.last())
                )
        return _Prepared(
            launches=tuple(launches),
            records=plan.rows * (path.parts + 1) * _RECORD if path.split else 0,
            log_length=log_words(plan.length),
            columns=columns,
            rows=plan.rows,
            parameters=tuple(gradients),
            sum_terms=launcher.kernel(_SUMS, "sum_terms", _sums.SUM_SHARED) if gradients else None,
        )

    def _run(
        self,
        prepared: _Prepared,
        found: _Parameters,
        addresses: tuple[int, int, int, int],
        terms_at: int,
    ) -> None:
        launcher = self._launcher
        records_at = 0
        if prepared.records:
            records = launcher.empty((prepared.records,), "float64")
            records_at, _ = launcher.locate(records)
        head = HEAD.pack(
            *addresses,
            *found.addresses,
            terms_at,
            records_at,
            found.s,
            found.b,
            *(found.log_n or prepared.log_length),
        )
        for kernel, grid, block, shared, rest in prepared.launches:
            launcher.launch(kernel, grid, block, shared, head + rest)

    def _sum(self, prepared: _Prepared, terms_at: int) -> list[Any]:
        """Return ds and db."""
        launcher, locate = self._launcher, self._launcher.locate
        results, first, last = [], b"", b""
        blocks = last_blocks = 0
        column = 8 * prepared.rows * prepared.columns // 2
        partial_sums = sum(own.sums.partial_sums for own in prepared.parameters)
        between_at = 0
        if partial_sums:
            between = launcher.empty((2 * partial_sums,), "float64")
            between_at, _ = locate(between)
        for shape, sums, first_tail, last_tail in (
            (own.shape, own.sums, own.first, own.last) for own in prepared.parameters
        ):
            result = launcher.empty(shape, sums.dtype)
            results.append(result)
            at, _ = locate(result)
            first += _sums.HEAD.pack(terms_at, between_at if sums.partial_sums else at) + first_tail
            last += _sums.HEAD.pack(between_at, at) + last_tail
            blocks += sums.blocks
            last_blocks += sums.last_blocks
            terms_at += column
            between_at += 16 * sums.partial_sums
        kernel = prepared.sum_terms
        launcher.launch(kernel, blocks, _sums.SUM_THREADS, _sums.SUM_SHARED, first)
        if last_blocks:
            launcher.launch(kernel, last_blocks, _sums.SUM_THREADS, _sums.SUM_SHARED, last)
        return results


def _takes(
    axis: int,
    operands: tuple[Array | None, ...],
    parameters: tuple[Layout | None, ...],
) -> bool:
    """Return whether the kernels read and write these arrays, as they are described.

    The first operand is x, the last one the mask; whoever calls past the public functions may
    bring anything.
    """
    x, *like, mask = operands
    assert x is not None
    shape, dtype = x.layout.shape, x.layout.dtype
    if dtype not in ITEM_SIZES or 0 in shape:
        return False
    if any(own is not None and own.layout[::2] != (shape, dtype) for own in like):
        return False
    if mask is not None and not (
        mask.layout.dtype == "bool" and _broadcasts(mask.layout.shape, shape)
    ):
        return False
    rows = (*shape[:axis], 1, *shape[axis + 1 :])
    return all(
        own is None or (own.dtype in TYPES and _broadcasts(own.shape, rows)) for own in parameters
    ) and all(own is None or own.offset % ITEM_SIZES[dtype] == 0 for own in (x, *like))


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    return len(shape) <= len(target) and all(
        own in (1, full) for own, full in zip(reversed(shape), reversed(target), strict=False)
    )
