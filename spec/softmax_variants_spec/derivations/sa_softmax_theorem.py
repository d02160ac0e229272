"""The theorem on the extrema of the normalized form: differentiated, and detached."""

from __future__ import annotations

from softmax_variants_spec.derivations.derivation import Condition, Derivation, Prose, chain, step
from softmax_variants_spec.derivations.entries import over
from softmax_variants_spec.derivations.functions import Delta, bracket
from softmax_variants_spec.derivations.gates import DEFINED, d, d_slope, offset_slope, r, y
from softmax_variants_spec.derivations.letters import Derivative, Reference, letter
from softmax_variants_spec.derivations.notation import JACOBIAN, M, h, i, j, k, l, m, x
from softmax_variants_spec.derivations.samples import detached, gated_samples
from softmax_variants_spec.derivations.softmax import p
from softmax_variants_spec.variants import softmax

__all__ = ["DERIVATIONS"]

_ROWS = gated_samples(("normalized",), mirrored=True)
_SOFTMAX_JACOBIAN = Reference(
    r"J^{\mathrm{softmax}}", lambda place: softmax.jacobian(place.evaluation.p)
)

_tied = letter("K", 0, lambda: over(k, bracket(x[k], "=", M)))()
"""The number of entries with the largest logit."""
_TOP = Condition("M > 0", lambda place, bound: M.value(place, bound) > 0)
_ONLY_TOP = Condition(
    "M > 0, attained once",
    lambda place, bound: _TOP.holds(place, bound) and _tied.value(place, bound) == 1,
)
_ONLY_BOTTOM = Condition(
    "m < 0, attained once",
    lambda place, bound: (
        m.value(place, bound) < 0 and over(k, bracket(x[k], "=", m)).value(place, bound) == 1
    ),
)

_theorem = Derivation(
    title="The theorem: at the maximum, differentiated extrema give softmax's gradient",
    statement="Let l hold the only largest logit of a row, M > 0. Then, with the extrema "
    "differentiated, the normalized form has ∂y_l/∂x_j = p_l (δ_lj − p_j) for all j, exactly "
    "softmax's, and ∂y_l/∂x_l = p_l (1 − p_l) vanishes as p_l goes to 1. With K logits tied at "
    "the maximum it is p_l [(1 − 1/K)/D + 1 − p_l]. An only smallest logit below 0 has the weight "
    "0 and derivatives 0.",
    domain="every row of present, finite logits with M > 0, normalized, the extrema differentiated",
    samples=_ROWS,
    claims=(
        step(
            Derivative(y[l], x[j]),
            "=",
            p[l] * (Delta(l, j) - p[j]),
            "The derivatives of the largest weight.",
            _ONLY_TOP,
        ),
        step(
            Derivative(y[l], x[l]),
            "=",
            p[l] * ((1 - 1 / _tied) / d + 1 - p[l]),
            "On the diagonal, with ties.",
            _TOP,
        ),
        step(Derivative(y[h], x[j]), "=", 0, "Those of the smallest weight.", _ONLY_BOTTOM),
    ),
    steps=(
        step(r[l], "=", 1, "x_l = M, which is the largest also with the 0.", _TOP),
        step(offset_slope[l], "=", 0, "A positive logit is not the minimum with the 0.", _TOP),
        step(_tied, "=", over(k, bracket(x[k], "=", M)), "The number of largest logits."),
        step(d_slope[l], "=", 1 / _tied, "One share of the maximum each.", _TOP),
        *chain(
            Derivative(y[l], x[l]),
            (
                "=",
                p[l] * ((1 - offset_slope[l]) / d - r[l] * d_slope[l] / d + r[l] * (1 - p[l])),
                "The Jacobian, at i = j = l.",
            ),
            ("=", p[l] * (1 / d - 1 / (_tied * d) + 1 - p[l]), "The three values above."),
            ("=", p[l] * ((1 - 1 / _tied) / d + 1 - p[l]), "1/D is a common factor."),
            ("=", JACOBIAN[l, l], "What the reference calls the Jacobian."),
            assumes=_TOP,
        ),
        *chain(
            Derivative(y[l], x[j]),
            (
                "=",
                p[l] * ((Delta(l, j) - offset_slope[j]) / d - d_slope[j] / d + Delta(l, j) - p[j]),
                "The Jacobian, at i = l, where the gate is 1.",
            ),
            (
                "=",
                p[l] * (Delta(l, j) - p[j]),
                "D'_j = δ_lj − λ'_j: what the gate's numerator and denominator change by is the "
                "same, because the gate stays at 1.",
            ),
            ("=", _SOFTMAX_JACOBIAN[l, j], "What the reference calls the Jacobian of softmax."),
            assumes=_ONLY_TOP,
        ),
        step(p[l] * (1 - p[l]), "≤", 1 - p[l], "So it vanishes as p_l goes to 1."),
        *chain(
            Derivative(y[h], x[j]),
            ("=", p[h] * (Delta(h, j) - offset_slope[j]) / d, "The gate of the minimum is 0."),
            ("=", 0, "The minimum moves with x_h alone: λ'_j = δ_hj."),
            assumes=_ONLY_BOTTOM,
        ),
        Prose(
            "Both follow without any calculation from what the gate is for: near such a row the "
            "gate of the only largest logit is the constant 1, and that of the only smallest one "
            "the constant 0."
        ),
    ),
)

_jacobian = p[i] * (Delta(i, j) / d + r[i] * (Delta(i, j) - p[j]))

_detached = Derivation(
    title="Detached extrema do not saturate",
    statement="With the extrema taken for constants, the normalized form has "
    "∂y_i/∂x_j = p_i [δ_ij/D + r_i (δ_ij − p_j)]. At the largest logit M > 0 this is "
    "p_l (1/D + 1 − p_l), larger than softmax's by p_l/D: as p_l goes to 1 it does not go to 0 "
    "but to 1/D. At the smallest logit below 0 it is p_h/D instead of 0.",
    domain="every row of present, finite logits, normalized, the extrema detached",
    samples=detached(_ROWS),
    claims=(
        step(Derivative(y[i], x[j]), "=", _jacobian, "The Jacobian.", DEFINED),
        step(
            Derivative(y[l], x[l]),
            "=",
            p[l] * (1 / d + 1 - p[l]),
            "At the largest logit.",
            _TOP,
        ),
    ),
    steps=(
        *chain(
            Derivative(y[i], x[j]),
            (
                "=",
                p[i] * Derivative(r[i], x[j]) + r[i] * Derivative(p[i], x[j]),
                "The product rule.",
            ),
            ("=", _jacobian, "λ and D are constants: the gate changes with its own logit only."),
            ("=", JACOBIAN[i, j], "What the reference calls the Jacobian."),
            assumes=DEFINED,
        ),
        *chain(
            Derivative(y[l], x[l]) - _SOFTMAX_JACOBIAN[l, l],
            ("=", p[l] * (1 / d + 1 - p[l]) - p[l] * (1 - p[l]), "The gate is 1."),
            ("=", p[l] / d, "The difference."),
            assumes=_TOP,
        ),
        step(Derivative(y[l], x[l]), "≥", p[l] / d, "The other term is not negative.", _TOP),
        *chain(
            Derivative(y[h], x[j]),
            ("=", p[h] * Delta(h, j) / d, "The gate of the smallest logit is 0."),
            assumes=Condition("m < 0", lambda place, bound: m.value(place, bound) < 0),
        ),
    ),
)

DERIVATIONS = {"sa_softmax/theorem": _theorem, "sa_softmax/detached": _detached}
"""By key, in reading order."""
