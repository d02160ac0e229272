"""The backend's functions for a namespace that does not warn of overflow.

``xp`` is the namespace; that of ``x`` if not given.
"""

from __future__ import annotations

from math import prod
from typing import Any

from array_api_compat import array_namespace, device

from ._gradients import vjp
from ._row_sums import parameter_gradient
from ._weights import weights
from ._working import working_for

__all__ = [
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]


def _store(value: Any, out: Any) -> Any:
    if out is None:
        return value
    out[...] = value
    return out


def softmax(x: Any, *, axis: int, where: Any, out: Any, xp: Any = None) -> Any:
    """Return softmax of ``x`` along ``axis``; see ``softmax_variants.softmax``."""
    xp = xp or array_namespace(x)
    value = weights(xp, device(x), x, axis=axis, where=where)
    return _store(value, out)


def ssmax(
    x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any, xp: Any = None
) -> Any:
    """Return SSMax of ``x`` along ``axis``; see ``softmax_variants.ssmax``."""
    xp = xp or array_namespace(x)
    value = weights(xp, device(x), x, axis=axis, where=where, parameters=(s, b, n))
    return _store(value, out)


def sa_softmax(
    x: Any,
    *,
    form: str,
    detach_extrema: bool,
    axis: int,
    where: Any,
    out: Any,
    xp: Any = None,
) -> Any:
    """Return SA-Softmax of ``x`` along ``axis``; see ``softmax_variants.sa_softmax``.

    ``detach_extrema`` changes gradients only.
    """
    del detach_extrema
    xp = xp or array_namespace(x)
    value = weights(xp, device(x), x, axis=axis, where=where, form=form)
    return _store(value, out)


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any, xp: Any = None) -> Any:
    """Return dx of softmax; see ``softmax_variants.softmax_vjp``."""
    xp = xp or array_namespace(x)
    if not prod(x.shape):
        return xp.zeros_like(x)
    return vjp(xp, device(x), x, dy, axis=axis, where=where)[0]


def ssmax_vjp(
    x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, xp: Any = None
) -> tuple[Any, Any, Any]:
    """Return (dx, ds, db) of SSMax; see ``softmax_variants.ssmax_vjp``."""
    xp, where_is = xp or array_namespace(x), device(x)
    working = working_for(xp, where_is, x.dtype)
    if not prod(x.shape):
        return xp.zeros_like(x), *(_zero_gradient(xp, where_is, x, p) for p in (s, b))
    dx, sums = vjp(
        xp, where_is, x, dy, axis=axis, where=where, parameters=(s, b, n), working=working
    )
    assert sums is not None  # given with parameters
    ds = parameter_gradient(working, sums.ds, s, x.dtype)
    return dx, ds, parameter_gradient(working, sums.db, b, x.dtype)


def _zero_gradient(xp: Any, where_is: Any, x: Any, parameter: Any) -> Any:
    if isinstance(parameter, (int, float)):
        return xp.zeros((), dtype=x.dtype, device=where_is)
    return xp.zeros_like(parameter)


def sa_softmax_vjp(
    x: Any,
    dy: Any,
    *,
    form: str,
    detach_extrema: bool,
    axis: int,
    where: Any,
    xp: Any = None,
) -> Any:
    """Return dx of SA-Softmax; see ``softmax_variants.sa_softmax_vjp``."""
    xp = xp or array_namespace(x)
    if not prod(x.shape):
        return xp.zeros_like(x)
    return vjp(
        xp, device(x), x, dy, axis=axis, where=where, form=form, detach_extrema=detach_extrema
    )[0]
