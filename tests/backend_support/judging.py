"""Errors of a row's weights and gradients against the exact ones, over what a class allows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mpmath import mp

from softmax_variants_spec.accuracy import (
    gradient_coefficients,
    gradient_tolerance,
    is_faithful,
    ulp_error,
)
from softmax_variants_spec.exact import gradient, parameter_gradients, weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from softmax_variants_spec.exact import Row
    from softmax_variants_spec.formats import Format

__all__ = [
    "all_faithful",
    "gradient_ratio",
    "parameter_ratio",
    "promised",
    "weight_error",
    "worst_ratios",
]


def weight_error(got: Sequence[float], row: Row, fmt: Format) -> float:
    """Return the largest error in ULP; infinite where an exact 0 is missed."""
    worst = 0.0
    for value, exact in zip(got, weights(row, fmt), strict=True):
        error = abs(ulp_error(value, exact, fmt))
        worst = max(worst, math.inf if exact.value == 0 and value != 0 else error)
    return worst


def all_faithful(got: Sequence[float], row: Row, fmt: Format) -> bool:
    """Tell whether every weight is one of the two numbers next to the exact one, or equal."""
    exact = weights(row, fmt)
    return all(is_faithful(value, weight, fmt) for value, weight in zip(got, exact, strict=True))


def _within_range(v: Any, fmt: Format) -> Any:
    end = mp.ldexp(1, fmt.emax + 1)
    return max(-end, min(end, mp.convert(v)))


def _ratio(got: float, value: Any, scale: Any, tolerance: Any, fmt: Format) -> float:
    if mp.isnan(value):
        return 0.0 if math.isnan(got) else math.inf
    if fmt.name == "float64" and scale >= mp.ldexp(1, 1022):
        return 0.0  # not judged
    if math.isnan(got):
        return math.inf
    error = abs(_within_range(got, fmt) - _within_range(value, fmt))
    return float(error / tolerance) if error else 0.0


def gradient_ratio(
    got: Sequence[float], row: Row, dy: Sequence[float], fmt: Format, accuracy: str
) -> float:
    """Return the largest error of dx over what the class allows."""
    with mp.workprec(400):
        return max(
            _ratio(value, g.value, g.scale, gradient_tolerance(accuracy, g, fmt), fmt)
            for value, g in zip(got, gradient(row, dy, fmt), strict=True)
        )


def parameter_ratio(
    name: str, got: float, row: Row, dy: Sequence[float], fmt: Format, accuracy: str
) -> float:
    """Return the error of ds or db of one row over what the class allows."""
    exact = parameter_gradients(row, dy, fmt)
    value, scale = getattr(exact, name), getattr(exact, f"{name}_scale")
    k, coefficient, _ = gradient_coefficients(accuracy, 0.0, fmt.unit_roundoff)
    with mp.workprec(400):
        ulp = mp.ldexp(1, fmt.ulp_exponent(value))
        tolerance = k * ulp + coefficient * fmt.unit_roundoff * scale
        return _ratio(got, value, scale, tolerance, fmt)


def promised(row: Row, largest_factor: float = math.inf) -> bool:
    """Tell whether the classes hold for a row: c does not cancel, nor exceed the widest type."""
    if row.function != "ssmax":
        return True
    with mp.workprec(200):
        product = mp.convert(row.s) * mp.log(mp.convert(row.count))
        c = abs(product + mp.convert(row.b))
        if max(c, abs(product)) > largest_factor:
            return False
        return bool(abs(product) + abs(mp.convert(row.b)) <= 2**20 * c)


def worst_ratios(
    results: Sequence[Any], row: Row, dy: Iterable[Any], fmt: Format, accuracy: str
) -> dict[str, float]:
    """Return the error of y, dx, ds and db of a row: of y in ULP, of gradients over the allowed.

    ``results`` holds arrays of NumPy or PyTorch, the last two for ``ssmax`` only.
    """
    y, dx, *sums = ([float(v) for v in result.reshape(-1)] for result in results)
    cotangent = [float(v) for v in dy]
    ratios = {
        "y": weight_error(y, row, fmt),
        "dx": gradient_ratio(dx, row, cotangent, fmt, accuracy),
    }
    for name, (value,) in zip(("ds", "db"), sums, strict=False):
        ratios[name] = parameter_ratio(name, value, row, cotangent, fmt, accuracy)
    return ratios
