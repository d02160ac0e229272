"""Numbers as the files spell them: hexadecimal floats, in one spelling each."""

from __future__ import annotations

import math
import re

__all__ = ["count_from_text", "from_hex", "shorten", "text_of_count", "to_hex"]

_HEX = re.compile(r"-?0x(0p\+0|1(\.[0-9a-f]{0,12}[1-9a-f])?p[+-](0|[1-9][0-9]*))|nan|-?inf")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")


def to_hex(v: float) -> str:
    """Spell a number of binary64: sign, 0x1, fraction without trailing zeros, binary exponent.

    Subnormal numbers are spelled like all others, with leading digit 1, so that a reader of a
    language without hexadecimal floats has one form to parse.

    Parameters
    ----------
    v
        Any float. NaN is ``nan``, zeros keep their sign.

    Examples
    --------
    >>> [to_hex(v) for v in (1.5, -0.0, 5e-324, float("-inf"))]
    ['0x1.8p+0', '-0x0p+0', '0x1p-1074', '-inf']
    """
    if v == 0 or not math.isfinite(v):
        text = str(v)
        return text.replace("0.0", "0x0p+0")
    mantissa, exponent = math.frexp(abs(v))
    digits, _ = (2 * mantissa).hex().removeprefix("0x1.").split("p")
    digits = digits.rstrip("0")
    sign = "-" if v < 0 else ""
    return f"{sign}0x1{'.' if digits else ''}{digits}p{exponent - 1:+d}"


def from_hex(text: object) -> float:
    """Read a number that `to_hex` has spelled.

    Raises
    ------
    ValueError
        If it is spelled in another way.

    Examples
    --------
    >>> from_hex("0x1.8p+0")
    1.5
    """
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        msg = f"a hexadecimal float such as '0x1.8p+1', 'nan' or '-inf' is wanted, got {text!r}"
        raise ValueError(msg)
    return float.fromhex(text)


def text_of_count(n: float | int) -> str:
    """Spell n: an integer in decimal digits, since it may be beyond 2^53, a real as `to_hex`.

    Examples
    --------
    >>> text_of_count(2**53 + 1), text_of_count(3.5)
    ('9007199254740993', '0x1.cp+1')
    """
    return str(n) if isinstance(n, int) else to_hex(n)


def count_from_text(text: object) -> float | int:
    """Read an n that `text_of_count` has spelled.

    Raises
    ------
    ValueError
        If it is spelled in another way.

    Examples
    --------
    >>> count_from_text("4096"), count_from_text("0x1.cp+1")
    (4096, 3.5)
    """
    if isinstance(text, str) and _WHOLE.fullmatch(text):
        return int(text)
    return from_hex(text)


def shorten(v: float, bits: int) -> float:
    """Round a number to a number of significant bits, ties to even; it never becomes 0.

    Examples
    --------
    >>> shorten(1 / 3, 9)
    0.3330078125
    """
    if v == 0 or not math.isfinite(v):
        return v
    mantissa, exponent = math.frexp(v)
    whole = round(math.ldexp(mantissa, bits))
    if exponent == 1024 and abs(whole) == 1 << bits:
        return math.copysign(math.inf, v)
    return math.ldexp(whole, exponent - bits)
