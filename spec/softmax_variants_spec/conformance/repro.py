"""Lines to paste that show a fault again, in hexadecimal, with the exact value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np

from softmax_variants_spec import exact

from .references import rows_of

if TYPE_CHECKING:
    from .blocks import Block
    from .context import Context

__all__ = ["call_lines", "gradient_lines", "weight_lines"]

_LONGEST = 40


def _floats(values: Any) -> str:
    return "[" + ", ".join(f'h("{float(v).hex()}")' for v in values) + "]"


def _number(value: Any) -> str:
    if isinstance(value, int):
        return repr(value)
    return f'h("{float(value).hex()}")'


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
    lines = [
        f"import {lib.namespace.__name__} as xp, {subject.module.__name__} as backend",
        "h = float.fromhex",
    ]
    if block.x.shape[1] <= _LONGEST:
        lines.append(f"x = {lib.literal(_floats(one.x[0]), dtype)}")
        if vjp:
            lines.append(f"dy = {lib.literal(_floats(one.dy[0]), dtype)}")
        where = "None" if one.where is None else f"xp.asarray({one.where[0].tolist()})"
    else:
        regime, index = place.rstrip("]").split("[")
        lines += [
            "from softmax_variants_spec.conformance import rows",
            f'one = rows("{variant.label}", "{dtype}", "{regime}", {index}, {row})',
            f"x = {lib.literal('one.x[0]', dtype)}",
        ]
        if vjp:
            lines.append(f"dy = {lib.literal('one.dy[0]', dtype)}")
        where = "None" if one.where is None else "xp.asarray(one.where[0])"
    arguments = ["x", "dy"] if vjp else ["x"]
    options = []
    if variant.function == "ssmax":
        s, b, n = (v[0, 0].item() if isinstance(v, np.ndarray) else v for v in (one.s, one.b, one.n))
        arguments += [_number(s), _number(b)]
        options.append("n=None" if n is None else f"n={_number(n)}")
    if variant.form is not None:
        options += [f'form="{variant.form}"', f"detach_extrema={detach_extrema}"]
    options += ["axis=0", f"where={where}"]
    if not vjp:
        options.append("out=None")
    name = f"{variant.function}_vjp" if vjp else variant.function
    lines.append(f"result = backend.{name}({', '.join(arguments + options)})")
    return lines


def _exact_text(value: Any) -> str:
    with mpmath.workprec(200):
        return str(mpmath.nstr(value, 40))


def weight_lines(
    context: Context, block: Block, place: str, row: int, entry: int, got: float
) -> list[str]:
    """Return the call, what came out and the exact weight to 40 digits."""
    weight = exact.weights(rows_of(block.take(slice(row, row + 1)), context.variant)[0], context.fmt)
    value = weight[entry]
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
