"""Weights and gradients of the family by the row kernels, for the arrays of any library.

A call's plan is kept under what identifies the layouts of its arrays; a call like an earlier one
only passes addresses and numbers. None is returned for calls that the kernels do not take, for the
caller's other numerics.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from softmax_variants_backends._numbers import log_words
from softmax_variants_backends.array_api._rounding import round_to
from softmax_variants_backends.array_api._working import working_for

from ._address import address_of
from ._deal import run_blocks, run_rows
from ._kernels import kernel, split_kernel
from ._left_rows import LeftRows
from ._parameters import NO_PARAMETERS, read_parameters
from ._plan import Case, plan_of
from ._sums import sum_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import numpy.typing as npt

    from softmax_variants_backends._axes import RowAxes

    from ._arrays import Arrays
    from ._parameters import Parameters
    from ._plan import Plan

    Words = npt.NDArray[np.float64]
    _Arguments = tuple[str, int, str | None, bool, Any, Any, Any, Any, Any, Any, Any]

__all__ = ["RowKernels"]

_KEPT_CALLS = 4096

ITEM_SIZES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


class _Call(NamedTuple):
    """A function and the arrays that it is called with, by name where there is time for it."""

    function: str
    axis: int
    form: str | None
    detach_extrema: bool
    x: Any
    dy: Any
    """None for weights."""
    out: Any
    mask: Any
    s: Any
    b: Any
    n: Any


class _Prepared(NamedTuple):
    """What calls alike share."""

    plan: Plan
    most_threads: int
    whole: Callable[..., int]
    """The kernel for rows."""
    in_blocks: Callable[..., int] | None
    """The kernel for blocks, where rows have several."""
    log_length: tuple[float, float]
    leaves_rows: bool
    """Whether the kernel may leave rows to other numerics."""


_NEW: Any = object()
"""Stands for what no earlier call has prepared; None for arrays that must be packed."""


class RowKernels:
    """The kernels for the arrays of one library."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._prepared: dict[Hashable, _Prepared | None] = {}
        self._working = working_for(arrays.xp, "cpu", arrays.xp.float64)

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
        arrays = self._arrays
        parameters = NO_PARAMETERS if function != "ssmax" else read_parameters(arrays, s, b, n)
        if parameters is None or 0 in x.shape:
            return None
        value = arrays.empty_like(x) if out is None else out
        call = (function, axis, form, False, x, None, value, where, s, b, n)
        return None if self._serve(call, parameters, None) is None else value

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
        arrays = self._arrays
        parameters = NO_PARAMETERS if function != "ssmax" else read_parameters(arrays, s, b, n)
        if parameters is None or 0 in x.shape:
            return None
        dx = arrays.empty_like(x)
        terms = None
        if function == "ssmax":
            terms = np.empty((4, prod(x.shape) // x.shape[axis]))
        call = (function, axis, form, detach_extrema, x, dy, dx, where, s, b, n)
        axes = self._serve(call, parameters, terms)
        if axes is None:
            return None
        if terms is None:
            return (dx,)
        ds, db = (self._gradient(x, axes, terms[k : k + 2], own) for k, own in ((0, s), (2, b)))
        return dx, ds, db

    def _serve(
        self, call: _Arguments, parameters: Parameters, terms: Words | None
    ) -> RowAxes | None:
        """Write a call's results; return what the rows' numbers are made of.

        None if there is no memory to read: zeros that PyTorch does not store.
        """
        function, axis, form, detach_extrema, x, dy, out, mask, *_ = call
        locate = self._arrays.locate
        x_at, x_kind = locate(x)
        out_at, out_kind = locate(out)
        dy_at, dy_kind = (0, None) if dy is None else locate(dy)
        mask_at, mask_kind = (0, None) if mask is None else locate(mask)
        if not (x_at and (dy_at or dy is None) and (mask_at or mask is None)):
            return None
        # No address that is a multiple of 8 is between the elements of any type.
        offset = (x_at | dy_at | out_at) & 7
        key = (
            *(function, axis, form, detach_extrema, parameters.kinds),
            *(x_kind, dy_kind, out_kind, mask_kind, offset),
        )
        prepared: _Prepared | None = self._prepared.get(key, _NEW)
        if prepared is _NEW:
            prepared = self._prepare(_Call(*call), parameters, offset)
            if len(self._prepared) >= _KEPT_CALLS:
                self._prepared.clear()
            self._prepared[key] = prepared
        if prepared is None:
            return self._serve_packed(_Call(*call), parameters, terms)
        plan, most_threads, whole, in_blocks, log_length, leaves_rows = prepared
        left_rows = np.zeros(plan.rows, np.uint8) if leaves_rows else None
        log_n, log_n_low = parameters.log_n or log_length
        arguments = (
            *(x_at, dy_at, out_at, mask_at, *parameters.addresses),
            0 if terms is None else address_of(terms),
            0 if left_rows is None else address_of(left_rows),
            *(parameters.s, parameters.b, log_n, log_n_low, plan.layout),
        )
        threads = 1 if most_threads == 1 else min(most_threads, self._arrays.threads())
        if in_blocks is not None and plan.in_blocks(threads):
            left = run_blocks(in_blocks, arguments, plan, threads)
        else:
            left = run_rows(whole, arguments, plan, threads)
        if left and left_rows is not None:
            self._serve_left(_Call(*call), plan.axes, np.flatnonzero(left_rows), terms)
        return plan.axes

    def _prepare(self, call: _Call, parameters: Parameters, offset: int) -> _Prepared | None:
        """Return what is kept for calls with arrays laid out like these, None to pack them."""
        layout = self._arrays.layout
        x, out = layout(call.x), layout(call.out)
        dy = None if call.dy is None else layout(call.dy)
        mask = None if call.mask is None else layout(call.mask)
        if x is None or out is None or (dy is None) != (call.dy is None):
            return None  # strides that are not whole elements
        if offset % ITEM_SIZES[x.dtype]:
            return None
        plan = plan_of(
            Case(
                axis=call.axis,
                form=call.form,
                detach_extrema=call.detach_extrema,
                x=x,
                dy=dy,
                out=out,
                mask=mask,
                parameters=parameters.layouts(),
                counted=parameters.log_n is None,
            )
        )
        if plan is None:
            return None
        kind = call.function, x.dtype
        gradients = call.dy is not None
        return _Prepared(
            plan,
            plan.most_threads,
            kernel(*kind, gradients=gradients),
            None if plan.blocks == 1 else split_kernel(*kind, gradients=gradients),
            log_words(plan.length),
            leaves_rows=x.dtype == "float64",
        )

    def _serve_packed(
        self, call: _Call, parameters: Parameters, terms: Words | None
    ) -> RowAxes | None:
        """Write a call's results by way of copies in C order."""
        arrays, shape = self._arrays, tuple(call.x.shape)
        rows = (*shape[: call.axis], 1, *shape[call.axis + 1 :])
        x, dy, mask = (
            None if own is None else arrays.packed(own, shape)
            for own in (call.x, call.dy, call.mask)
        )
        packed = call._replace(x=x, dy=dy, mask=mask, out=arrays.empty_like(x))
        axes = self._serve(packed, parameters.packed(rows), terms)
        arrays.store(call.out, packed.out)
        return axes

    def _serve_left(
        self, call: _Call, axes: RowAxes, rows: npt.NDArray[np.intp], terms: Words | None
    ) -> None:
        """Write the results of rows that the kernel has left."""

        def to_numpy(value: Any) -> Any:
            kept = value is None or isinstance(value, (int, float))
            return value if kept else self._arrays.to_numpy(value)

        left = LeftRows(
            call.function,
            call.axis,
            call.form,
            call.detach_extrema,
            axes,
            x=to_numpy(call.x),
            parameters=(to_numpy(call.s), to_numpy(call.b), to_numpy(call.n)),
            where=to_numpy(call.mask),
        )
        out = to_numpy(call.out)
        with np.errstate(all="ignore"):
            if call.dy is None:
                left.weights(rows, out)
            else:
                left.gradients(rows, to_numpy(call.dy), out, terms)

    def _gradient(self, x: Any, axes: RowAxes, terms: Words, parameter: Any) -> Any:
        """Return ds or db: the rows' terms summed, and rounded once."""
        number = isinstance(parameter, (int, float))
        shape = () if number else tuple(parameter.shape)
        high, low = map(self._arrays.from_numpy, sum_terms(terms, axes, x.shape, shape))
        dtype = x.dtype if number else parameter.dtype
        with np.errstate(over="ignore"):
            return round_to(self._working, (high, low), dtype).reshape(shape)
