"""Subnormal numbers are flushed to 0, on the way in and out, as some devices and compilers do.

It declares so, and then holds what it claims. Not to declare it is the fault, which tests commit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from softmax_variants_backends import numpy as backend
from softmax_variants_backends.numpy import CLAIMS

__all__ = [
    "CLAIMS",
    "FLUSHES_SUBNORMALS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

FLUSHES_SUBNORMALS = True


def _flushed(values: Any) -> Any:
    """Return an array without subnormal numbers; other operands as they are."""
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        return values
    smallest = np.finfo(values.dtype).smallest_normal
    return np.where(np.abs(values) < smallest, values.dtype.type(0), values)


def _flush_out(y: Any) -> Any:
    y[...] = _flushed(y)
    return y


def softmax(x: Any, **options: Any) -> Any:
    return _flush_out(backend.softmax(_flushed(x), **options))


def ssmax(x: Any, s: Any, b: Any, **options: Any) -> Any:
    return _flush_out(backend.ssmax(_flushed(x), _flushed(s), _flushed(b), **options))


def sa_softmax(x: Any, **options: Any) -> Any:
    return _flush_out(backend.sa_softmax(_flushed(x), **options))


def softmax_vjp(x: Any, dy: Any, **options: Any) -> Any:
    return _flushed(backend.softmax_vjp(_flushed(x), _flushed(dy), **options))


def ssmax_vjp(x: Any, dy: Any, s: Any, b: Any, **options: Any) -> Any:
    parameters = _flushed(s), _flushed(b)
    gradients = backend.ssmax_vjp(_flushed(x), _flushed(dy), *parameters, **options)
    return tuple(_flushed(gradient) for gradient in gradients)


def sa_softmax_vjp(x: Any, dy: Any, **options: Any) -> Any:
    return _flushed(backend.sa_softmax_vjp(_flushed(x), _flushed(dy), **options))
