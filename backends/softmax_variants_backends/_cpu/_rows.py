"""Weights and gradients of the family by the row kernels, for the arrays of any library.

A call's plan is kept under what identifies the layouts of its arrays; a call like an earlier one
only passes addresses and numbers. None is returned for calls that the kernels do not take, for the
caller's other numerics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from softmax_variants_backends._numbers import log_words

from ._address import address_of
from ._deal import run_blocks, run_rows
from ._kernels import WHOLE, kernel
from ._left_rows import LeftRows
from ._parameters import NO_PARAMETERS, combined_parameters, read_parameters
from ._plan import Case, plan_of
from ._scale import scale_of_rows
from ._sums import order_of, write_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import numpy.typing as npt

    from ._arrays import Arrays
    from ._parameters import Parameters
    from ._plan import Plan

    Words = npt.NDArray[np.float64]
    _Arguments = tuple[str, int, str | None, bool, Any, Any, Any, Any, Any, Any, Any]
    _Served = tuple[Plan, Words | None]

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
    kernel: Callable[..., int]
    log_length: tuple[float, float]
    leaves_rows: bool
    """Whether the kernel may leave rows to other numerics."""
    has_terms: bool
    """Whether rows have terms of ds and db."""


_NEW: Any = object()
"""Stands for what no earlier call has prepared; None for arrays that must be packed."""


class RowKernels:
    """The kernels for the arrays of one library."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._prepared: dict[Hashable, _Prepared | None] = {}

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
        parameters: Parameters | None = NO_PARAMETERS
        if function == "ssmax":
            parameters = self._parameters(axis, x, s, b, n, where)
        if parameters is None:
            return None
        value = self._arrays.empty_like(x) if out is None else out
        call = (function, axis, form, False, x, None, value, where, s, b, n)
        return None if self._serve(call, parameters, made=out is None) is None else value

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
        parameters: Parameters | None = NO_PARAMETERS
        if function == "ssmax":
            parameters = self._parameters(axis, x, s, b, n, where)
        if parameters is None:
            return None
        dx = self._arrays.empty_like(x)
        call = (function, axis, form, detach_extrema, x, dy, dx, where, s, b, n)
        served = self._serve(call, parameters, made=True)
        if served is None:
            return None
        plan, terms = served
        if terms is None:
            return (dx,)
        ds, ds_at, ds_storage, db, db_at, db_storage = self._arrays.gradients_of(s, b, x)
        shapes = ds.shape, db.shape
        orders = plan.orders.get(shapes)
        if orders is None:
            s_order, b_order = (order_of(plan.axes, x.shape, shape) for shape in shapes)
            orders = plan.orders[shapes] = s_order, b_order
        write_sums(terms, plan.rows, orders, ds_at, ds_storage, db_at, db_storage)
        return dx, ds, db

    def _parameters(self, axis: int, x: Any, s: Any, b: Any, n: Any, where: Any) -> Any:
        """Return the parameters for the kernels, None if they do not take these."""
        arrays = self._arrays
        found = read_parameters(arrays, s, b, n)
        if found is None:
            scale = scale_of_rows(arrays, axis, x, s, b, n, where)
            found = None if scale is None else combined_parameters(arrays, scale, n)
        return found

    def _serve(self, call: _Arguments, parameters: Parameters, *, made: bool) -> _Served | None:
        """Write a call's results, to an array that was ``made`` for them or one that was given.

        Return what is known then: the plan, and of gradients of SSMax the rows' terms of ds and db.
        None if there is no memory to read: arrays without entries, and zeros that PyTorch does not
        store.
        """
        function, axis, form, detach_extrema, x, dy, out, mask, *_ = call
        arrays = self._arrays
        x_at, dy_at, out_at, mask_at, layouts = arrays.locate(x, dy, out, mask, made=made)
        if not (x_at and (dy_at or dy is None) and (mask_at or mask is None)):
            return None
        # No address that is a multiple of 8 is between the elements of any type.
        offset = (x_at | dy_at | out_at) & 7
        _, _, s_value, b_value, log_n, kinds, addresses = parameters
        key = (function, axis, form, detach_extrema, kinds, offset, layouts)
        prepared: _Prepared | None = self._prepared.get(key, _NEW)
        if prepared is _NEW:
            if 0 in x.shape:
                return None
            prepared = self._prepare(_Call(*call), parameters, offset)
            if len(self._prepared) >= _KEPT_CALLS:
                self._prepared.clear()
            self._prepared[key] = prepared
        if prepared is None:
            return self._serve_packed(_Call(*call), parameters)
        plan, most_threads, rows_kernel, log_length, leaves_rows, has_terms = prepared
        terms = left_rows = None
        terms_at = left_at = 0
        if has_terms:
            terms = np.empty((4, plan.rows))
            terms_at = address_of(terms)
        if leaves_rows:
            left_rows = np.zeros(plan.rows, np.uint8)
            left_at = address_of(left_rows)
        # fmt: off
        arguments = (
            x_at, dy_at, out_at, mask_at, *addresses, terms_at, left_at,
            s_value, b_value, *(log_n or log_length), plan.layout,
        )
        # fmt: on
        if most_threads == 1:
            left = rows_kernel(WHOLE, *arguments, 0, 0, plan.rows)
        else:
            threads = min(most_threads, arrays.threads())
            run = run_blocks if plan.in_blocks(threads) else run_rows
            left = run(rows_kernel, arguments, plan, threads)
        if left and left_rows is not None:
            self._serve_left(_Call(*call), plan, np.flatnonzero(left_rows), terms)
        return plan, terms

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
        gradients = call.dy is not None
        return _Prepared(
            plan,
            plan.most_threads,
            kernel(call.function, x.dtype, gradients=gradients),
            log_words(plan.length),
            leaves_rows=x.dtype == "float64",
            has_terms=gradients and call.function == "ssmax",
        )

    def _serve_packed(self, call: _Call, parameters: Parameters) -> _Served | None:
        """Write a call's results by way of copies in C order."""
        arrays, shape = self._arrays, tuple(call.x.shape)
        rows = (*shape[: call.axis], 1, *shape[call.axis + 1 :])
        x, dy, mask = (
            None if own is None else arrays.packed(own, shape)
            for own in (call.x, call.dy, call.mask)
        )
        packed = call._replace(x=x, dy=dy, mask=mask, out=arrays.empty_like(x))
        served = self._serve(packed, parameters.packed(rows), made=True)
        arrays.store(call.out, packed.out)
        return served

    def _serve_left(
        self, call: _Call, plan: Plan, rows: npt.NDArray[np.intp], terms: Words | None
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
            plan.axes,
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
