"""The family on NumPy arrays: compiled row kernels, and array-API numerics where they end.

The kernels need Numba; see ``softmax_variants_backends._cpu``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from softmax_variants_backends import _cpu
from softmax_variants_backends.array_api import CLAIMS as _CLAIMS_ANYWHERE

from . import _blocked
from ._rows import kernels

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]


def __getattr__(name: str) -> Any:
    if name == "CLAIMS":
        # Accuracy class, or largest error in ULP, by function and dtype: of whoever serves. NumPy
        # has no bfloat16.
        claims = _CLAIMS_ANYWHERE if kernels() is None else _cpu.CLAIMS
        return {key: claim for key, claim in claims.items() if key[1] != "bfloat16"}
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def softmax(x: Array, *, axis: int, where: Array | None, out: Array | None) -> Array:
    """Return softmax of ``x`` along ``axis``; see ``softmax_variants.softmax``."""
    rows = kernels()
    value: Array | None = None
    if rows is not None:
        value = rows.weights("softmax", axis, None, x, None, None, None, where, out)
    return _blocked.softmax(x, axis=axis, where=where, out=out) if value is None else value


def ssmax(
    x: Array, s: Any, b: Any, *, n: Any, axis: int, where: Array | None, out: Array | None
) -> Array:
    """Return SSMax of ``x`` along ``axis``; see ``softmax_variants.ssmax``."""
    rows = kernels()
    value: Array | None = None
    if rows is not None:
        value = rows.weights("ssmax", axis, None, x, s, b, n, where, out)
    if value is None:
        value = _blocked.ssmax(x, s, b, n=n, axis=axis, where=where, out=out)
    return value


def sa_softmax(
    x: Array,
    *,
    form: str,
    detach_extrema: bool,
    axis: int,
    where: Array | None,
    out: Array | None,
) -> Array:
    """Return SA-Softmax of ``x`` along ``axis``; see ``softmax_variants.sa_softmax``."""
    rows = kernels()
    value: Array | None = None
    if rows is not None:
        value = rows.weights("sa_softmax", axis, form, x, None, None, None, where, out)
    if value is None:
        value = _blocked.sa_softmax(
            x, form=form, detach_extrema=detach_extrema, axis=axis, where=where, out=out
        )
    return value


def softmax_vjp(x: Array, dy: Array, *, axis: int, where: Array | None) -> Array:
    """Return dx of softmax; see ``softmax_variants.softmax_vjp``."""
    rows = kernels()
    found: tuple[Array, ...] | None = None
    if rows is not None:
        found = rows.gradients("softmax", axis, None, False, x, dy, None, None, None, where)  # noqa: FBT003
    return _blocked.softmax_vjp(x, dy, axis=axis, where=where) if found is None else found[0]


def ssmax_vjp(
    x: Array, dy: Array, s: Any, b: Any, *, n: Any, axis: int, where: Array | None
) -> tuple[Array, Array, Array]:
    """Return (dx, ds, db) of SSMax; see ``softmax_variants.ssmax_vjp``."""
    rows = kernels()
    found: Any = None
    if rows is not None:
        found = rows.gradients("ssmax", axis, None, False, x, dy, s, b, n, where)  # noqa: FBT003
    if found is None:
        return _blocked.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where)
    gradients: tuple[Array, Array, Array] = found
    return gradients


def sa_softmax_vjp(
    x: Array, dy: Array, *, form: str, detach_extrema: bool, axis: int, where: Array | None
) -> Array:
    """Return dx of SA-Softmax; see ``softmax_variants.sa_softmax_vjp``."""
    rows = kernels()
    found: tuple[Array, ...] | None = None
    if rows is not None:
        rest = (x, dy, None, None, None, where)
        found = rows.gradients("sa_softmax", axis, form, detach_extrema, *rest)
    if found is None:
        return _blocked.sa_softmax_vjp(
            x, dy, form=form, detach_extrema=detach_extrema, axis=axis, where=where
        )
    return found[0]
