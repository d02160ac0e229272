"""Python numbers as kernels take them: floats, and logarithms in two words."""

from __future__ import annotations

from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

__all__ = ["exact_float", "log_words"]

# 40 digits are 132 bits, two words of binary64 have 107 at most.
_LOGARITHM = Context(prec=40)


@lru_cache(maxsize=4096)
def log_words(n: Any) -> tuple[float, float]:
    """Return ln n in two words; NaN if ``n`` is a number without one, or not finite.

    Their sum is within 2**-106 of ln n, relatively: ``Decimal`` takes any int or float exactly,
    and its logarithm is rounded correctly. So ln n is not lost where n is next to 1.
    """
    value = Decimal(n)
    if not (value.is_finite() and value > 0):
        return float("nan"), 0.0
    logarithm = _LOGARITHM.ln(value)
    high = float(logarithm)
    return high, float(_LOGARITHM.subtract(logarithm, Decimal(high)))


def exact_float(number: float) -> float | None:
    """Return a number as a float, None for an integer that no float equals."""
    try:
        value = float(number)
    except OverflowError:
        return None
    return value if value == number or value != value else None
