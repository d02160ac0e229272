"""Derivations of SA-Softmax for all of its forms at once: gate, extrema, Jacobian, products."""

from __future__ import annotations

from softmax_variants_spec.derivations.derivation import Condition, Derivation, Prose, chain, step
from softmax_variants_spec.derivations.entries import maximum, minimum, over
from softmax_variants_spec.derivations.functions import Delta, bracket
from softmax_variants_spec.derivations.gates import (
    DEFINED,
    d,
    d_slope,
    form,
    high,
    low,
    mean_p,
    mean_y,
    offset,
    offset_slope,
    r,
    y,
)
from softmax_variants_spec.derivations.letters import Derivative, Number, Rate, letter
from softmax_variants_spec.derivations.notation import (
    GRADIENT,
    JACOBIAN,
    RATE,
    M,
    dy,
    i,
    j,
    k,
    known_weights,
    m,
    t,
    x,
)
from softmax_variants_spec.derivations.samples import detached, equal_samples, gated_samples
from softmax_variants_spec.derivations.softmax import p

__all__ = ["DERIVATIONS"]

_THROUGH = gated_samples()
# A fifth of the rows each: the stride has no factor in common with the number of rows a form.
_BOTH = (*_THROUGH[::5], *detached(_THROUGH)[1::5])
_Y = known_weights("y")
_EVERY = "every row of present, finite logits with D ≠ 0, in every form"
_EITHER = f"{_EVERY}, with the extrema differentiated or detached"

_definition = Derivation(
    title="Softmax with a gate",
    statement="y_i = r_i p_i, where the gate r_i = (x_i − λ)/D is a linear function of the logit: "
    "x_i itself (plain), above the smallest logit (shifted), scaled to the range of the row "
    "(minmax), or of the row with a 0 appended (normalized).",
    domain=_EVERY,
    samples=_THROUGH,
    claims=(step(_Y[i], "=", (x[i] - offset) / d * p[i], "The definition.", DEFINED),),
    steps=(
        step(r[i], "=", (x[i] - offset) / d, "The gate.", DEFINED),
        step(_Y[i], "=", x[i] * p[i], "λ = 0 and D = 1.", form("plain")),
        step(_Y[i], "=", (x[i] - m) * p[i], "λ = m and D = 1.", form("shifted")),
        step(_Y[i], "=", (x[i] - m) / (M - m) * p[i], "λ = m and D = M − m.", form("minmax")),
        step(
            _Y[i],
            "=",
            (x[i] - low) / (high - low) * p[i],
            "λ = m_0 and D = M_0 − m_0, the extrema with the 0.",
            form("normalized"),
        ),
        step(m, "=", minimum(k, x[k]), "The smallest logit."),
        step(M, "=", maximum(k, x[k]), "The largest logit."),
        *chain(
            low,
            ("=", minimum(k, x[k], appended_zero=True), "The smallest number of the row and 0."),
            ("=", bracket(m, "<", 0) * m, "m where it is negative, else 0."),
        ),
        *chain(
            high,
            ("=", maximum(k, x[k], appended_zero=True), "The largest number of the row and 0."),
            ("=", bracket(M, ">", 0) * M, "M where it is positive, else 0."),
        ),
        step(
            over(i, y[i]),
            "=",
            over(i, p[i] * r[i]),
            "The weights sum to the mean of the gate under p, and not to 1.",
            DEFINED,
        ),
    ),
)

