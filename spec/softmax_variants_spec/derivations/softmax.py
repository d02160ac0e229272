"""Derivations of softmax: definition, shift, derivatives of first and second order."""

from __future__ import annotations

from softmax_variants_spec.derivations.derivation import Condition, Derivation, Prose, chain, step
from softmax_variants_spec.derivations.entries import over
from softmax_variants_spec.derivations.functions import Delta, exp, ln
from softmax_variants_spec.derivations.letters import Derivative, Rate, letter
from softmax_variants_spec.derivations.notation import (
    GRADIENT,
    JACOBIAN,
    RATE,
    M,
    a,
    dy,
    i,
    j,
    k,
    known_weights,
    t,
    x,
)
from softmax_variants_spec.derivations.samples import softmax_samples

__all__ = ["DERIVATIONS", "p"]

_ANY = "every row of present, finite logits"
_SAMPLES = softmax_samples()
_P = known_weights("p")

_total = over(k, exp(x[k]))
p = letter("p", 1, lambda i: exp(x[i]) / _total)
"""Softmax weights of the logits themselves."""

_jacobian = p[i] * (Delta(i, j) - p[j])
_mean = over(i, dy[i] * p[i])

_BELOW = Condition("x_i < M", lambda place, bound: x[i].value(place, bound) < M.value(place, bound))

_definition = Derivation(
    title="Softmax is a distribution",
    statement="The weights p_i are positive and sum to 1. Two of them differ by the factor "
    "exp(x_i − x_j): the difference of their logits, and nothing else, decides it.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(_P[i], "=", exp(x[i]) / over(j, exp(x[j])), "The definition."),
        step(over(i, p[i]), "=", 1, "The weights sum to 1."),
    ),
    steps=(
        *chain(
            over(i, p[i]),
            ("=", over(i, exp(x[i]) / _total), "The definition, with one denominator for all i."),
            ("=", over(i, exp(x[i])) / _total, "The denominator does not depend on i."),
            ("=", 1, "Numerator and denominator are the same sum."),
        ),
        step(p[i], ">", 0, "Exponentials are positive, and so is their sum."),
        step(p[i], "≤", 1, "The other terms of the sum are not negative."),
        *chain(
            p[i] / p[j],
            ("=", exp(x[i]) / exp(x[j]), "The denominators are equal and cancel."),
            ("=", exp(x[i] - x[j]), "exp(u)/exp(v) = exp(u − v)."),
        ),
    ),
)

_shift = Derivation(
    title="Shifting all logits changes nothing",
    statement="The weights do not change when the same number a is added to every logit. With "
    "a = −M every exponent is at most 0 and the sum lies between 1 and n: nothing overflows, and "
    "the denominator cannot underflow.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(
            p[i],
            "=",
            exp(x[i] + a) / over(k, exp(x[k] + a)),
            "The weights of the shifted logits are those of the logits.",
        ),
    ),
    steps=(
        *chain(
            exp(x[i] + a) / over(k, exp(x[k] + a)),
            (
                "=",
                exp(a) * exp(x[i]) / over(k, exp(a) * exp(x[k])),
                "exp(u + a) = exp(a) exp(u).",
            ),
            (
                "=",
                exp(a) * exp(x[i]) / (exp(a) * _total),
                "exp(a) is a factor of every term.",
            ),
            ("=", exp(x[i]) / _total, "exp(a) is not 0 and cancels."),
            ("=", _P[i], "The definition."),
        ),
        step(_P[i], "=", exp(x[i] - M) / over(k, exp(x[k] - M)), "The choice a = −M."),
        step(x[i] - M, "≤", 0, "M is the largest logit."),
        step(over(k, exp(x[k] - M)), "≥", 1, "The term of the largest logit is exp(0) = 1."),
        step(over(k, exp(x[k] - M)), "≤", over(k, 1), "No term is larger than 1."),
    ),
)

_absent = Derivation(
    title="An absent entry is the limit of a logit that falls",
    statement="As a logit x_i falls below all bounds its weight goes to 0, and the others go to "
    "the softmax of the row without it. So an additive mask of −∞ leaves the row without the "
    "masked entries (S2); a finite one only comes close.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(p[i], "≤", exp(x[i] - M), "The weight is bounded by the exponential alone."),
        step(
            exp(x[j]) / over(k, exp(x[k]), without=i),
            "=",
            p[j] / (1 - p[i]),
            "Without the entry i, every other weight grows by the same factor.",
            _BELOW,
        ),
    ),
    steps=(
        *chain(
            p[i],
            ("=", exp(x[i] - M) / over(k, exp(x[k] - M)), "Shifted by the largest logit."),
            ("≤", exp(x[i] - M), "The denominator is at least 1."),
        ),
        Prose("The right side goes to 0 as x_i → −∞ while another entry holds M."),
        *chain(
            exp(x[j]) / over(k, exp(x[k]), without=i),
            (
                "=",
                exp(x[j]) / (_total - exp(x[i])),
                "The sum without an entry is the sum less its term.",
            ),
            ("=", p[j] / (1 - p[i]), "Numerator and denominator, divided by the sum."),
            assumes=_BELOW,
        ),
        Prose("As p_i → 0 this is p_j: the weights of the two rows meet in the limit."),
    ),
)

