"""Vector-Jacobian products of the family.

With p the probabilities, y = r p, G = sum dy y and P = sum dy p over the present entries:

    dx_j = c p_j (r_j dy_j - G)                                  every variant
         + dy_j p_j / D                                          gates
         + lambda_j (G - P) / D - mu_j G / D                     minmax, normalized
         - lambda_j P                                            shifted

where lambda_j and mu_j are entry j's shares in the derivatives of the smallest and the largest
logit (all 0 when the extrema are detached).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _words as w
from ._gate_gradients import gate_gradient
from ._gates import gate
from ._gradient_parts import Parts
from ._rounding import round_to
from ._row_sums import RowSums, row_sums
from ._rows import exponentials, invalid_rows, mask_result, read_rows
from ._weights import scale_of_rows
from ._working import working_for

if TYPE_CHECKING:
    from ._parameters import Scale
    from ._words import Array, Number
    from ._working import Working

__all__ = ["RowSums", "vjp"]


def vjp(
    xp: Any,
    device: Any,
    x: Array,
    dy: Array,
    *,
    axis: int,
    where: Array | None,
    parameters: tuple[Any, Any, Any] | None = None,
    form: str | None = None,
    detach_extrema: bool = False,
    working: Working | None = None,
) -> tuple[Array, RowSums | None]:
    """Return dx and, with ``parameters`` (s, b, n), the rows' terms of ds and db.

    ``x`` must not be of size 0.
    """
    working = working or working_for(xp, device, x.dtype)
    rows = read_rows(x, where, axis, working)
    scale = None if parameters is None else scale_of_rows(rows, *parameters)
    exps = exponentials(rows, scale)
    finite = xp.isfinite(dy)
    invalid = invalid_rows(rows, scale) | rows.any(rows.present & ~finite)
    cotangent = working.lift(xp.where(rows.present & finite, dy, xp.zeros_like(dy)))
    parts = Parts(rows, exps, cotangent)
    if form is not None:
        gates = gate(rows, form, exps.alive)
        value = gate_gradient(parts, gates, form, detach_extrema=detach_extrema)
    else:
        value = _gradient(parts, scale)
    dx = round_to(working, mask_result(rows, value, invalid), x.dtype)
    return dx, None if scale is None else row_sums(parts, scale, invalid)


def _gradient(parts: Parts, scale: Scale | None) -> Number:
    """Return dx of softmax and SSMax, c p (dy - sum dy p)."""
    inner = w.subtract(parts.cotangent, parts.beside(parts.mean(parts.cotangent)))
    value = parts.times(parts.mantissa, inner)
    exponent = parts.exponent
    if scale is not None:
        factor, shift = _centre(parts.working, scale.c)
        value = parts.times(value, factor)
        exponent = exponent + scale.exponent - shift
    return parts.gradient(value, exponent)


def _centre(working: Working, c: Number) -> tuple[Number, Array]:
    """Return c times 2**shift, with |c| nearer to 1 where it was far, and the shift."""
    xp, emax, size = working.xp, working.emax, working.xp.abs(c[0])
    if not working.scaled:
        return c, working.choose_int(size > 0.0, 0, 0)
    near, step = 2.0 ** (emax // 10), emax * 3 // 10
    high, low = size >= near, (size < 1.0 / near) & (size > 0.0)
    power = xp.where(high, 2.0**-step, working.choose(low, 2.0**step, 1.0))
    return w.scale(c, power), xp.where(high, -step, working.choose_int(low, step, 0))