_extrema = Derivation(
    title="What the extrema change by",
    statement="Where several entries attain an extremum, each takes an equal share of its "
    "derivative (S8); a bracket [·] is 1 where what it holds is true, else 0. In the normalized "
    "form the 0 takes part: where the extremum is 0, attained by k logits, each of them has the "
    "share 1/(k + 1).",
    domain="every row of present, finite logits, the extrema differentiated",
    samples=_THROUGH,
    claims=(
        step(
            Derivative(m, x[j]),
            "=",
            bracket(x[j], "=", m) / over(k, bracket(x[k], "=", m)),
            "One share for each smallest logit.",
        ),
        step(
            Derivative(low, x[j]),
            "=",
            bracket(x[j], "=", low) / (over(k, bracket(x[k], "=", low)) + bracket(low, "=", 0)),
            "One more share, for the 0, where it is an extremum.",
        ),
    ),
    steps=(
        Prose(
            "At a tie the extremum has no derivative, only one-sided ones, each with a whole share "
            "for one of the entries. Their mean is the only combination with shares that sum to 1 "
            "that does not depend on the order of the entries."
        ),
        step(
            Derivative(M, x[j]),
            "=",
            bracket(x[j], "=", M) / over(k, bracket(x[k], "=", M)),
            "The same for the largest.",
        ),
        step(
            Derivative(high, x[j]),
            "=",
            bracket(x[j], "=", high) / (over(k, bracket(x[k], "=", high)) + bracket(high, "=", 0)),
            "The same for the largest of the row with the 0.",
        ),
        step(over(j, Derivative(m, x[j])), "=", 1, "Shifting all logits shifts m as much."),
        step(
            over(j, Derivative(low, x[j])),
            "≤",
            1,
            "The 0 does not move: its share is missing.",
        ),
        step(offset_slope[j], "=", 0, "λ is a constant.", form("plain")),
        step(d_slope[j], "=", 0, "D is a constant.", form("plain")),
        step(d_slope[j], "=", 0, "D is a constant.", form("shifted")),
        step(
            d_slope[j],
            "=",
            Derivative(M, x[j]) - Derivative(m, x[j]),
            "D = M − m.",
            form("minmax"),
        ),
        step(
            d_slope[j],
            "=",
            Derivative(high, x[j]) - Derivative(low, x[j]),
            "D = M_0 − m_0.",
            form("normalized"),
        ),
    ),
)

_gate_slope = (Delta(i, j) - offset_slope[j]) / d - r[i] * d_slope[j] / d
_softmax_slope = p[i] * (Delta(i, j) - p[j])
_jacobian = p[i] * (_gate_slope + r[i] * (Delta(i, j) - p[j]))

_jacobian_derivation = Derivation(
    title="The Jacobian of SA-Softmax",
    statement="∂y_i/∂x_j = p_i [(δ_ij − λ'_j)/D − r_i D'_j/D + r_i (δ_ij − p_j)], with λ'_j and "
    "D'_j what the offset and the denominator change by; both are 0 with the extrema detached.",
    domain=_EITHER,
    samples=_BOTH,
    claims=(step(Derivative(y[i], x[j]), "=", _jacobian, "The Jacobian.", DEFINED),),
    steps=(
        *chain(
            Derivative(r[i], x[j]),
            (
                "=",
                Derivative(x[i] - offset, x[j]) / d - (x[i] - offset) / d**2 * d_slope[j],
                "The quotient rule.",
            ),
            ("=", _gate_slope, "∂x_i/∂x_j = δ_ij, and (x_i − λ)/D is r_i."),
            assumes=DEFINED,
        ),
        step(Derivative(p[i], x[j]), "=", _softmax_slope, "The Jacobian of softmax."),
        *chain(
            Derivative(y[i], x[j]),
            (
                "=",
                p[i] * Derivative(r[i], x[j]) + r[i] * Derivative(p[i], x[j]),
                "The product rule.",
            ),
            ("=", p[i] * _gate_slope + r[i] * _softmax_slope, "Both derivatives."),
            ("=", _jacobian, "p_i is a common factor."),
            ("=", JACOBIAN[i, j], "What the reference calls the Jacobian."),
            assumes=DEFINED,
        ),
    ),
)

_dx = (
    dy[j] * p[j] / d
    - offset_slope[j] * mean_p / d
    - d_slope[j] * mean_y / d
    + dy[j] * y[j]
    - p[j] * mean_y
)

_vjp = Derivation(
    title="The vector-Jacobian product of SA-Softmax",
    statement="With S = Σ_i dy_i p_i and T = Σ_i dy_i y_i, "
    "dx_j = dy_j p_j/D − λ'_j S/D − D'_j T/D + dy_j y_j − p_j T: two sums, whatever the form.",
    domain=_EITHER,
    samples=_BOTH,
    claims=(
        step(
            over(i, dy[i] * Derivative(y[i], x[j])), "=", _dx, "The gradient by a logit.", DEFINED
        ),
    ),
    steps=(
        step(mean_p, "=", over(i, dy[i] * p[i]), "The letter S."),
        step(mean_y, "=", over(i, dy[i] * y[i]), "The letter T.", DEFINED),
        *chain(
            over(i, dy[i] * Derivative(y[i], x[j])),
            ("=", over(i, dy[i] * _jacobian), "The Jacobian."),
            (
                "=",
                over(i, dy[i] * p[i] * (Delta(i, j) - offset_slope[j])) / d
                - d_slope[j] / d * over(i, dy[i] * p[i] * r[i])
                + over(i, dy[i] * p[i] * r[i] * (Delta(i, j) - p[j])),
                "Term by term; D and D'_j do not depend on i.",
            ),
            ("=", _dx, "p_i r_i = y_i, and δ_ij leaves the terms i = j."),
            ("=", GRADIENT[j], "What the reference calls the gradient."),
            assumes=DEFINED,
        ),
    ),
)

