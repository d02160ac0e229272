"""The binary floating-point formats: spacing, neighbours and correct rounding, in exact arithmetic.

A number is a rational times a power of two, held in integers. It is never cast on the way, so
nothing is rounded before the one rounding that the caller asks for, and a number whose exponent
has hundreds of digits costs no more than any other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from mpmath import mpf

__all__ = ["BFLOAT16", "BINARY16", "BINARY32", "BINARY64", "FORMATS", "Exact", "Format"]

Exact: TypeAlias = Any
"""An exact number: ``mpmath.mpf``, ``fractions.Fraction``, ``int`` or ``float``."""

_Direction: TypeAlias = Literal["nearest", "towards zero", "away from zero"]


@dataclass(frozen=True)
class _Rational:
    """The positive number numerator / denominator · 2^shift."""

    numerator: int
    denominator: int
    shift: int

    def exponent(self) -> int:
        """Return the e with 2^e ≤ number < 2^(e+1)."""
        n, d = self.numerator, self.denominator
        # A quotient of an a-bit and a b-bit number lies in (2^(a-b-1), 2^(a-b+1)): two candidates.
        e = n.bit_length() - d.bit_length()
        below = n < d << e if e >= 0 else n << -e < d
        return e - below + self.shift

    def divide(self, exponent: int) -> tuple[int, int, int]:
        """Return quotient, remainder and divisor of the division by 2^exponent."""
        n, d, up = self.numerator, self.denominator, self.shift - exponent
        if up >= 0:
            return (*divmod(n << up, d), d)
        return (*divmod(n, d << -up), d << -up)


def _split(v: Exact) -> tuple[bool, _Rational | None]:
    """Return whether finite v is negative, and its magnitude (None for zero)."""
    if isinstance(v, mpf):
        sign, man, exp, _ = v._mpf_
        return bool(sign), _Rational(int(man), 1, int(exp)) if man else None
    numerator, denominator = v.as_integer_ratio()
    if numerator == 0:
        return False, None
    return numerator < 0, _Rational(abs(numerator), denominator, 0)


def _special(v: Exact) -> float | None:
    """Return v as a float where it is NaN or infinite, else None."""
    if isinstance(v, mpf):
        _, man, exp, _ = v._mpf_
        # Zero is the one finite mpf with mantissa 0, and it has exponent 0.
        return float(v) if not man and exp else None
    if isinstance(v, float) and not math.isfinite(v):
        return v
    return None


@dataclass(frozen=True)
class Format:
    """A binary floating-point format with subnormals and infinities.

    Parameters
    ----------
    name
        ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``.
    precision
        Bits of the significand, the implicit one included.
    emax
        Exponent of the largest binade: finite numbers are below 2^(emax+1).

    Notes
    -----
    Functions of a number v take an ``mpf``, a ``Fraction``, an ``int`` or a ``float``, all taken
    as exact. Zero has one sign here: results that are zero are ``0.0``.

    References
    ----------
    IEEE Std 754-2019, sections 3.3 (formats), 4.3 (rounding) and 7.4 (overflow). bfloat16 is the
    upper half of binary32.

    Examples
    --------
    >>> from fractions import Fraction
    >>> FORMATS["float16"].round(Fraction(1, 3)).hex()
    '0x1.5540000000000p-2'
    >>> FORMATS["float32"].max
    3.4028234663852886e+38
    """

    name: str
    precision: int
    emax: int

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal binade."""
        return 1 - self.emax

    @property
    def spacing_exponent(self) -> int:
        """Exponent of the spacing of subnormals, which is the smallest positive number."""
        return self.emin - self.precision + 1

    @property
    def max(self) -> float:
        """Largest finite number."""
        return math.ldexp(2**self.precision - 1, self.emax - self.precision + 1)

    @property
    def min_normal(self) -> float:
        """Smallest positive normal number."""
        return math.ldexp(1.0, self.emin)

    @property
    def min_subnormal(self) -> float:
        """Smallest positive number, η."""
        return math.ldexp(1.0, self.spacing_exponent)

    @property
    def unit_roundoff(self) -> float:
        """Largest relative error u of a rounding to nearest in the normal range: 2^-precision."""
        return math.ldexp(1.0, -self.precision)

    def round(self, v: Exact) -> float:
        """Round v to nearest, ties to even; from the midpoint above `max` on, to infinity.

        Examples
        --------
        >>> FORMATS["float16"].round(65519.99), FORMATS["float16"].round(65520)
        (65504.0, inf)
        """
        return self._round(v, "nearest", "nearest")

    def round_down(self, v: Exact) -> float:
        """Return the largest number of the format, infinities included, that is at most v.

        Examples
        --------
        >>> FORMATS["bfloat16"].round_down(1.001)
        1.0
        """
        return self._round(v, "towards zero", "away from zero")

    def round_up(self, v: Exact) -> float:
        """Return the smallest number of the format, infinities included, that is at least v.

        Examples
        --------
        >>> FORMATS["bfloat16"].round_up(1.001)
        1.0078125
        """
        return self._round(v, "away from zero", "towards zero")

    def ulp_exponent(self, v: Exact) -> int:
        """Return the e with ulp(v) = 2^e.

        Examples
        --------
        >>> FORMATS["float32"].ulp_exponent(1.0), FORMATS["float32"].ulp_exponent(0)
        (-23, -149)

        Notes
        -----
        Below the normal range, and at zero, it is the spacing of subnormals; beyond the range,
        where there is no number left to be spaced, that of the last binade.
        """
        if _special(v) is not None:
            return self.emax - self.precision + 1
        _, magnitude = _split(v)
        if magnitude is None:
            return self.spacing_exponent
        return self.spacing_in_binade(magnitude.exponent())

    def spacing_in_binade(self, exponent: int) -> int:
        """Return the e with ulp(v) = 2^e for the numbers v in [2^exponent, 2^(exponent+1)).

        Examples
        --------
        >>> FORMATS["float32"].spacing_in_binade(0)
        -23
        """
        return min(max(exponent, self.emin), self.emax) - self.precision + 1

    def representable(self, v: Exact) -> bool:
        """Tell whether v is a number of the format; infinities are, NaN is not.

        Examples
        --------
        >>> FORMATS["float16"].representable(2049)
        False
        """
        special = _special(v)
        if special is not None:
            return math.isinf(special)
        _, magnitude = _split(v)
        if magnitude is None:
            return True
        exponent = magnitude.exponent()
        if not self.spacing_exponent <= exponent <= self.emax:
            return False
        _, remainder, _ = magnitude.divide(self.spacing_in_binade(exponent))
        return remainder == 0

    def next_up(self, v: float) -> float:
        """Return the smallest number of the format above v.

        Examples
        --------
        >>> FORMATS["float16"].next_up(1.0), FORMATS["float16"].next_up(65504.0)
        (1.0009765625, inf)
        """
        if not self.representable(v):
            return self.round_up(v)
        if math.isinf(v):
            return v if v > 0 else -self.max
        # The spacing to the left of a power of two is half the one to the right of it. A quarter
        # of that cannot step over a neighbour, and reaching past v is all that round_up needs.
        return self.round_up(Fraction(v) + Fraction(2) ** (self.ulp_exponent(v) - 2))

    def next_down(self, v: float) -> float:
        """Return the largest number of the format below v.

        Examples
        --------
        >>> FORMATS["float16"].next_down(1.0)
        0.99951171875
        """
        return 0.0 - self.next_up(-v)

    def _round(self, v: Exact, positive: _Direction, negative: _Direction) -> float:
        special = _special(v)
        if special is not None:
            return special
        is_negative, magnitude = _split(v)
        if magnitude is None:
            return 0.0
        rounded = self._round_magnitude(magnitude, negative if is_negative else positive)
        return 0.0 - rounded if is_negative else rounded

    def _round_magnitude(self, magnitude: _Rational, direction: _Direction) -> float:
        exponent = magnitude.exponent()
        # Two early exits that keep integers short: no shift below is longer than the number
        # itself by more than emax + precision bits.
        if exponent > self.emax:
            return self.max if direction == "towards zero" else math.inf
        if exponent < self.spacing_exponent - 1:
            return self.min_subnormal if direction == "away from zero" else 0.0
        spacing = self.spacing_in_binade(exponent)
        quotient, remainder, divisor = magnitude.divide(spacing)
        if direction == "nearest":
            twice = 2 * remainder
            quotient += twice > divisor or (twice == divisor and quotient % 2 == 1)
        elif direction == "away from zero":
            quotient += remainder > 0
        # The quotient has at most `precision` bits, or is 2^precision: both are exact in binary64,
        # and so is the product, unless it is 2^(emax+1).
        if quotient == 1 << self.precision and exponent == self.emax:
            return math.inf
        return math.ldexp(quotient, spacing)


BINARY16 = Format("float16", precision=11, emax=15)
"""IEEE 754 binary16."""
BFLOAT16 = Format("bfloat16", precision=8, emax=127)
"""bfloat16: the exponents of binary32 with 8 bits of precision."""
BINARY32 = Format("float32", precision=24, emax=127)
"""IEEE 754 binary32."""
BINARY64 = Format("float64", precision=53, emax=1023)
"""IEEE 754 binary64."""

FORMATS: dict[str, Format] = {
    format_.name: format_ for format_ in (BINARY16, BFLOAT16, BINARY32, BINARY64)
}
"""Every format by its name."""