_jacobian_derivation = Derivation(
    title="The Jacobian of softmax",
    statement="∂p_i/∂x_j = p_i (δ_ij − p_j). It is symmetric, and its rows and columns sum to 0: "
    "the first because a shift changes nothing, the second because the weights sum to 1.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(step(Derivative(p[i], x[j]), "=", _jacobian, "The Jacobian."),),
    steps=(
        step(ln(p[i]), "=", x[i] - ln(_total), "The logarithm of the definition."),
        *chain(
            Derivative(ln(_total), x[j]),
            ("=", exp(x[j]) / _total, "The chain rule; only the term k = j depends on x_j."),
            ("=", p[j], "The definition."),
        ),
        step(Derivative(ln(p[i]), x[j]), "=", Delta(i, j) - p[j], "Both terms, differentiated."),
        *chain(
            Derivative(p[i], x[j]),
            ("=", p[i] * Derivative(ln(p[i]), x[j]), "∂u = u ∂ ln u for positive u."),
            ("=", _jacobian, "The step before."),
            ("=", JACOBIAN[i, j], "What the reference calls the Jacobian."),
        ),
        step(_jacobian, "=", p[j] * (Delta(i, j) - p[i]), "Both are −p_i p_j where i ≠ j."),
        *chain(
            over(j, _jacobian),
            ("=", p[i] * (1 - over(j, p[j])), "Only j = i contributes to the sum of δ_ij."),
            ("=", 0, "The weights sum to 1."),
        ),
    ),
)

_vjp = Derivation(
    title="The vector-Jacobian product of softmax",
    statement="dx_j = p_j (dy_j − Σ_i dy_i p_i): the deviation of a cotangent from the mean of "
    "all under p, times p. The gradients of a row sum to 0.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(
            over(i, dy[i] * Derivative(p[i], x[j])),
            "=",
            p[j] * (dy[j] - _mean),
            "The gradient by a logit.",
        ),
    ),
    steps=(
        *chain(
            over(i, dy[i] * Derivative(p[i], x[j])),
            ("=", over(i, dy[i] * _jacobian), "The Jacobian."),
            (
                "=",
                dy[j] * p[j] - p[j] * _mean,
                "δ_ij leaves the term i = j; p_j does not depend on i.",
            ),
            ("=", p[j] * (dy[j] - _mean), "p_j is a common factor."),
            ("=", GRADIENT[j], "What the reference calls the gradient."),
        ),
        *chain(
            over(j, p[j] * (dy[j] - _mean)),
            ("=", over(j, dy[j] * p[j]) - over(j, p[j]) * _mean, "Term by term."),
            ("=", 0, "Σ p_j = 1, and the sums over i and j are the same."),
        ),
    ),
)

_jvp = Derivation(
    title="The Jacobian-vector product of softmax",
    statement="Along tangents t of the logits, p_i changes at the rate p_i (t_i − Σ_j p_j t_j). "
    "It is the map of the vector-Jacobian product, because the Jacobian is symmetric. ∇_t is the "
    "derivative along the tangents.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(step(Rate(p[i]), "=", p[i] * (t[i] - over(j, p[j] * t[j])), "The rate of change."),),
    steps=chain(
        Rate(p[i]),
        ("=", over(j, Derivative(p[i], x[j]) * t[j]), "The chain rule."),
        ("=", over(j, _jacobian * t[j]), "The Jacobian."),
        ("=", p[i] * t[i] - p[i] * over(j, p[j] * t[j]), "δ_ij leaves the term j = i."),
        ("=", p[i] * (t[i] - over(j, p[j] * t[j])), "p_i is a common factor."),
        ("=", RATE[i], "What the reference calls the product."),
    ),
)

_rate = letter("v", 1, lambda i: p[i] * (t[i] - over(j, p[j] * t[j])))

_second = Derivation(
    title="Second derivatives of softmax",
    statement="The gradient p_j (dy_j − Σ_i dy_i p_i), differentiated along tangents t of the "
    "logits, is v_j (dy_j − Σ_i dy_i p_i) − p_j Σ_i dy_i v_i with v_i = p_i (t_i − Σ_j p_j t_j): "
    "two products of the first order, and no third index. ∇_t is the derivative along t.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(
            Rate(p[j] * (dy[j] - _mean)),
            "=",
            _rate[j] * (dy[j] - _mean) - p[j] * over(i, dy[i] * _rate[i]),
            "The product of the Hessian with tangents.",
        ),
    ),
    steps=(
        step(
            _rate[i], "=", p[i] * (t[i] - over(j, p[j] * t[j])), "The rates of the weights, as v."
        ),
        *chain(
            Rate(p[j] * (dy[j] - _mean)),
            (
                "=",
                Rate(p[j]) * (dy[j] - _mean) + p[j] * Rate(dy[j] - _mean),
                "The product rule.",
            ),
            (
                "=",
                _rate[j] * (dy[j] - _mean) - p[j] * over(i, dy[i] * _rate[i]),
                "Cotangents are constants, and p_i changes at the rate v_i.",
            ),
        ),
        step(
            Derivative(_jacobian, x[k]),
            "=",
            p[i] * (Delta(i, k) - p[k]) * (Delta(i, j) - p[j]) - p[i] * p[j] * (Delta(j, k) - p[k]),
            "Entry by entry: the product rule on p_i (δ_ij − p_j).",
        ),
    ),
)

DERIVATIONS = {
    "softmax/definition": _definition,
    "softmax/shift": _shift,
    "softmax/absent": _absent,
    "softmax/jacobian": _jacobian_derivation,
    "softmax/vjp": _vjp,
    "softmax/jvp": _jvp,
    "softmax/second-derivative": _second,
}
"""By key, in reading order."""
