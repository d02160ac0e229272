"""Judging results against exact references: errors, classes met, what a claim allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from softmax_variants_spec.accuracy import CLASSES, gradient_coefficients

from .references import LOW_SHIFT

if TYPE_CHECKING:
    import numpy.typing as npt

    from softmax_variants_spec.formats import Format

    from .references import GradientReference, ParameterReference, WeightReference
    from .subject import Claim

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

__all__ = [
    "Allowance",
    "WeightErrors",
    "gradient_ratios",
    "parameter_ratios",
    "weight_errors",
]


@dataclass(frozen=True)
class Allowance:
    """What is asked of weights and gradients: a class, and a largest error where one is stated."""

    weight_class: str
    limit: float | None
    """Largest error in ULP, of a claim stated as a number."""
    text: str

    @staticmethod
    def of(claim: Claim, *, near_tie: bool, beyond_condition: bool) -> Allowance:
        """Return what a claim asks in a regime (see the regime's flags)."""
        if beyond_condition:
            return Allowance("bounded", None, "bounded (c cancels)")
        if near_tie and claim.weight_class == "correct":
            return Allowance("faithful", None, "faithful (near ties)")
        if isinstance(claim.stated, str):
            return Allowance(claim.stated, None, claim.stated)
        if near_tie:
            return Allowance(claim.weight_class, None, f"{claim.weight_class} (near ties)")
        return Allowance(claim.weight_class, float(claim.stated), str(claim))


@dataclass(frozen=True)
class WeightErrors:
    """Errors of a block's weights in ULP, and which entries meet which class."""

    ulps: Floats
    meets: dict[str, Bools]
    correct: Bools
    inexact: Bools

    def allowed(self, allowance: Allowance) -> Bools:
        """Return which entries keep what is asked."""
        if allowance.limit is not None:
            zero = self.meets["exact zero"]
            return (self.ulps <= allowance.limit) & zero
        return self.meets[allowance.weight_class]

    def class_met(self) -> str | None:
        """Return the best class that all entries meet."""
        return next((name for name in CLASSES if self.meets[name].all()), None)


def _in_ulps(values: Floats, exponent: npt.NDArray[np.int32], fmt: Format) -> Floats:
    """Return values in units of 2**exponent; an infinity stands for 2**(emax + 1)."""
    infinite = np.isinf(values)
    finite = np.where(infinite, 0.0, values)
    beyond = np.copysign(np.ldexp(1.0, fmt.emax + 1 - exponent), values)
    return np.where(infinite, beyond, np.ldexp(finite, -exponent))


def _flushed(got: Floats, exact: Floats, fmt: Format) -> Bools:
    """Return where a flush explains the result: a subnormal value that came out as an end."""
    ends: Bools = (got == 0) | (np.abs(got) == fmt.min_normal)
    return ends & (np.abs(exact) < fmt.min_normal)


def weight_errors(
    y: Floats, reference: WeightReference, fmt: Format, *, flushes: bool = False
) -> WeightErrors:
    """Return the errors of weights ``y``; NaN results have an infinite error."""
    exponent = reference.ulp_exponent
    with np.errstate(all="ignore"):
        ulps = np.abs(
            (_in_ulps(y, exponent, fmt) - _in_ulps(reference.rounded, exponent, fmt))
            - reference.residual
        )
        magnitude = np.abs(_in_ulps(reference.rounded, exponent, fmt) + reference.residual)
    ulps = np.where(np.isnan(ulps), np.inf, ulps)
    correct = y == reference.rounded
    faithful = correct.copy()
    for index in np.argwhere(~correct & ~reference.exact & ~np.isnan(y)):
        at = tuple(index)
        rounded, residual = float(reference.rounded[at]), float(reference.residual[at])
        # From -2**(emax + 1) on the residual is 0, and the other neighbour lies above.
        above = residual > 0 or rounded == -np.inf
        neighbour = fmt.next_up(rounded) if above else fmt.next_down(rounded)
        faithful[at] = y[at] == neighbour
    # Zeros are exact in every class: absent entries, and gates that are 0.
    zero = ~(reference.exact & (reference.rounded == 0)) | (y == 0)
    if flushes:
        with np.errstate(all="ignore"):
            flushed = _flushed(y, magnitude * np.ldexp(1.0, exponent), fmt)
        ulps = np.where(flushed, 0.0, ulps)
        correct, faithful = correct | flushed, faithful | flushed
    return WeightErrors(
        ulps=ulps,
        meets={
            "exact zero": zero,
            "correct": correct,
            "faithful": faithful,
            "tight": (ulps <= 4.0) & zero,
            "bounded": (correct | (ulps <= reference.tolerance)) & zero,
        },
        correct=correct,
        inexact=~reference.exact,
    )


def gradient_ratios(
    dx: Floats,
    reference: GradientReference,
    weights: WeightReference,
    fmt: Format,
    present: Bools,
    class_name: str,
    *,
    flushes: bool = False,
) -> Floats:
    """Return each error over what the class allows; at absent entries 0 or, if not 0, infinity."""
    worst_bound = weights.bound.max(axis=1, keepdims=True, initial=0.0)
    with np.errstate(all="ignore"):
        k, coefficient, tail = gradient_coefficients(class_name, worst_bound, fmt.unit_roundoff)
    # The smallest positive number, at which a weight underflows, is a normal one where it flushes.
    smallest = fmt.min_normal / fmt.min_subnormal if flushes else 1.0
    limit = 2.0**fmt.emax * 2.0 if fmt.name != "float64" else np.inf
    with np.errstate(all="ignore"):
        got, high = np.clip(dx, -limit, limit), np.clip(reference.high, -limit, limit)
        error = np.abs((got - high) - np.where(high == reference.high, reference.low, 0.0))
        error = np.where(got == high, np.abs(reference.low), error)
        # The factor C u first: u times the scale of a subnormal gradient would underflow.
        relative = coefficient * fmt.unit_roundoff * reference.scale
        allowed = k * reference.ulp + relative + tail * smallest * reference.tail
        ratios = np.where(error == 0, 0.0, error / allowed)
    ratios = np.where(np.isnan(ratios), np.inf, ratios)
    if flushes:
        ratios = np.where(_flushed(dx, reference.high, fmt), 0.0, ratios)
    ratios = np.where(reference.judged, ratios, 0.0)
    return np.where(present, ratios, np.where(dx == 0, 0.0, np.inf))


def parameter_ratios(
    got: Floats,
    reference: ParameterReference,
    name: str,
    bound: float,
    fmt: Format,
    class_name: str,
    *,
    flushes: bool = False,
) -> Floats:
    """Return the error of ds or db over what the class allows, elementwise.

    ``got`` has the shape () for a Python number, whose gradient is the sum over all rows, and
    that of the reference otherwise.
    """
    if got.ndim == 0:
        reference = reference.summed(name, getattr(reference, name).shape, (1, 1))
        got = got.reshape(1, 1)
    high = getattr(reference, name)
    low = np.ldexp(getattr(reference, f"{name}_low"), -LOW_SHIFT)
    scale = getattr(reference, f"{name}_scale")
    k, coefficient, _ = gradient_coefficients(class_name, bound, fmt.unit_roundoff)
    ulp = np.reshape([2.0 ** fmt.ulp_exponent(float(v)) for v in np.ravel(high)], high.shape)
    limit = 2.0**fmt.emax * 2.0 if fmt.name != "float64" else np.inf
    with np.errstate(all="ignore"):
        clipped = np.clip(high, -limit, limit)
        error = np.abs((np.clip(got, -limit, limit) - clipped) - low * (clipped == high))
        error = np.where(got == clipped, 0.0, error)
        ratios = np.where(
            error == 0, 0.0, error / (k * ulp + coefficient * fmt.unit_roundoff * scale)
        )
    if flushes:
        ratios = np.where(_flushed(got, high, fmt), 0.0, ratios)
    judged = (scale < 2.0**1022) | (fmt.name != "float64")
    return np.where(judged, np.where(np.isnan(ratios), np.inf, ratios), 0.0)
