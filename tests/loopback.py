"""A backend that is the exact reference itself, rounded: the suite must find it correct."""

from __future__ import annotations

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


def _along(values: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Return an operand broadcast to x, its rows last and in order: shape (rows, length)."""
    length = np.shape(values)[axis - len(shape)] if np.ndim(values) >= len(shape) - axis else 1
    full = shape if length == shape[axis] else (*shape[:axis], 1, *shape[axis + 1 :])
    moved = np.moveaxis(np.broadcast_to(values, full), axis, -1)
    return moved.reshape(-1, full[axis])


def _rows(
    x: Any, axis: int, where: Any, parameters: dict[str, Any], **options: Any
) -> Iterator[Row]:
    masks = None if where is None else np.broadcast_to(where, x.shape)
    columns = {
        name: [None] * (x.size // x.shape[axis])
        if value is None
        else _along(value, x.shape, axis)[:, 0].tolist()
        for name, value in parameters.items()
    }
    function = options.pop("function")
    logits = _along(x, x.shape, axis)
    hidden = None if masks is None else _along(masks, x.shape, axis)
    for i, row in enumerate(logits):
        mine = {name: column[i] for name, column in columns.items()}
        mask = None if hidden is None else tuple(hidden[i].tolist())
        yield Row(function, tuple(row.tolist()), where=mask, **mine, **options)


def _back(rows: list[list[float]], like: Any, axis: int) -> Any:
    """Return rows of results as an array of the shape and dtype of ``like``."""
    shape = np.moveaxis(like, axis, -1).shape
    return np.moveaxis(np.asarray(rows, dtype=like.dtype).reshape(shape), -1, axis)


def _forward(x: Any, axis: int, where: Any, out: Any, **options: Any) -> Any:
    y = np.zeros_like(x)
    if x.size:
        fmt = FORMATS[x.dtype.name]
        parameters = options.pop("parameters", {})
        rows = _rows(x, axis, where, parameters, **options)
        y = _back([[w.rounded for w in _weights(row, fmt)] for row in rows], x, axis)
    if out is None:
        return y
    out[...] = y
    return out


def _backward(x: Any, dy: Any, axis: int, where: Any, **options: Any) -> Any:
    if not x.size:
        return np.zeros_like(x)
    fmt = FORMATS[x.dtype.name]
    rows = _rows(x, axis, where, options.pop("parameters", {}), **options)
    cotangents = _along(dy, x.shape, axis)
    results = [
        [fmt.round(g.value) for g in _gradient(row, tuple(v.tolist()), fmt)]
        for row, v in zip(rows, cotangents, strict=True)
    ]
    return _back(results, x, axis)


def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
    return _forward(x, axis, where, out, function="softmax")


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    return _backward(x, dy, axis, where, function="softmax")


def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
    parameters = {"s": s, "b": b, "n": n}
    return _forward(x, axis, where, out, function="ssmax", parameters=parameters)


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any) -> Any:
    parameters = {"s": s, "b": b, "n": n}
    dx = _backward(x, dy, axis, where, function="ssmax", parameters=parameters)
    fmt = FORMATS[x.dtype.name]
    shares = []
    if x.size:
        rows = _rows(x, axis, where, parameters, function="ssmax")
        cotangents = _along(dy, x.shape, axis)
        shares = [
            _parameter_gradients(row, tuple(v.tolist()), fmt)
            for row, v in zip(rows, cotangents, strict=True)
        ]
    by_row = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return (
        dx,
        _summed([share.ds for share in shares], by_row, s, x.dtype),
        _summed([share.db for share in shares], by_row, b, x.dtype),
    )


def _summed(shares: list[Any], rows: tuple[int, ...], parameter: Any, dtype: Any) -> Any:
    """Return the rows' shares summed to the parameter's shape, rounded once to its dtype."""
    dtype = getattr(parameter, "dtype", dtype)
    fmt, shape = FORMATS[dtype.name], np.shape(parameter)
    totals = np.full(shape, mpmath.mpf(0), dtype=object)
    view = totals.reshape((1,) * (len(rows) - len(shape)) + shape)
    # The shares come in the order of `rows`, whose axis of length 1 does not change it.
    with mpmath.workprec(4096):
        for index, share in zip(np.ndindex(*rows), shares, strict=True) if shares else ():
            at = tuple(min(i, length - 1) for i, length in zip(index, view.shape, strict=True))
            view[at] += share
    rounded = [fmt.round(total) for total in totals.ravel()]
    return np.asarray(rounded, dtype=dtype).reshape(shape)


def sa_softmax(
    x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any
) -> Any:
    return _forward(x, axis, where, out, function="sa_softmax", form=form)


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    options = {"form": form, "detach_extrema": detach_extrema}
    return _backward(x, dy, axis, where, function="sa_softmax", **options)
