"""The whole family on any array API namespace, with standard functions only.

No compiled code, no data-dependent control flow. Narrow dtypes are evaluated through binary64 and
rounded once; float64, and all dtypes where the device has no binary64, in two-word arithmetic.
Sums are trees of the row length only, and the exponential and the logarithm are our own, so a
row's bits do not depend on batch, position, layout or axis.

Known limit: in two words, a row's dy are scaled by the largest. A dy that is smaller than that by
2**900 (2**60 in words of binary32) or more is lost, which shows where the largest meets a gate of
exactly 0: ``sa_softmax_vjp([-1, 0, 3], [1.7e308, 1e-270, 2e-270], form="minmax",
detach_extrema=True)`` gives 0 in its last two entries.

This module is also the fallback of the other backends.
"""

from __future__ import annotations

import numpy as np

from . import _functions

__all__ = [
    "CLAIMS",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

CLAIMS: dict[tuple[str, str], str | float] = {
    (function, dtype): "tight" if dtype == "float64" else 0.5 + 2.0**-13
    for function in ("softmax", "ssmax", "sa_softmax")
    for dtype in ("float16", "bfloat16", "float32", "float64")
}
"""Accuracy class, or largest error in ULP, by function and dtype, where there is binary64."""

# NumPy (and what is built on it) warns of overflow in intermediate steps that are then replaced.
_quiet = np.errstate(all="ignore")

softmax = _quiet(_functions.softmax)
ssmax = _quiet(_functions.ssmax)
sa_softmax = _quiet(_functions.sa_softmax)
softmax_vjp = _quiet(_functions.softmax_vjp)
ssmax_vjp = _quiet(_functions.ssmax_vjp)
sa_softmax_vjp = _quiet(_functions.sa_softmax_vjp)
