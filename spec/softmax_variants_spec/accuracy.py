r"""Accuracy classes: how errors of a backend are measured, and what each class allows.

**Weights.** The error of a weight is measured against the unrounded exact one, in ULP of the
format. The classes, from the strictest:

- ``correct``: equal to the exact weight rounded to nearest, ties to even;
- ``faithful``: one of the two numbers of the format next to the exact weight, or the weight
  itself where it belongs to the format;
- ``tight``: within 4 ULP;
- ``bounded``: within what an evaluation in the format itself, that subtracts the largest logit
  before it multiplies and that has no further precision, can be expected to reach.

The bound of the last is that of `softmax_variants_spec.bounds`.

**Gradients.** An error may be at most k ulp(value) + C u scale + η tail, with the scale and tail
of `softmax_variants_spec.scale`, η the smallest positive number of the format, and

============  ===  ===================================  ====
class         k    C                                    tail
============  ===  ===================================  ====
``correct``   1    4                                    no
``faithful``  1    4                                    no
``tight``     4    16                                   yes
``bounded``   4    largest bound of the row / u + 8     yes
============  ===  ===================================  ====
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mpmath import mp

from softmax_variants_spec.bounds import relative_bound, weight_allowance, weight_bound

if TYPE_CHECKING:
    from softmax_variants_spec.exact import ExactGradient, ExactWeight
    from softmax_variants_spec.formats import Format

__all__ = [
    "CLASSES",
    "AccuracyClass",
    "gradient_coefficients",
    "gradient_tolerance",
    "is_faithful",
    "relative_bound",
    "ulp_error",
    "weight_allowance",
    "weight_bound",
]

AccuracyClass: TypeAlias = Literal["correct", "faithful", "tight", "bounded"]

Numbers: TypeAlias = Any
"""A float, or an array of floats."""

CLASSES: tuple[AccuracyClass, ...] = ("correct", "faithful", "tight", "bounded")
"""The accuracy classes, strictest first: a backend that meets one meets those after it."""


def ulp_error(computed: float, weight: ExactWeight, fmt: Format) -> float:
    """Return (computed − exact) / ulp(exact), with ±2^(emax + 1) for what is beyond the range.

    Parameters
    ----------
    computed
        A number of the format.
    weight
        The exact weight, rounded to the same format.
    fmt
        The format.

    Returns
    -------
    float
        Infinite if only one of the two is NaN, 0 if both are.

    Examples
    --------
    >>> from softmax_variants_spec.exact import Row, weights
    >>> from softmax_variants_spec.formats import FORMATS
    >>> half = weights(Row("softmax", (0.0, 0.0)), FORMATS["float16"])[0]
    >>> ulp_error(0.5 + 2**-11, half, FORMATS["float16"])
    1.0
    """
    if math.isnan(computed) or math.isnan(weight.rounded):
        return 0.0 if math.isnan(computed) and math.isnan(weight.rounded) else math.inf
    # Numbers of the format are whole multiples of the ulp or of half of it, so the steps between
    # them are exact; the residual is the one part that is not whole.
    steps = (_finite(computed, fmt) - _finite(weight.rounded, fmt)) / (
        Fraction(2) ** weight.ulp_exponent
    )
    return float(steps - Fraction(weight.residual)) if abs(steps) < 2**1000 else math.inf


def is_faithful(computed: float, weight: ExactWeight, fmt: Format) -> bool:
    """Tell whether a number is one of the two next to an exact weight, or the weight itself.

    Parameters
    ----------
    computed
        A number of the format.
    weight
        The exact weight, rounded to the same format.
    fmt
        The format.

    Examples
    --------
    >>> from softmax_variants_spec.exact import Row, weights
    >>> from softmax_variants_spec.formats import FORMATS
    >>> fmt = FORMATS["bfloat16"]
    >>> third = weights(Row("softmax", (0.0, 0.0, 0.0)), fmt)[0]
    >>> third.rounded, [is_faithful(third.rounded + k * 2**-9, third, fmt) for k in (-1, 0, 1)]
    (0.333984375, [True, True, False])
    """
    if computed == weight.rounded:
        return True
    if weight.exact or math.isnan(weight.rounded):
        return math.isnan(computed) and math.isnan(weight.rounded)
    if math.isinf(weight.rounded):
        return computed == math.copysign(fmt.max, weight.rounded)
    if weight.residual > 0:
        return computed == fmt.next_up(weight.rounded)
    return computed == fmt.next_down(weight.rounded)


def gradient_coefficients(
    accuracy: str, bound: Numbers, unit_roundoff: float
) -> tuple[int, Numbers, int]:
    """Return k, C and the factor of the tail in what a class allows gradients.

    Parameters
    ----------
    accuracy
        One of `CLASSES`.
    bound
        Largest of the row's `relative_bound`; a number or an array. Only ``bounded`` uses it.
    unit_roundoff
        u of the format that the bound is for.

    Raises
    ------
    ValueError
        If there is no such class.

    Examples
    --------
    >>> gradient_coefficients("tight", 0.0, 2**-24)
    (4, 16, 1)
    """
    if accuracy not in CLASSES:
        msg = f"accuracy must be one of {CLASSES}, got {accuracy!r}"
        raise ValueError(msg)
    if accuracy == "bounded":
        return 4, bound / unit_roundoff + 8, 1
    return (4, 16, 1) if accuracy == "tight" else (1, 4, 0)


def gradient_tolerance(
    accuracy: str, gradient: ExactGradient, fmt: Format, *, bound: float = 0.0
) -> Any:
    """Return the largest error that a class allows a gradient by a logit.

    Parameters
    ----------
    accuracy
        One of `CLASSES`.
    gradient
        The exact gradient.
    fmt
        Format of the gradient.
    bound
        Largest of the row's `relative_bound`, which ``bounded`` needs.

    Returns
    -------
    mpf
        k ulp(value) + C u scale + η tail.

    Raises
    ------
    ValueError
        If there is no such class.

    Examples
    --------
    >>> from mpmath import mpf
    >>> from softmax_variants_spec.exact import ExactGradient
    >>> from softmax_variants_spec.formats import FORMATS
    >>> gradient = ExactGradient(value=mpf(1), scale=mpf(1), tail=mpf(1))
    >>> float(gradient_tolerance("correct", gradient, FORMATS["float32"]) / 2**-23)
    3.0
    """
    u = fmt.unit_roundoff
    k, coefficient, tail = gradient_coefficients(accuracy, bound, u)
    return (
        k * mp.ldexp(1, fmt.ulp_exponent(gradient.value))
        + coefficient * u * gradient.scale
        + tail * fmt.min_subnormal * gradient.tail
    )


def _finite(v: float, fmt: Format) -> Fraction:
    """Return a number of the format, or what stands for an infinity."""
    if math.isinf(v):
        return (1 if v > 0 else -1) * Fraction(2) ** (fmt.emax + 1)
    return Fraction(v)
