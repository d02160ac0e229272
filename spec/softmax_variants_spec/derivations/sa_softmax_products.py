"""Derivations of the forms of SA-Softmax without a denominator, plain and shifted."""

from __future__ import annotations

from softmax_variants_spec.derivations.derivation import Derivation, chain, step
from softmax_variants_spec.derivations.entries import maximum, minimum, over
from softmax_variants_spec.derivations.functions import Delta, absolute, exp
from softmax_variants_spec.derivations.gates import offset_slope, y
from softmax_variants_spec.derivations.letters import Derivative, Number, letter
from softmax_variants_spec.derivations.notation import (
    GRADIENT,
    JACOBIAN,
    SEVERAL,
    a,
    dy,
    i,
    j,
    k,
    known_weights,
    l,
    m,
    x,
)
from softmax_variants_spec.derivations.samples import equal_samples, gated_samples
from softmax_variants_spec.derivations.softmax import p

__all__ = ["DERIVATIONS"]

_Y = known_weights("y")
_n = Number("n")
_gap = letter("g", 1, lambda top: x[top] - maximum(k, x[k], without=top))
_ANY = "every row of present, finite logits"

_plain_jacobian = p[i] * (Delta(i, j) * (1 + x[i]) - x[i] * p[j])

_plain = Derivation(
    title="The plain form, x p",
    statement="∂y_i/∂x_j = p_i [δ_ij (1 + x_i) − x_i p_j]. On the diagonal this is "
    "p_i + x_i p_i (1 − p_i). Where p_i goes to 1 faster than |x_i| grows it goes to 1, while "
    "softmax's goes to 0; where p_i goes to 0 it vanishes with x_i p_i. So the form escapes the "
    "saturation of softmax at one, and not that at zero.",
    domain=_ANY,
    samples=gated_samples(("plain",)),
    claims=(
        step(Derivative(y[i], x[j]), "=", _plain_jacobian, "The Jacobian."),
        step(
            absolute(Derivative(y[i], x[i]) - p[i]),
            "≤",
            absolute(x[i]) * (1 - p[i]),
            "Near p_i = 1 the derivative is near 1.",
        ),
        step(
            absolute(Derivative(y[i], x[j])),
            "≤",
            p[i] * (1 + absolute(x[i])),
            "Near p_i = 0 it vanishes.",
        ),
    ),
    steps=(
        *chain(
            Derivative(x[i] * p[i], x[j]),
            ("=", Delta(i, j) * p[i] + x[i] * Derivative(p[i], x[j]), "The product rule."),
            (
                "=",
                Delta(i, j) * p[i] + x[i] * p[i] * (Delta(i, j) - p[j]),
                "The Jacobian of softmax.",
            ),
            ("=", _plain_jacobian, "p_i is a common factor."),
            ("=", JACOBIAN[i, j], "What the reference calls the Jacobian."),
        ),
        *chain(
            over(i, dy[i] * _plain_jacobian),
            ("=", p[j] * (dy[j] * (1 + x[j]) - over(i, dy[i] * x[i] * p[i])), "Summed over i."),
            ("=", GRADIENT[j], "What the reference calls the gradient."),
        ),
        *chain(
            Derivative(y[i], x[i]),
            ("=", p[i] * (1 + x[i] * (1 - p[i])), "The diagonal, j = i."),
            ("=", p[i] + x[i] * p[i] * (1 - p[i]), "Multiplied out."),
        ),
        step(
            absolute(Derivative(y[i], x[i]) - p[i]),
            "=",
            absolute(x[i]) * p[i] * (1 - p[i]),
            "p_i and 1 − p_i are not negative; and p_i ≤ 1.",
        ),
        step(
            1 - p[l],
            "≤",
            (_n - 1) * exp(-_gap[l]),
            "How near 1 the largest weight is, if its logit leads by g_l.",
            SEVERAL,
        ),
        *chain(
            absolute(_plain_jacobian),
            ("=", p[i] * absolute(Delta(i, j) + x[i] * (Delta(i, j) - p[j])), "p_i is positive."),
            ("≤", p[i] * (1 + absolute(x[i])), "δ_ij ≤ 1 and |δ_ij − p_j| ≤ 1."),
        ),
    ),
)

_shifted_jacobian = p[i] * (Delta(i, j) - offset_slope[j] + (x[i] - m) * (Delta(i, j) - p[j]))

_shifted = Derivation(
    title="The shifted form, (x − m) p",
    statement="∂y_i/∂x_j = p_i [δ_ij − λ'_j + (x_i − m)(δ_ij − p_j)], where λ'_j is the "
    "derivative of the smallest logit m. It makes the rows of the Jacobian sum to 0: like softmax, "
    "the form does not change when all logits are shifted. The form follows secondary sources and "
    "is not confirmed against the paper.",
    domain=_ANY,
    samples=gated_samples(("shifted",)),
    claims=(step(Derivative(y[i], x[j]), "=", _shifted_jacobian, "The Jacobian."),),
    steps=(
        *chain(
            Derivative((x[i] - m) * p[i], x[j]),
            (
                "=",
                p[i] * Derivative(x[i] - m, x[j]) + (x[i] - m) * Derivative(p[i], x[j]),
                "The product rule.",
            ),
            ("=", _shifted_jacobian, "λ = m, and the Jacobian of softmax."),
            ("=", JACOBIAN[i, j], "What the reference calls the Jacobian."),
        ),
        *chain(
            (x[i] + a - minimum(k, x[k] + a)) * (exp(x[i] + a) / over(k, exp(x[k] + a))),
            ("=", (x[i] - m) * p[i], "a cancels in the gate and in the softmax."),
            ("=", _Y[i], "What the reference calls the weight."),
        ),
        *chain(
            over(j, _shifted_jacobian),
            (
                "=",
                p[i] * (1 - over(j, offset_slope[j]) + (x[i] - m) * (1 - over(j, p[j]))),
                "Only j = i contributes to the sum of δ_ij.",
            ),
            ("=", 0, "The shares of the minimum sum to 1, and so do the weights."),
        ),
    ),
)

_mean_dy = letter("A", 0, lambda: over(i, dy[i]) / _n)()

_shifted_equal = Derivation(
    title="The shifted form on equal logits",
    statement="Every weight is 0 there, but the gradient is not: with the mean A of the "
    "cotangents, dx_j = (dy_j − A)/n. It is 0 in a row of one entry.",
    domain="rows of equal logits, the extrema differentiated",
    samples=equal_samples(("shifted",)),
    claims=(
        step(_Y[i], "=", 0, "x_i = m."),
        step(GRADIENT[j], "=", (dy[j] - _mean_dy) / _n, "The gradient."),
    ),
    steps=(
        step(_mean_dy, "=", over(i, dy[i]) / _n, "The mean of the cotangents."),
        step(p[i], "=", 1 / _n, "All exponentials are equal."),
        step(offset_slope[j], "=", 1 / _n, "All n entries attain the minimum."),
        *chain(
            over(i, dy[i] * _shifted_jacobian),
            ("=", over(i, dy[i] * (Delta(i, j) - 1 / _n)) / _n, "The gate is 0, p_i is 1/n."),
            ("=", (dy[j] - _mean_dy) / _n, "δ_ij leaves the term i = j."),
            ("=", GRADIENT[j], "What the reference calls the gradient."),
        ),
    ),
)

DERIVATIONS = {
    "sa_softmax/plain": _plain,
    "sa_softmax/shifted": _shifted,
    "sa_softmax/shifted-equal": _shifted_equal,
}
"""By key, in reading order."""
