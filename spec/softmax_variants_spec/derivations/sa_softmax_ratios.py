"""Derivations of the forms of SA-Softmax whose gate is a ratio: minmax and normalized."""

from __future__ import annotations

from softmax_variants_spec.derivations.derivation import Condition, Derivation, chain, step
from softmax_variants_spec.derivations.entries import over
from softmax_variants_spec.derivations.functions import Delta, absolute, bracket
from softmax_variants_spec.derivations.gates import DEFINED, d, high, low, r, y
from softmax_variants_spec.derivations.letters import Derivative, letter
from softmax_variants_spec.derivations.notation import (
    JACOBIAN,
    M,
    i,
    j,
    k,
    m,
    x,
)
from softmax_variants_spec.derivations.samples import gated_samples
from softmax_variants_spec.derivations.softmax import p

__all__ = ["DERIVATIONS"]

_UNEQUAL = Condition("m < M", DEFINED.holds)
_lowest = letter(r"\mu", 1, lambda j: bracket(x[j], "=", m) / over(k, bracket(x[k], "=", m)))
_highest = letter(r"\nu", 1, lambda j: bracket(x[j], "=", M) / over(k, bracket(x[k], "=", M)))
_minmax_slope = (Delta(i, j) - _lowest[j]) / (M - m) - r[i] * (_highest[j] - _lowest[j]) / (M - m)
_minmax_jacobian = p[i] * (_minmax_slope + r[i] * (Delta(i, j) - p[j]))

_minmax = Derivation(
    title="The minmax form",
    statement="With μ_j the share of x_j in the minimum and ν_j that in the maximum, "
    "∂y_i/∂x_j = p_i [(δ_ij − μ_j)/(M − m) − r_i (ν_j − μ_j)/(M − m) + r_i (δ_ij − p_j)]. The "
    "form does not change when all logits are shifted, and its gate does not change when they are "
    "scaled. The form follows secondary sources and is not confirmed against the paper.",
    domain="every row of present, finite logits that are not all equal",
    samples=gated_samples(("minmax",)),
    claims=(
        step(Derivative(y[i], x[j]), "=", _minmax_jacobian, "The Jacobian.", _UNEQUAL),
        step(over(j, Derivative(y[i], x[j])), "=", 0, "A shift changes nothing.", _UNEQUAL),
        step(over(j, x[j] * Derivative(r[i], x[j])), "=", 0, "Nor does a scale.", _UNEQUAL),
    ),
    steps=(
        step(
            _lowest[j],
            "=",
            bracket(x[j], "=", m) / over(k, bracket(x[k], "=", m)),
            "One share for each smallest logit.",
        ),
        step(
            _highest[j],
            "=",
            bracket(x[j], "=", M) / over(k, bracket(x[k], "=", M)),
            "One share for each largest logit.",
        ),
        *chain(
            Derivative((x[i] - m) / (M - m), x[j]),
            ("=", _minmax_slope, "The quotient rule, and what the extrema change by."),
            assumes=_UNEQUAL,
        ),
        *chain(
            Derivative(y[i], x[j]),
            ("=", _minmax_jacobian, "The product rule on r_i p_i."),
            ("=", JACOBIAN[i, j], "What the reference calls the Jacobian."),
            assumes=_UNEQUAL,
        ),
        step(over(j, _lowest[j]), "=", 1, "The shares of the minimum."),
        step(over(j, _highest[j]), "=", 1, "The shares of the maximum."),
        *chain(
            over(j, _minmax_slope),
            (
                "=",
                (1 - over(j, _lowest[j])) / (M - m)
                - r[i] * (over(j, _highest[j]) - over(j, _lowest[j])) / (M - m),
                "Summed over j, term by term.",
            ),
            ("=", 0, "All shares sum to 1."),
            assumes=_UNEQUAL,
        ),
        *chain(
            over(j, x[j] * _minmax_slope),
            (
                "=",
                (x[i] - m) / (M - m) - r[i] * (M - m) / (M - m),
                "Only extremal logits have shares: Σ_j x_j μ_j = m, and Σ_j x_j ν_j = M.",
            ),
            ("=", 0, "The first term is r_i."),
            assumes=_UNEQUAL,
        ),
    ),
)

