"""The one rounding of a number of the working type to the type of the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._working import format_name

if TYPE_CHECKING:
    from ._words import Array, Number
    from ._working import Working

__all__ = ["round_scaled", "round_to"]

_LARGEST = {"float16": 65504.0, "bfloat16": float.fromhex("0x1.fep127")}
_OVERFLOW_MIDPOINT = {"float16": 65520.0, "bfloat16": float.fromhex("0x1.ffp127")}


def round_to(working: Working, a: Number, dtype: Any) -> Array:
    """Return ``a`` rounded to ``dtype``, to nearest, ties to even.

    Casts from binary64 to 16 bits go through binary32 in several libraries and round twice, so
    the step to 16 bits is corrected by what the step to 32 left over.
    """
    xp = working.xp
    name = format_name(dtype)
    if dtype == working.dtype:
        return a[0]
    if name in {"float32", "float64"}:
        return xp.astype(a[0], dtype)
    if working.dtype == xp.float32:
        value, rest = a[0], a[1]
    else:
        value = xp.astype(a[0], xp.float32)
        rest = a[0] - xp.astype(value, working.dtype)
    near = xp.astype(value, dtype)
    near_wide = xp.astype(near, xp.float32)
    # A binary32 value is a midpoint of 16-bit numbers if the mirror image of the one neighbour is
    # the other (summed so that it does not overflow). The sign of the rest decides it then; else
    # the cast is right already.
    overflow = xp.abs(near_wide) == float("inf")
    other_wide = xp.where(overflow, xp.sign(value) * _LARGEST[name], value + (value - near_wide))
    other = xp.astype(other_wide, dtype)
    mirrored = (xp.astype(other, xp.float32) == other_wide) & (near_wide != value)
    midpoint = xp.where(overflow, xp.abs(value) == _OVERFLOW_MIDPOINT[name], mirrored)
    towards_other = xp.where(other_wide > near_wide, rest > 0, rest < 0)
    return xp.where(midpoint & towards_other, other, near)


def round_scaled(working: Working, a: Number, powers: tuple[Array, ...]) -> Number:
    """Return ``a`` times powers of two with the high word rounded once, also if subnormal.

    The product of the high word with the powers rounds where it is subnormal, to the wrong side
    if the high word lies on a midpoint of the subnormal numbers and the low word beyond it.
    """
    if len(a) == 1:
        return (_times(a[0], powers),)
    xp, value, rest = working.xp, a[0], a[1]
    near = _times(value, powers)
    near_wide = _over(near, powers)
    other_wide = value + (value - near_wide)
    other = _times(other_wide, powers)
    midpoint = (_over(other, powers) == other_wide) & (near_wide != value)
    # Beyond the range near and its mirror image are infinities of opposite signs.
    midpoint = midpoint & xp.isfinite(near)
    # Next to 0 only the smallest subnormal number has it for mirror image. Where subnormal numbers
    # are flushed, normal ones have, up to twice the smallest, and are no neighbours of 0.
    smallest = 2.0 ** (3 - working.emax - working.constants.precision)
    midpoint = midpoint & ((near != 0.0) | (xp.abs(other) <= smallest))
    towards_other = xp.where(other_wide > near_wide, rest > 0, rest < 0)
    return xp.where(midpoint & towards_other, other, near), _times(rest, powers)


def _times(a: Array, powers: tuple[Array, ...]) -> Array:
    for power in powers:
        a = a * power
    return a


def _over(a: Array, powers: tuple[Array, ...]) -> Array:
    for power in reversed(powers):
        a = a / power
    return a
