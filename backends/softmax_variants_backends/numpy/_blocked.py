"""The array-API numerics on NumPy arrays, block by block in the cache.

They serve where the row kernels do not: without Numba, and for Python integers that no float
equals. A row's bits do not depend on its neighbours, so blocks change nothing but speed and memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import array_api_compat.numpy as xp
import numpy as np

from softmax_variants_backends.array_api._gradients import RowSums, vjp
from softmax_variants_backends.array_api._row_sums import parameter_gradient
from softmax_variants_backends.array_api._weights import weights
from softmax_variants_backends.array_api._working import working_for

from ._blocks import blocks, part

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = [
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

_BLOCK = 1 << 14

# NumPy warns of overflow in intermediate steps that are then replaced.
_quiet = np.errstate(all="ignore")


def _weights(
    x: Array,
    out: Array | None,
    axis: int,
    where: Array | None,
    parameters: tuple[Any, Any, Any] | None = None,
    form: str | None = None,
) -> Array:
    result = np.empty_like(x, subok=False) if out is None else out
    for index in blocks(x.shape, axis, _BLOCK):
        result[index] = weights(
            xp,
            "cpu",
            x[index],
            axis=axis,
            where=part(where, index),
            parameters=None if parameters is None else _parts(parameters, index),
            form=form,
        )
    return result


def _parts(parameters: tuple[Any, Any, Any], index: tuple[slice, ...]) -> tuple[Any, Any, Any]:
    s, b, n = (part(parameter, index) for parameter in parameters)
    return s, b, n


@_quiet
def softmax(x: Array, *, axis: int, where: Array | None, out: Array | None) -> Array:
    """Return softmax of ``x`` along ``axis``; see ``softmax_variants.softmax``."""
    return _weights(x, out, axis, where)


@_quiet
def ssmax(
    x: Array, s: Any, b: Any, *, n: Any, axis: int, where: Array | None, out: Array | None
) -> Array:
    """Return SSMax of ``x`` along ``axis``; see ``softmax_variants.ssmax``."""
    return _weights(x, out, axis, where, parameters=(s, b, n))


@_quiet
def sa_softmax(
    x: Array,
    *,
    form: str,
    detach_extrema: bool,
    axis: int,
    where: Array | None,
    out: Array | None,
) -> Array:
    """Return SA-Softmax of ``x`` along ``axis``; see ``softmax_variants.sa_softmax``.

    ``detach_extrema`` changes gradients only.
    """
    del detach_extrema
    return _weights(x, out, axis, where, form=form)


@_quiet
def softmax_vjp(x: Array, dy: Array, *, axis: int, where: Array | None) -> Array:
    """Return dx of softmax; see ``softmax_variants.softmax_vjp``."""
    dx = np.empty_like(x, subok=False)
    for index in blocks(x.shape, axis, _BLOCK) if x.size else ():
        dx[index], _ = vjp(xp, "cpu", x[index], dy[index], axis=axis, where=part(where, index))
    return dx


@_quiet
def ssmax_vjp(
    x: Array, dy: Array, s: Any, b: Any, *, n: Any, axis: int, where: Array | None
) -> tuple[Array, Array, Array]:
    """Return (dx, ds, db) of SSMax; see ``softmax_variants.ssmax_vjp``."""
    working = working_for(xp, "cpu", x.dtype)
    dx = np.empty_like(x, subok=False)
    if not x.size:
        ds, db = (
            np.zeros((), x.dtype) if isinstance(p, (int, float)) else np.zeros_like(p)
            for p in (s, b)
        )
        return dx, ds, db
    rows = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    sums = RowSums(
        *(tuple(np.empty(rows, working.dtype) for _ in range(working.words)) for _ in "bs")
    )
    for index in blocks(x.shape, axis, _BLOCK):
        dx[index], terms = vjp(
            xp,
            "cpu",
            x[index],
            dy[index],
            axis=axis,
            where=part(where, index),
            parameters=_parts((s, b, n), index),
            working=working,
        )
        assert terms is not None  # given with parameters
        for total, term in zip((*sums.db, *sums.ds), (*terms.db, *terms.ds), strict=True):
            part(total, index)[...] = term
    ds = parameter_gradient(working, sums.ds, s, x.dtype)
    return dx, ds, parameter_gradient(working, sums.db, b, x.dtype)


@_quiet
def sa_softmax_vjp(
    x: Array, dy: Array, *, form: str, detach_extrema: bool, axis: int, where: Array | None
) -> Array:
    """Return dx of SA-Softmax; see ``softmax_variants.sa_softmax_vjp``."""
    dx = np.empty_like(x, subok=False)
    for index in blocks(x.shape, axis, _BLOCK) if x.size else ():
        dx[index], _ = vjp(
            xp,
            "cpu",
            x[index],
            dy[index],
            axis=axis,
            where=part(where, index),
            form=form,
            detach_extrema=detach_extrema,
        )
    return dx