_offset_rate = letter(r"t_\lambda", 0, lambda: over(j, offset_slope[j] * t[j]))()
_d_rate = letter("t_D", 0, lambda: over(j, d_slope[j] * t[j]))()
_y_rate = p[i] * ((t[i] - _offset_rate) / d - r[i] * _d_rate / d) + r[i] * p[i] * (
    t[i] - over(j, p[j] * t[j])
)

_jvp = Derivation(
    title="The Jacobian-vector product of SA-Softmax",
    statement="Along tangents t of the logits, λ changes at the rate t_λ = Σ_j λ'_j t_j, D at "
    "t_D = Σ_j D'_j t_j, and y_i at p_i [(t_i − t_λ)/D − r_i t_D/D] + r_i p_i (t_i − Σ_j p_j t_j). "
    "∇_t is the derivative along them.",
    domain=_EITHER,
    samples=_BOTH,
    claims=(step(Rate(y[i]), "=", _y_rate, "The rate of change.", DEFINED),),
    steps=(
        step(Rate(offset), "=", _offset_rate, "The chain rule; at ties, share by share."),
        step(Rate(d), "=", _d_rate, "The chain rule; at ties, share by share."),
        *chain(
            Rate(y[i]),
            ("=", p[i] * Rate(r[i]) + r[i] * Rate(p[i]), "The product rule."),
            ("=", _y_rate, "The quotient rule, and the derivative of softmax along t."),
            ("=", RATE[i], "What the reference calls the product."),
            assumes=DEFINED,
        ),
    ),
)

_epsilon, _n = Number("epsilon", r"\varepsilon"), Number("n")
_UNDEFINED = Condition("D = 0", lambda place, bound: d.value(place, bound) == 0)


def _equal(sign: int) -> Condition:
    """Return the condition that the equal logits of a normalized row are all of a sign."""
    return Condition(
        f"normalized, x_i {'>' if sign > 0 else '<'} 0",
        lambda place, _bound: place.row.form == "normalized" and place.vector("x")[0] * sign > 0,
    )


_zero_denominator = Derivation(
    title="Where the denominator is 0",
    statement="D = 0 for minmax on equal logits and for normalized on zeros. The weights are 0 "
    "there by convention (S7): what any ε > 0 added to D gives. No value would make normalized "
    "continuous: on equal logits it is 1/n where they are positive, however small, and 0 where "
    "they are negative. The gradient of such a row is 0 by convention.",
    domain="rows of equal logits, minmax and normalized",
    samples=equal_samples(("minmax", "normalized")),
    claims=(
        step(_Y[i], "=", 0, "The convention.", _UNDEFINED),
        step(GRADIENT[j], "=", 0, "The convention.", _UNDEFINED),
    ),
    steps=(
        step(x[i], "=", offset, "All logits are extrema, of both kinds.", _UNDEFINED),
        *chain(
            (x[i] - offset) / (d + _epsilon) * p[i],
            ("=", (x[i] - offset) / _epsilon * p[i], "D = 0."),
            ("=", 0, "x_i = λ."),
            ("=", _Y[i], "What the reference calls the weight."),
            assumes=_UNDEFINED,
        ),
        step(_Y[i], "=", 1 / _n, "λ = 0 and D = x_i: the gate is 1.", _equal(1)),
        step(_Y[i], "=", 0, "λ = x_i: the gate is 0.", _equal(-1)),
    ),
)

DERIVATIONS = {
    "sa_softmax/definition": _definition,
    "sa_softmax/extrema": _extrema,
    "sa_softmax/jacobian": _jacobian_derivation,
    "sa_softmax/vjp": _vjp,
    "sa_softmax/jvp": _jvp,
    "sa_softmax/zero-denominator": _zero_denominator,
}
"""By key, in reading order."""
