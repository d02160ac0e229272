"""Lines to paste that show a fault again, in hexadecimal, with the exact value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np

from softmax_variants_spec import exact

from .references import rows_of

if TYPE_CHECKING:
    from .blocks import Block
    from .context import Context

__all__ = ["call_lines", "gradient_lines", "parameter_lines", "weight_lines"]

_LONGEST = 40


def _floats(values: Any) -> str:
    return "[" + ", ".join(f'h("{float(v).hex()}")' for v in values) + "]"


def _number(value: Any) -> str:
    if isinstance(value, int):
        return repr(value)
    return f'h("{float(value).hex()}")'


def _parameter(context: Context, value: Any, name: str) -> str:
    """Return source code for s, b or n of one row."""
    if not isinstance(value, np.ndarray):
        return _number(value)
    number = value[0, 0].item()
    if math.isfinite(number) and (name != "n" or number > 0):
        return _number(number)
    # What the public API refuses as a Python number reaches backends in arrays only.
    subject, dtype = context.subject, context.dtype
    kind = subject.dtype_of_n(value, dtype) if name == "n" else dtype
    return subject.library.literal(f"[{_number(number)}]", kind)


def call_lines(
    context: Context,
    block: Block,
    place: str,
    row: int,
    *,
    vjp: bool = False,
    detach_extrema: bool = False,
) -> list[str]:
    """Return lines that call the backend on one row of a block."""
    subject, variant, dtype = context.subject, context.variant, context.dtype
    lib, one = subject.library, block.take(slice(row, row + 1))
    lines = _import_lines(context)
    if block.x.shape[1] <= _LONGEST:
        lines.append(f"x = {lib.literal(_floats(one.x[0]), dtype)}")
        if vjp:
            lines.append(f"dy = {lib.literal(_floats(one.dy[0]), dtype)}")
        where = "None" if one.where is None else lib.literal(str(one.where[0].tolist()))
    else:
        lines += [*_rows_lines(context, place, row), f"x = {lib.literal('one.x[0]', dtype)}"]
        if vjp:
            lines.append(f"dy = {lib.literal('one.dy[0]', dtype)}")
        where = "None" if one.where is None else lib.literal("one.where[0]")
    arguments = ["x", "dy"] if vjp else ["x"]
    options = []
    if variant.function == "ssmax":
        s, b, n = (
            None if value is None else _parameter(context, value, name)
            for name, value in (("s", one.s), ("b", one.b), ("n", one.n))
        )
        arguments += [str(s), str(b)]
        options.append(f"n={n}")
    if variant.form is not None:
        options += [f'form="{variant.form}"', f"detach_extrema={detach_extrema}"]
    options += ["axis=0", f"where={where}"]
    if not vjp:
        options.append("out=None")
    name = f"{variant.function}_vjp" if vjp else variant.function
    lines.append(f"result = backend.{name}({', '.join(arguments + options)})")
    return lines


def _import_lines(context: Context) -> list[str]:
    xp, backend = context.subject.library.namespace.__name__, context.subject.module.__name__
    return [f"import {xp} as xp, {backend} as backend", "h = float.fromhex"]


def _rows_lines(context: Context, place: str, *rows: int) -> list[str]:
    """Return lines that make rows of a regime anew; ``place`` is the regime[block]."""
    regime, index = place.rstrip("]").split("[")
    label, numbers = context.variant.label, ", ".join(map(str, rows))
    return [
        "from softmax_variants_spec.conformance import rows",
        f'one = rows("{label}", "{context.dtype}", "{regime}", {index}, {numbers})',
    ]


def _exact_text(value: Any) -> str:
    with mpmath.workprec(200):
        return str(mpmath.nstr(value, 40))


def weight_lines(
    context: Context, block: Block, place: str, row: int, entry: int, got: float
) -> list[str]:
    """Return the call, what came out and the exact weight to 40 digits."""
    only = rows_of(block.take(slice(row, row + 1)), context.variant)[0]
    value = exact.weights(only, context.fmt)[entry]
    return [
        *call_lines(context, block, place, row),
        f"result[{entry}]  # got    {float(got).hex()} = {float(got)!r}",
        f"           # exact  {_exact_text(value.value)}",
        f"           # nearest {context.dtype}: {value.rounded.hex()}",
    ]


def gradient_lines(
    context: Context,
    block: Block,
    place: str,
    row: int,
    entry: int,
    got: float,
    *,
    detach_extrema: bool,
) -> list[str]:
    """Return the call, what came out and the exact gradient to 40 digits."""
    one = rows_of(block.take(slice(row, row + 1)), context.variant, detach_extrema=detach_extrema)
    value = exact.gradient(one[0], block.dy[row].tolist(), context.fmt)[entry]
    call = call_lines(context, block, place, row, vjp=True, detach_extrema=detach_extrema)
    part = "result[0]" if context.variant.function == "ssmax" else "result"
    return [
        *call,
        f"{part}[{entry}]  # got   {float(got).hex()} = {float(got)!r}",
        f"           # exact {_exact_text(value.value)}",
        f"           # scale of the bound {_exact_text(value.scale)}",
    ]


def parameter_lines(
    context: Context, block: Block, place: str, row: int, name: str, got: float
) -> list[str]:
    """Return the call, what came out and the exact gradient by s or b to 40 digits.

    The gradient by a parameter given by row is that of the row, the gradient by a Python number
    the sum over all rows of the block.
    """
    by_row = isinstance(getattr(block, name[1]), np.ndarray)
    chosen = slice(row, row + 1) if by_row else slice(0, len(block.x))
    part = block.take(chosen)
    with mpmath.workprec(400):
        exact_value = mpmath.fsum(
            getattr(exact.parameter_gradients(one, dy, context.fmt), name)
            for one, dy in zip(rows_of(part, context.variant), part.dy.tolist(), strict=True)
        )
    if by_row:
        call = call_lines(context, block, place, row, vjp=True)
    else:
        call = _block_lines(context, block, place)
    return [
        *call,
        f"result[{('dx', 'ds', 'db').index(name)}]  # got   {float(got).hex()} = {float(got)!r}",
        f"           # exact {_exact_text(exact_value)}",
    ]


def _block_lines(context: Context, block: Block, place: str) -> list[str]:
    """Return lines that call the vjp of SSMax on a whole block of a regime."""
    lib, dtype = context.subject.library, context.dtype

    def parameter(name: str) -> str:
        value = getattr(block, name)
        if value is None:
            return "None"
        if not isinstance(value, np.ndarray):
            return _number(value)
        if name != "n":
            return lib.literal(f"one.{name}", dtype)
        return lib.literal("one.n", context.subject.dtype_of_n(value, dtype))

    where = "None" if block.where is None else lib.literal("one.where")
    return [
        *_import_lines(context),
        *_rows_lines(context, place, 0, len(block.x)),
        f"x, dy = {lib.literal('one.x', dtype)}, {lib.literal('one.dy', dtype)}",
        f"result = backend.ssmax_vjp(x, dy, {parameter('s')}, {parameter('b')}, "
        f"n={parameter('n')}, axis=1, where={where})",
    ]
