"""SSMax's scale c = s ln n + b for each row, in two words, and its factors for the logits."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isinf
from typing import TYPE_CHECKING, Any

from . import _words as w
from ._elementary import logarithm

if TYPE_CHECKING:
    from ._words import Array, Number
    from ._working import Working

__all__ = ["Scale", "ssmax_scale"]


@dataclass(frozen=True)
class Scale:
    """The scale of each row, factored so that no product of words leaves the range.

    c * (x - v) = c * ((x * before - v * before) * after), with ``before`` and ``after`` powers of
    two; the true scale is c * before * after.
    """

    c: Number
    before: Array
    after: Array
    invalid: Array
    """Rows whose parameters make all present weights NaN."""
    log_n: Number
    exponent: Array
    """log2(before * after), integers."""


def _spread(array: Array, ndim: int, xp: Any) -> Array:
    """Return the array with leading axes of length 1 up to ``ndim``, as broadcasting would."""
    return xp.reshape(array, (1,) * (ndim - array.ndim) + tuple(array.shape))


def _python_words(value: Fraction, working: Working) -> tuple[float, float]:
    """Return a rational number as two words of the working type.

    A binary64 has 53 bits: two words of binary32 keep 48 of them, which is their precision.
    """
    high = _nearest_word(value, working)
    return high, 0.0 if isinf(high) else _nearest_word(value - Fraction(high), working)


def _exponent(value: Fraction) -> int:
    """Return the integer e with 2**e <= value < 2**(e + 1), for a positive value."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if value >= Fraction(2) ** exponent else exponent - 1


def _nearest_word(value: Fraction, working: Working) -> float:
    # Beyond the working type's range the row is invalid (its c rounds to infinity in the widest
    # type); the infinity says so.
    largest = Fraction(float(working.xp.finfo(working.dtype).max))
    if abs(value) > largest:
        return float("inf") if value > 0 else float("-inf")
    bits = working.constants.precision
    magnitude = abs(value)
    if not magnitude:
        return 0.0
    exponent = _exponent(magnitude)
    # Subnormal numbers have their own spacing; Python's numbers are binary64 at most.
    smallest = 3 - working.emax - bits
    unit = Fraction(2) ** max(exponent + 1 - bits, smallest)
    return float(round(value / unit) * unit)


def _parameter(value: Any, like: Array, working: Working) -> Number:
    """Return s, b or n as two words, with the number of axes of ``like``."""
    xp = working.xp
    if isinstance(value, (int, float, Fraction)):
        return _full_words(Fraction(value), like.ndim, working)
    value = _spread(value, like.ndim, xp)
    if xp.isdtype(value.dtype, "integral"):
        return _integer_words(value, working)
    high = xp.astype(value, working.dtype)
    return high, xp.zeros_like(high)


def _full_words(value: Fraction, ndim: int, working: Working) -> Number:
    """Return a rational number as two words, each an array of one element."""
    xp, ones = working.xp, (1,) * ndim
    return tuple(
        xp.full(ones, word, dtype=working.dtype, device=working.device)
        for word in _python_words(value, working)
    )


def _integer_words(value: Array, working: Working) -> Number:
    """Return non-negative integers as two words: exact up to 64 bits in two words of binary64.

    A count beyond 2**24 is no binary32, beyond 2**53 no binary64, so chunks of 16 bits are
    added in two words.
    """
    xp = working.xp
    bits = xp.iinfo(value.dtype).bits
    if bits < 32:
        value, bits = xp.astype(value, working.int_dtype), xp.iinfo(working.int_dtype).bits
    if xp.isdtype(value.dtype, "unsigned integer"):
        # PyTorch has no shifts of these. The cast keeps all bits, and they are all that is read.
        value = xp.astype(value, {32: xp.int32, 64: xp.int64}[bits])
    zero = xp.zeros(value.shape, dtype=working.dtype, device=working.device)
    total: Number = (zero, zero)
    for shift in reversed(range(0, bits, 16)):
        chunk = xp.astype((value >> shift) & 0xFFFF, working.dtype)
        total = w.add(total, (chunk * 2.0**shift, zero))
    return total


def _lifted(value: Any, words: Number, lift: Array, up: int, working: Working) -> Number:
    """Return the words of a parameter times ``lift``, which is 2**up where it is above 1.

    Words of a Python number are made afresh there: a tiny one has no room for its low word.
    """
    scaled = w.scale(words, lift)
    if not isinstance(value, (int, float)):
        return scaled
    raised = _full_words(Fraction(value) * 2**up, lift.ndim, working)
    return tuple(
        working.xp.where(lift > 1.0, word, other)
        for word, other in zip(raised, scaled, strict=True)
    )


