"""Calls that the suite does not make: other dtypes of n, s and b, layouts of where, odd numbers."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from backend_support.rows import random_case
from softmax_variants_spec.conformance.blocks import Generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.context import Context

__all__ = ["more_calls"]

_ROWS = 60
_SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -3.0)
_INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
# PyTorch has not the arithmetic of the others.
_INTEGERS_OF_TORCH = ("int8", "uint8", "int16", "int32", "int64")


def more_calls(context: Context) -> None:
    """Make the calls, weights and gradients of each."""
    fmt, variant = context.fmt, context.variant
    seed = zlib.crc32(f"{variant.label}/{fmt.name}".encode())
    generator = Generator(fmt, variant.function, variant.form, seed)
    rng, lib = generator.random, context.subject.library

    def rows(x: Any, dy: Any = None, **options: Any) -> None:
        logits = np.asarray(x, np.float64)
        cotangent = rng.normal(0.0, 1.0, logits.shape) if dy is None else np.asarray(dy)
        _both(context, logits, cotangent, **options)

    for _ in range(_ROWS):
        case = random_case(rng, fmt, parameters=fmt, dy_bits=900)
        rows(case.x, case.dy, axis=0, s=case.s, b=case.b, n=case.n)
        rows(generator.any_finite((1, 6)), generator.any_finite((1, 6)), axis=1)
    rows(rng.normal(0.0, 4.0, (128, 128)), s=0.43, b=0.1)
    for axis in range(3):
        cube = rng.normal(0.0, 5.0, (3, 4, 5))
        rows(cube, axis=axis)
        rows(cube, axis=axis, where=rng.random((4, 5)) < 0.6)
        rows(cube, axis=axis, where=rng.random((3, 1, 1)) < 0.5)
    for shape in ((0, 4), (4, 0), (3, 0, 2), (1, 1)):
        rows(np.zeros(shape))
    rows(rng.choice(_SPECIAL, (24, 3)), rng.choice(_SPECIAL, (24, 3)))
    rows(rng.choice(_SPECIAL, (24, 3)), where=rng.random((24, 3)) < 0.6)
    if variant.function == "ssmax":
        _parameters(rows, rng, lib)


def _parameters(rows: Callable[..., None], rng: np.random.Generator, lib: Any) -> None:
    x = rng.normal(0.0, 5.0, (2, 4, 6))
    names = _INTEGERS_OF_TORCH if lib.name == "torch" else _INTEGERS
    for name in names:
        largest = int(np.iinfo(name).max)
        n = lib.asarray(np.asarray([[[1]], [[largest]]], name))
        rows(x, n=n)
        rows(x, n=lib.asarray(np.asarray([[[0]], [[3]]], name)))
        if name.startswith("i"):
            rows(x, n=lib.asarray(np.asarray([[[-2]], [[5]]], name)))
    for name in [one for one in lib.formats() if one != "bfloat16"]:
        rows(x, s=lib.asarray(np.asarray([[[0.3]], [[-1.7]]]), name), b=0.25)
        rows(x, b=lib.asarray(np.asarray([[0.3], [-1.7], [0.0], [4.0]]), name), s=0.25)
        rows(x, s=lib.asarray(np.asarray(0.7), name), b=lib.asarray(np.asarray([0.7]), name))
    for value in _SPECIAL:
        by_row = lib.asarray(np.asarray([[[value]], [[0.5]]]), "float32")
        rows(x, s=by_row)
        rows(x, b=by_row)
        rows(x, n=by_row)
    for n in (1, 2, 3, 2**24 + 1, 2**53 + 1, 2**1100, 0.1, 5e-324, 1.7e308):
        rows(x, s=0.37, b=-0.2, n=n)
    for s in (1e-310, 3e300, 2**70 + 1, 1 / 3, -(2.0**-60)):
        rows(x, s=s)
        rows(x, s=0.0, b=s)
        rows(x * 0.01, s=s, b=-s)


def _both(
    context: Context,
    x: Any,
    dy: Any,
    *,
    axis: int = 1,
    where: Any = None,
    s: Any = 1.0,
    b: Any = 0.0,
    n: Any = None,
) -> None:
    """Call both functions; an exception is a result like others."""
    subject, variant, lib = context.subject, context.variant, context.subject.library
    if variant.function != "ssmax":
        s, b, n = 1.0, 0.0, None
    with np.errstate(over="ignore"):
        arguments = {
            "x": lib.asarray(x, context.dtype),
            "dy": lib.asarray(dy, context.dtype),
            "where": None if where is None else lib.asarray(where),
            "s": s,
            "b": b,
            "n": n,
        }
    for detach_extrema in (False, True) if variant.has_extrema else (False,):
        subject.vjp(variant, arguments, axis=axis, detach_extrema=detach_extrema)
    subject.weights(variant, arguments, axis=axis)
