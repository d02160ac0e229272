"""Weights of the family: y_i = r_i exp(c x_i) / sum_j exp(c x_j) over the present entries."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from ._gates import gate, gated
from ._parameters import Scale, ssmax_scale
from ._rounding import round_scaled, round_to
from ._rows import exponentials, invalid_rows, mask_result, read_rows
from ._working import Working, working_for

if TYPE_CHECKING:
    from ._rows import Rows
    from ._words import Array

__all__ = ["scale_of_rows", "weights"]


def scale_of_rows(rows: Rows, s: Any, b: Any, n: Any) -> Scale:
    """Return SSMax's scale of each row."""
    count = rows.count(rows.present)
    return ssmax_scale(s, b, n, count=count, like=rows.largest, working=rows.working)


def weights(
    xp: Any,
    device: Any,
    x: Array,
    *,
    axis: int,
    where: Array | None,
    parameters: tuple[Any, Any, Any] | None = None,
    form: str | None = None,
    working: Working | None = None,
) -> Array:
    """Return the weights of ``x`` along ``axis``.

    ``parameters`` are SSMax's (s, b, n) or None, ``form`` is SA-Softmax's gate or None;
    ``working`` overrides the choice of the working type.
    """
    if not prod(x.shape):
        return xp.zeros_like(x)
    working = working or working_for(xp, device, x.dtype)
    rows = read_rows(x, where, axis, working)
    scale = None if parameters is None else scale_of_rows(rows, *parameters)
    exps = exponentials(rows, scale)
    probability = exps.normalized(working.constants.splitter)
    if form is None:
        value = round_scaled(working, probability, (exps.root, exps.rest))
    else:
        value = gated(rows, gate(rows, form, exps.alive), exps, probability)
    return round_to(working, mask_result(rows, value, invalid_rows(rows, scale)), x.dtype)
