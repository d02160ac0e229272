"""A backend that is the exact reference itself, rounded: the suite must find it correct."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np

from softmax_variants_spec import exact
from softmax_variants_spec.exact import Row
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

CLAIMS = {
    (function, dtype): "correct"
    for function in ("softmax", "ssmax", "sa_softmax")
    for dtype in ("float16", "float32", "float64")
}

# The suite asks for the same rows in many arrangements.
_weights = lru_cache(maxsize=1 << 14)(exact.weights)
_gradient = lru_cache(maxsize=1 << 14)(exact.gradient)
_parameter_gradients = lru_cache(maxsize=1 << 14)(exact.parameter_gradients)


def _entries(values: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Return an operand broadcast to x as (rows, length)."""
    return np.moveaxis(np.broadcast_to(values, shape), axis, -1).reshape(-1, shape[axis])


def _by_row(value: Any, shape: tuple[int, ...], axis: int) -> list[Any]:
    """Return a parameter's number for every row, in the order of ``_entries``."""
    rows = (*shape[:axis], 1, *shape[axis + 1 :])
    if value is None:
        return [None] * math.prod(rows)
    column: list[Any] = np.broadcast_to(value, rows).ravel().tolist()
    return column


def _rows(
    function: str, x: Any, axis: int, where: Any, parameters: dict[str, Any], **options: Any
) -> Iterator[Row]:
    columns = {name: _by_row(value, x.shape, axis) for name, value in parameters.items()}
    hidden = None if where is None else _entries(where, x.shape, axis)
    for i, row in enumerate(_entries(x, x.shape, axis)):
        mine = {name: column[i] for name, column in columns.items()}
        mask = None if hidden is None else tuple(hidden[i].tolist())
        yield Row(function, tuple(row.tolist()), where=mask, **mine, **options)


def _back(rows: list[list[float]], like: Any, axis: int) -> Any:
    """Return rows of results as an array of the shape and dtype of ``like``."""
    shape = np.moveaxis(like, axis, -1).shape
    return np.moveaxis(np.asarray(rows, dtype=like.dtype).reshape(shape), -1, axis)


def _forward(function: str, x: Any, axis: int, where: Any, out: Any, **options: Any) -> Any:
    y = np.zeros_like(x)
    if x.size:
        fmt = FORMATS[x.dtype.name]
        rows = _rows(function, x, axis, where, **options)
        y = _back([[weight.rounded for weight in _weights(row, fmt)] for row in rows], x, axis)
    if out is None:
        return y
    out[...] = y
    return out


def _backward(function: str, x: Any, dy: Any, axis: int, where: Any, **options: Any) -> Any:
    if not x.size:
        return np.zeros_like(x)
    fmt = FORMATS[x.dtype.name]
    rows = _rows(function, x, axis, where, **options)
    cotangents = [tuple(one) for one in _entries(dy, x.shape, axis).tolist()]
    results = [
        [fmt.round(entry.value) for entry in _gradient(row, cotangent, fmt)]
        for row, cotangent in zip(rows, cotangents, strict=True)
    ]
    return _back(results, x, axis)


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    return _forward("softmax", x, axis, where, out, parameters={})


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    return _backward("softmax", x, dy, axis, where, parameters={})


def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    return _forward("ssmax", x, axis, where, out, parameters={"s": s, "b": b, "n": n})


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    parameters = {"s": s, "b": b, "n": n}
    dx = _backward("ssmax", x, dy, axis, where, parameters=parameters)
    fmt = FORMATS[x.dtype.name]
    shares = []
    if x.size:
        rows = _rows("ssmax", x, axis, where, parameters)
        cotangents = [tuple(one) for one in _entries(dy, x.shape, axis).tolist()]
        pairs = zip(rows, cotangents, strict=True)
        shares = [_parameter_gradients(row, cotangent, fmt) for row, cotangent in pairs]
    by_row = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    ds = _summed([share.ds for share in shares], by_row, s, x.dtype)
    return dx, ds, _summed([share.db for share in shares], by_row, b, x.dtype)


def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any) -> Any:
    return _forward("sa_softmax", x, axis, where, out, parameters={}, form=form)


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    options = {"form": form, "detach_extrema": detach_extrema}
    return _backward("sa_softmax", x, dy, axis, where, parameters={}, **options)


def _summed(shares: list[Any], rows: tuple[int, ...], parameter: Any, dtype: Any) -> Any:
    """Return the rows' shares summed to the parameter's shape, rounded once to its dtype."""
    dtype = getattr(parameter, "dtype", dtype)
    fmt, shape = FORMATS[dtype.name], np.shape(parameter)
    totals = np.full(shape, mpmath.mpf(0), dtype=object)
    view = totals.reshape((1,) * (len(rows) - len(shape)) + shape)
    # The shares come in the order of `rows`, whose axis of length 1 does not change it.
    with mpmath.workprec(4096):
        for index, share in zip(np.ndindex(*rows), shares, strict=bool(shares)):
            at = tuple(min(i, length - 1) for i, length in zip(index, view.shape, strict=True))
            view[at] += share
    rounded = [fmt.round(total) for total in totals.ravel()]
    return np.asarray(rounded, dtype=dtype).reshape(shape)
