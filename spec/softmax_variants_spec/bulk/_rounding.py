"""Rounding of double words to a format, once, with what the error bound leaves open."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from softmax_variants_spec.bulk._twofold import Array, Pair, two_sum
from softmax_variants_spec.formats import Format

Flags = npt.NDArray[np.bool_]
Exponents = npt.NDArray[np.int32]
Index = npt.NDArray[np.intp] | tuple[npt.NDArray[np.intp], ...]

# The residual of a number that is not exact is not 0: its sign tells the side.
_TINY = 2.0**-1074


class Decision(NamedTuple):
    """What is known of the rounding of an array of numbers; arrays of one shape.

    Where ``open_`` holds, the error bound does not decide the rounding, the binade of the exact
    value or whether it is representable, and the other fields mean nothing.
    """

    rounded: Array
    residual: Array
    ulp_exponent: Exponents
    exact: Flags
    open_: Flags

    def put(self, index: Index, part: "Decision") -> None:
        """Replace what is known at an index."""
        self.rounded[index] = part.rounded
        self.residual[index] = part.residual
        self.ulp_exponent[index] = part.ulp_exponent
        self.exact[index] = part.exact
        self.open_[index] = part.open_


def decide(
    value: Pair,
    exponent: Exponents,
    fmt: Format,
    error: Array | float,
    direction: Exponents | None = None,
) -> Decision:
    """Round y = value · 2^exponent · (1 + ε), |ε| ≤ error, to nearest, ties to even.

    Parameters
    ----------
    value : pair of float64 arrays
        A double word, not 0, between 2^-900 and 2^900 in magnitude.
    exponent : int32 array
        The power of two that belongs to it.
    fmt : Format
        The format to round to.
    error : float64 array or float
        The bound of ε, at most 2^-76.
    direction : int32 array, optional
        The sign of ε, where it is known; 0 says that ε is 0. Without it nothing is known.

    Returns
    -------
    Decision
        The rounding, and where it is open.
    """
    known = direction is not None
    toward = np.int32(0) if direction is None else direction
    sign = np.copysign(1.0, value[0])
    mantissa, binade = np.frexp(np.abs(value[0]))
    low = np.ldexp(value[1] * sign, -binade)
    top = exponent + binade  # |y| lies in [2^(top-1), 2^top), but for the low word:
    edge = mantissa == 0.5
    below = edge & ((low < 0) | ((low == 0) & (toward < 0)))
    # Exponents of the smallest ULP, of subnormals, and of the largest, kept beyond the range.
    finest, coarsest = fmt.emin - fmt.precision + 1, fmt.emax - fmt.precision + 1
    mantissa = np.where(below, 1.0, mantissa)
    low = np.where(below, 2.0 * low, low)
    top = np.where(below, top - 1, top)

    # |y| in units of its ulp: (high, low), scaled by a power of two, exact. Below 2^-200 ulp it may
    # stand for anything there, as it rounds to 0 and its residual is 0 to 60 digits.
    ulp_exponent = np.clip(top - fmt.precision, finest, coarsest)
    shift = np.maximum(top - ulp_exponent, -200)
    high = np.ldexp(mantissa, shift)
    low = np.ldexp(low, shift)
    # Within the range high ≤ 2^53: the difference to the nearest integer is exact, its sum with low
    # is kept in two words. |low| ≤ 1/2, so |part| ≤ 1.
    integer = np.rint(high)
    part, rest = two_sum(high - integer, low)
    side = np.copysign(1.0, part)
    # Beyond the midpoint by `beyond`: the first difference is exact where it matters (part in
    # [1/4, 1]), so the sign is right, and 0 is 0.
    beyond = (np.abs(part) - 0.5) + side * rest
    midpoint = beyond == 0
    # The integer is even there: rint chose it, or, where high has no fraction, the rounding of the
    # pair did. So a midpoint steps only where the number is known to lie beyond it.
    step = np.where((beyond > 0) | (midpoint & (toward == side)), side, 0.0)
    integer = integer + step
    residual = (part - step) + rest

    spread = high * error * (1 + 2.0**-20)  # the factor covers the roundings of `beyond`
    near_midpoint = np.abs(beyond) <= spread
    near_number = np.abs(residual) <= spread
    exact = np.zeros(midpoint.shape, dtype=np.bool_)
    if known:
        near_midpoint &= ~midpoint
        near_number &= residual != 0
        exact = (residual == 0) & (toward == 0)
        residual = np.where(residual == 0, toward * _TINY, residual)

    with np.errstate(over="ignore"):  # beyond binary64's range: ldexp's ±inf is the rounding
        rounded = np.ldexp(integer, ulp_exponent)
    # integer·2^ulp_exponent is either in the format or at least 2^(emax+1), which ±inf stands for.
    infinite = rounded > fmt.max
    far = top > fmt.emax + 1
    residual = np.where(infinite, np.minimum(residual, 0.0), residual)
    residual = np.where(far, 0.0, residual)
    rounded = np.where(infinite, np.inf, rounded)
    return Decision(
        sign * rounded + 0.0,  # no -0
        sign * residual,
        ulp_exponent,
        exact & ~infinite,
        (near_midpoint | near_number) & ~far,
    )