_lowest_0 = letter(
    r"\mu^0",
    1,
    lambda j: bracket(x[j], "=", low) / (over(k, bracket(x[k], "=", low)) + bracket(low, "=", 0)),
)
_highest_0 = letter(
    r"\nu^0",
    1,
    lambda j: (
        bracket(x[j], "=", high) / (over(k, bracket(x[k], "=", high)) + bracket(high, "=", 0))
    ),
)
_normalized_slope = (Delta(i, j) - _lowest_0[j]) / d - r[i] * (_highest_0[j] - _lowest_0[j]) / d
_normalized_jacobian = p[i] * (_normalized_slope + r[i] * (Delta(i, j) - p[j]))

_MIXED = Condition(
    "m < 0 < M", lambda place, bound: m.value(place, bound) < 0 < M.value(place, bound)
)

_normalized = Derivation(
    title="The normalized form",
    statement="The Jacobian is that of minmax, with the shares in the extrema of the row with a "
    "0 appended. The gate still does not change when the logits are scaled; a shift changes it "
    "unless the logits have both signs, before and after. Where p_i goes to 0, the derivatives of "
    "y_i vanish with it.",
    domain="every row of present, finite logits that are not all 0",
    samples=gated_samples(("normalized",), mirrored=True),
    claims=(
        step(Derivative(y[i], x[j]), "=", _normalized_jacobian, "The Jacobian.", DEFINED),
        step(
            absolute(Derivative(y[i], x[j])),
            "≤",
            p[i] * (1 + 2 / d),
            "Near p_i = 0 it vanishes.",
            DEFINED,
        ),
    ),
    steps=(
        step(
            _lowest_0[j],
            "=",
            bracket(x[j], "=", low) / (over(k, bracket(x[k], "=", low)) + bracket(low, "=", 0)),
            "One share for each smallest logit, and one for the 0 where it is as small.",
        ),
        step(
            _highest_0[j],
            "=",
            bracket(x[j], "=", high) / (over(k, bracket(x[k], "=", high)) + bracket(high, "=", 0)),
            "The same for the largest.",
        ),
        step(
            Derivative(r[i], x[j]),
            "=",
            _normalized_slope,
            "The quotient rule, and what the extrema change by.",
            DEFINED,
        ),
        *chain(
            Derivative(y[i], x[j]),
            ("=", _normalized_jacobian, "The product rule on r_i p_i."),
            ("=", JACOBIAN[i, j], "What the reference calls the Jacobian."),
            assumes=DEFINED,
        ),
        *chain(
            over(j, x[j] * _normalized_slope),
            (
                "=",
                (x[i] - low) / d - r[i] * (high - low) / d,
                "Only extremal logits have shares, and a 0 has none to give.",
            ),
            ("=", 0, "The first term is r_i, and D = M_0 − m_0."),
            assumes=DEFINED,
        ),
        step(
            over(j, _normalized_slope),
            "=",
            0,
            "With logits of both signs the 0 is no extremum, and all shares sum to 1.",
            _MIXED,
        ),
        step(absolute(Delta(i, j) - _lowest_0[j]), "≤", 1, "A share is between 0 and 1."),
        step(
            absolute(r[i] * (_highest_0[j] - _lowest_0[j])),
            "≤",
            1,
            "And so is the gate.",
            DEFINED,
        ),
        step(absolute(r[i] * (Delta(i, j) - p[j])), "≤", 1, "And so is a weight p_j.", DEFINED),
    ),
)

DERIVATIONS = {"sa_softmax/minmax": _minmax, "sa_softmax/normalized": _normalized}
"""By key, in reading order."""
