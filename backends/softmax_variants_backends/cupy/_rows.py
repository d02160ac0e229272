"""The family's functions on CuPy arrays: the row kernels, and array-API numerics where they end.

The latter serve AMD's GPUs and old ones, those that NVRTC does not know, and arrays that the
kernels do not take (more than eight axes that cannot be merged).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cupy

from softmax_variants_backends._cuda._rows import RowKernels
from softmax_variants_backends.array_api import _functions

from ._namespace import namespace

__all__ = [
    "kernels_on",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]


@cache
def kernels_on(index: int) -> RowKernels | None:
    """Return the kernels on a device, None if they cannot be had."""
    from softmax_variants_backends._cuda._launch_cupy import launcher_on

    launcher = launcher_on(index)
    return None if launcher is None else RowKernels(launcher)


def _weights(
    function: str, axis: int, form: str | None, x: Any, s: Any, b: Any, n: Any, where: Any, out: Any
) -> Any | None:
    index = x.device.id
    kernels = kernels_on(index)
    if kernels is None:
        return None
    if cupy.cuda.runtime.getDevice() == index:
        return kernels.weights(function, axis, form, x, s, b, n, where, out)
    with cupy.cuda.Device(index):
        return kernels.weights(function, axis, form, x, s, b, n, where, out)


def _gradients(
    function: str,
    axis: int,
    form: str | None,
    x: Any,
    dy: Any,
    s: Any,
    b: Any,
    n: Any,
    where: Any,
    *,
    detach_extrema: bool = False,
) -> tuple[Any, ...] | None:
    index = x.device.id
    kernels = kernels_on(index)
    if kernels is None:
        return None
    if cupy.cuda.runtime.getDevice() == index:
        return kernels.gradients(function, axis, form, detach_extrema, x, dy, s, b, n, where)
    with cupy.cuda.Device(index):
        return kernels.gradients(function, axis, form, detach_extrema, x, dy, s, b, n, where)


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    """Return softmax of ``x`` along ``axis``; see ``softmax_variants.softmax``."""
    value = _weights("softmax", axis, None, x, None, None, None, where, out)
    if value is None:
        value = _functions.softmax(x, axis=axis, where=where, out=out, xp=namespace)
    return value


def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    """Return SSMax of ``x`` along ``axis``; see ``softmax_variants.ssmax``."""
    value = _weights("ssmax", axis, None, x, s, b, n, where, out)
    if value is None:
        value = _functions.ssmax(x, s, b, n=n, axis=axis, where=where, out=out, xp=namespace)
    return value


def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any) -> Any:
    """Return SA-Softmax of ``x`` along ``axis``; see ``softmax_variants.sa_softmax``."""
    value = _weights("sa_softmax", axis, form, x, None, None, None, where, out)
    if value is None:
        value = _functions.sa_softmax(
            x,
            form=form,
            detach_extrema=detach_extrema,
            axis=axis,
            where=where,
            out=out,
            xp=namespace,
        )
    return value


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    """Return dx of softmax; see ``softmax_variants.softmax_vjp``."""
    found = _gradients("softmax", axis, None, x, dy, None, None, None, where)
    if found is None:
        return _functions.softmax_vjp(x, dy, axis=axis, where=where, xp=namespace)
    return found[0]


def ssmax_vjp(
    x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any
) -> tuple[Any, Any, Any]:
    """Return (dx, ds, db) of SSMax; see ``softmax_variants.ssmax_vjp``."""
    found = _gradients("ssmax", axis, None, x, dy, s, b, n, where)
    if found is None:
        return _functions.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where, xp=namespace)
    dx, ds, db = found
    return dx, ds, db


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    """Return dx of SA-Softmax; see ``softmax_variants.sa_softmax_vjp``."""
    found = _gradients(
        "sa_softmax", axis, form, x, dy, None, None, None, where, detach_extrema=detach_extrema
    )
    if found is None:
        return _functions.sa_softmax_vjp(
            x,
            dy,
            form=form,
            detach_extrema=detach_extrema,
            axis=axis,
            where=where,
            xp=namespace,
        )
    return found[0]
