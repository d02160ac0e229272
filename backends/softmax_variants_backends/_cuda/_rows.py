"""Weights and gradients of the family by the row kernels, for the arrays of any launcher.

A call's plan, kernels and constant arguments are kept under what identifies the layouts of its
arrays; a call like an earlier one only packs addresses and numbers. None is returned for calls
that the kernels do not take, for the caller's other numerics.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from softmax_variants_backends._numbers import exact_float, log_words

from . import _sums
from ._call import HEAD
from ._compile import CompileError
from ._plan import Array
from ._prepare import Case, Prepared, prepare

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ._launch import Launcher
    from ._prepare import ParameterSums

__all__ = ["RowKernels"]

_KEPT_CALLS = 4096

_NEW = Prepared((), 0, (0.0, 0.0), None)
"""Stands for what no earlier call has prepared."""


class _Parameters(NamedTuple):
    """SSMax's s, b and n: addresses (0 for numbers), numbers, and what identifies the layouts."""

    s_at: int
    b_at: int
    n_at: int
    s: float
    b: float
    log_n: tuple[float, float] | None
    """None if n is counted."""
    kinds: Hashable


_NO_PARAMETERS = _Parameters(0, 0, 0, 0.0, 0.0, (0.0, 0.0), None)


class RowKernels:
    """The kernels on one device."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._prepared: dict[Hashable, Prepared | None] = {}
        self._uncompiled: set[str] = set()

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
        if not x_at or not (mask_at or where is None):
            return None  # no memory: nothing in it, or zeros that PyTorch does not store
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
        self._run(prepared, found, x_at, 0, out_at, mask_at, 0)
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
        if not x_at or not dy_at or not (mask_at or where is None):
            return None
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
        dx_at, _ = locate(dx)
        sums = prepared.sums
        if sums is None:
            self._run(prepared, found, x_at, dy_at, dx_at, mask_at, 0)
            return (dx,)
        # The terms of ds and of db, and what is kept between the launches that sum them.
        columns, (ds_sums, db_sums) = sums.columns, sums.partial_sums
        terms = launcher.empty((2 * columns + ds_sums + db_sums,), "float64")
        terms_at, _ = locate(terms)
        self._run(prepared, found, x_at, dy_at, dx_at, mask_at, terms_at)
        ds, db = (launcher.empty(shape, dtype) for shape, dtype in sums.results)
        self._sum(sums, terms_at, locate(ds)[0], locate(db)[0])
        return (dx, ds, db)

    def _parameters(self, s: Any, b: Any, n: Any) -> _Parameters | None:
        """Return s, b and n as a call takes them.

        None if one is an integer that no float equals, or an array without memory.
        """
        locate = self._launcher.locate
        s_at = b_at = n_at = 0
        s_kind = b_kind = n_kind = cast("Hashable", None)
        log_n = None
        if type(s) is not float:
            if isinstance(s, (int, float)):
                number = exact_float(s)
                if number is None:
                    return None
                s = number
            else:
                s_at, s_kind = locate(s)
                if not s_at:
                    return None
                s = 0.0
        if type(b) is not float:
            if isinstance(b, (int, float)):
                number = exact_float(b)
                if number is None:
                    return None
                b = number
            else:
                b_at, b_kind = locate(b)
                if not b_at:
                    return None
                b = 0.0
        if isinstance(n, (int, float)):
            log_n, n_kind = log_words(n), "number"
        elif n is not None:
            n_at, n_kind = locate(n)
            if not n_at:
                return None
            log_n = (0.0, 0.0)
        return _Parameters(s_at, b_at, n_at, s, b, log_n, (s_kind, b_kind, n_kind))

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
    ) -> Prepared | None:
        """Return what is kept for calls with arrays laid out like these: x, dy, out, the mask."""
        launcher = self._launcher

        def array(value: Any) -> Array:
            return Array(launcher.layout(value), launcher.locate(value)[0] & 15)

        x, dy, out, mask = operands
        case = Case(
            function,
            axis,
            form,
            detach_extrema,
            x=array(x),
            dy=None if dy is None else array(dy),
            out=array(out),
            mask=None if mask is None else array(mask),
            parameters=tuple(
                None if value is None or isinstance(value, (int, float)) else launcher.layout(value)
                for value in parameters
            ),
            counted=function == "ssmax" and parameters[2] is None,
        )
        prepared: Prepared | None = None
        try:
            prepared = prepare(launcher, case)
        except CompileError as error:
            self._warn(function, error)
        if len(self._prepared) >= _KEPT_CALLS:
            self._prepared.clear()
        self._prepared[key] = prepared
        return prepared

    def _warn(self, function: str, error: CompileError) -> None:
        """Say once that other numerics have to serve."""
        if function not in self._uncompiled:
            self._uncompiled.add(function)
            msg = (
                f"the CUDA kernels of {function} do not compile here, and slower operations "
                f"compute it: {error}"
            )
            warnings.warn(msg, RuntimeWarning, stacklevel=2)

    def _run(
        self,
        prepared: Prepared,
        found: _Parameters,
        x_at: int,
        dy_at: int,
        out_at: int,
        mask_at: int,
        terms_at: int,
    ) -> None:
        launcher = self._launcher
        launches, count, log_length, _ = prepared
        s_at, b_at, n_at, s, b, log_n, _ = found
        high, low = log_n or log_length
        records_at = 0
        if count:
            records = launcher.empty((count,), "float64")
            records_at, _ = launcher.locate(records)
        head = HEAD.pack(
            x_at, dy_at, out_at, mask_at, s_at, b_at, n_at, terms_at, records_at, s, b, high, low
        )
        for kernel, grid, block, shared, rest in launches:
            launcher.launch(kernel, grid, block, shared, head + rest)

    def _sum(self, sums: ParameterSums, terms_at: int, ds_at: int, db_at: int) -> None:
        """Sum the terms of ds and db; their partial sums, if any, follow the terms."""
        launch = self._launcher.launch
        kernel, columns, (ds_sums, db_sums), _, first, last, (blocks, last_blocks) = sums
        db_terms_at = terms_at + 8 * columns
        ds_sums_at = db_terms_at + 8 * columns
        db_sums_at = ds_sums_at + 8 * ds_sums
        argument = _sums.CALLS.pack(
            terms_at,
            ds_sums_at if ds_sums else ds_at,
            first[0],
            db_terms_at,
            db_sums_at if db_sums else db_at,
            first[1],
        )
        launch(kernel, blocks, _sums.SUM_THREADS, _sums.SUM_SHARED, argument)
        if last_blocks:
            argument = _sums.CALLS.pack(ds_sums_at, ds_at, last[0], db_sums_at, db_at, last[1])
            launch(kernel, last_blocks, _sums.SUM_THREADS, _sums.SUM_SHARED, argument)