def ssmax_scale(s: Any, b: Any, n: Any, *, count: Array, like: Array, working: Working) -> Scale:
    """Return the scale of each row; ``count`` holds |Omega| as integers, n is used if given."""
    xp, k = working.xp, working.constants
    given = count if n is None else n
    n_exponent = 0
    if isinstance(given, (int, float)) and given > 0:
        # A Python number may be beyond the range of the working type; its logarithm is not.
        n_exponent = _exponent(Fraction(given))
        given = Fraction(given) / Fraction(2) ** n_exponent
    n_words = _parameter(given, like, working)
    s_words = _parameter(s, like, working)
    b_words = _parameter(b, like, working)
    finite_n = xp.isfinite(n_words[0])
    if n is None:
        usable = n_words[0] > 0
        invalid = xp.zeros_like(usable)  # a row without present entries is 0, not NaN
    elif not isinstance(n, (int, float)) and xp.isdtype(n.dtype, "signed integer"):
        # The sign is lost in the chunks of 16 bits.
        usable = _spread(n, like.ndim, xp) > 0
        invalid = ~usable
    else:
        usable = finite_n & (n_words[0] > 0)
        invalid = ~usable
    invalid = invalid | ~xp.isfinite(s_words[0]) | ~xp.isfinite(b_words[0])
    n_words = (xp.where(usable, n_words[0], 1.0), xp.where(usable, n_words[1], 0.0))
    s_words = w.each(lambda word: xp.where(xp.isfinite(s_words[0]), word, 0.0), s_words)
    b_words = w.each(lambda word: xp.where(xp.isfinite(b_words[0]), word, 0.0), b_words)
    log_n = logarithm(xp, n_words, k, n_exponent)

    # Keep s ln n + b away from both ends of the range: Dekker's split overflows above 2**996, and
    # the low words of products below 2**-969 would underflow. Where ln n is 0, s does not count.
    emax = working.emax
    s_size = xp.where(log_n[0] == 0.0, 0.0, xp.abs(s_words[0]))
    b_size = xp.abs(b_words[0])
    large = (s_size > 2.0 ** (emax - 32)) | (b_size > 2.0 ** (emax - 32))
    small = (s_size < 2.0 ** (-emax // 2)) & (b_size < 2.0 ** (-emax // 2))
    down, up = emax // 8, emax // 2
    lift = xp.where(large, 2.0**-down, working.choose(small, 2.0**up, 1.0))
    s_words = _lifted(s, s_words, lift, up, working)
    s_words = w.each(lambda word: xp.where(s_size > 0.0, word, 0.0), s_words)
    b_words = _lifted(b, b_words, lift, up, working)
    c = w.add(w.multiply(s_words, log_n, k.splitter), b_words)
    size = xp.abs(c[0])
    true_size = xp.where(large, size * 2.0**down, size)
    invalid = invalid | ~xp.isfinite(true_size)

    if not working.scaled:
        one = working.full(lift, 1.0)
        true_c = xp.where(large, c[0] * 2.0**down, xp.where(small, c[0] * 2.0**-up, c[0]))
        true_c = xp.where(invalid, 0.0, true_c)
        zero = working.choose_int(large, 0, 0)
        return Scale((true_c,), one, one, invalid, (log_n[0],), zero)

    # Move |c| into 2**-far ... 2**far and the logits the other way: products of words then stay
    # in range wherever a weight is not 0. With |c| < 1 the logits are at least halved, so that
    # their difference cannot overflow; what halving rounds off is below 2**-1074 |c|.
    huge = large | (~small & (size > 2.0**k.far))
    tiny = small | (~large & (size < 2.0**-k.far))
    before = xp.where(tiny, 2.0**-k.shift, working.choose(huge | (size >= 1.0), 1.0, 0.5))
    after = working.choose(huge, 2.0**k.shift, 1.0)
    halved = working.choose_int(huge | (size >= 1.0), 0, -1)
    exponent = xp.where(tiny, -k.shift, halved) + working.choose_int(huge, k.shift, 0)
    move = 1.0 / (lift * before * after)
    c = w.scale(c, move)
    c = w.each(lambda word: xp.where(invalid, 0.0, word), c)
    return Scale(c, before, after, invalid, log_n, exponent)
