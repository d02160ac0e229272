"""Rounding errors of whole weights, of scaled logits and of gradients, to first order and exactly.

A rounded operation is the exact one times 1 + u θ with |θ| ≤ 1. Here the θ are any such numbers,
one for each operation.
"""

from __future__ import annotations

from softmax_variants_spec import scale
from softmax_variants_spec.derivations.derivation import Derivation, Prose, chain, step
from softmax_variants_spec.derivations.entries import over
from softmax_variants_spec.derivations.functions import absolute, exp, ln
from softmax_variants_spec.derivations.letters import (
    AtZero,
    Derivative,
    Number,
    Reference,
    Vector,
    letter,
)
from softmax_variants_spec.derivations.notation import a, dy, i, j, k, l, x
from softmax_variants_spec.derivations.rounding import u, z
from softmax_variants_spec.derivations.samples import scaled_samples, softmax_samples
from softmax_variants_spec.derivations.softmax import p
from softmax_variants_spec.derivations.ssmax import c

__all__ = ["DERIVATIONS"]

_ANY = "every row of present, finite logits, and any errors θ, φ, ψ, ω between −1 and 1"
_SAMPLES = softmax_samples()

_n, _kappa = Number("n"), Number("kappa", r"\kappa")
_theta, _phi, _psi = Vector("theta", r"\theta"), Vector("phi", r"\varphi"), Vector("psi", r"\psi")
_omega = Number("omega", r"\omega")

_computed = letter("E", 1, lambda i: exp(z[i] * (1 + u * _theta[i])) * (1 + _kappa * u * _phi[i]))
_summed = over(k, _computed[k] * (1 + (_n - 1) * u * _psi[k]))
_weight = letter("P", 1, lambda i: _computed[i] / _summed * (1 + u * _omega))
_growth = letter("q", 1, lambda i: exp(u * z[i] * _theta[i]) * (1 + _kappa * u * _phi[i]))
_own = letter(r"\epsilon", 1, lambda i: z[i] * _theta[i] + _kappa * _phi[i])
_spread = over(k, p[k] * absolute(z[k]))

_first_order = _own[i] + _omega - over(k, p[k] * (_own[k] + (_n - 1) * _psi[k]))

_plain = Derivation(
    title="The error of exp(x − max)/sum, to first order",
    statement="Let every operation err by at most u relatively, the exponential by κ u, and each "
    "term of the sum by the n − 1 additions after it. Then the relative error of a weight is, to "
    "first order in u, at most u [|z_i| + Σ_k p_k |z_k| + 2κ + (n − 1) + 1] with z = x − M. The "
    "first term is the staircase of the weight's own exponent; the second, the same in the "
    "denominator, stays below ln n.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(
            absolute(AtZero(Derivative(ln(_weight[i]), u), u)),
            "≤",
            absolute(z[i]) + _spread + 2 * _kappa + (_n - 1) + 1,
            "The relative error, in units of u.",
        ),
    ),
    steps=(
        step(
            _computed[i],
            "=",
            exp(z[i] * (1 + u * _theta[i])) * (1 + _kappa * u * _phi[i]),
            "The computed exponential: errors of the difference, and of its own.",
        ),
        step(
            _weight[i],
            "=",
            _computed[i] / _summed * (1 + u * _omega),
            "The computed weight: errors of the additions, and of the division.",
        ),
        step(
            _growth[i],
            "=",
            exp(u * z[i] * _theta[i]) * (1 + _kappa * u * _phi[i]),
            "What the exponential is off by: the letter q.",
        ),
        step(
            _weight[i] / p[i],
            "=",
            _growth[i]
            * (1 + u * _omega)
            / over(k, p[k] * _growth[k] * (1 + (_n - 1) * u * _psi[k])),
            "Numerator and denominator, divided by exp(z_i) and by Σ_k exp(z_k).",
        ),
        step(
            AtZero(ln(_weight[i] / p[i]), u),
            "=",
            0,
            "Without errors it is the weight itself.",
        ),
        step(
            _own[i],
            "=",
            z[i] * _theta[i] + _kappa * _phi[i],
            "The first order of ln q: the letter ε.",
        ),
        step(
            AtZero(Derivative(ln(_weight[i]), u), u),
            "=",
            _first_order,
            "The derivative of the logarithm of the step above; the sum there is 1 at u = 0.",
        ),
        *chain(
            absolute(_first_order),
            (
                "≤",
                absolute(_own[i]) + 1 + over(k, p[k] * (absolute(_own[k]) + (_n - 1))),
                "All errors are between −1 and 1.",
            ),
            (
                "≤",
                absolute(z[i]) + _spread + 2 * _kappa + (_n - 1) + 1,
                "|ε_k| ≤ |z_k| + κ, and the weights sum to 1.",
            ),
        ),
        Prose(
            "What is left out is of second order: for |u z_i| ≪ 1 it does not count, and the "
            "class “bounded” replaces a bound above 1/10 by exp(bound) − 1."
        ),
    ),
)

_entropy = letter("H", 0, lambda: -over(k, p[k] * ln(p[k])))()

_mean = Derivation(
    title="The mean distance from the maximum",
    statement="Σ_k p_k |z_k| is the entropy of the weights less that of the largest one alone, "
    "and at most ln n: the errors of the differences hardly reach the denominator, because terms "
    "far below the maximum are small.",
    domain="every row of present, finite logits",
    samples=_SAMPLES,
    claims=(step(_spread, "≤", ln(_n), "The mean distance."),),
    steps=(
        step(_entropy, "=", -over(k, p[k] * ln(p[k])), "The entropy H of the weights."),
        step(absolute(z[k]), "=", ln(p[l]) - ln(p[k]), "Weights differ by exp of the difference."),
        *chain(
            _spread,
            ("=", ln(p[l]) * over(k, p[k]) - over(k, p[k] * ln(p[k])), "Term by term."),
            ("=", _entropy + ln(p[l]), "The weights sum to 1."),
            ("≤", _entropy, "p_l ≤ 1."),
        ),
        *chain(
            _entropy - ln(_n),
            ("=", over(k, p[k] * ln(1 / (_n * p[k]))), "The weights sum to 1."),
            ("≤", over(k, p[k] * (1 / (_n * p[k]) - 1)), "ln v ≤ v − 1."),
            ("=", 0, "Σ_k 1/n = 1 = Σ_k p_k."),
        ),
    ),
)

_first = c * x[i] * (1 + u * _theta[i]) - c * x[l] * (1 + u * _theta[l])
_after = c * (x[i] - x[l]) * (1 + u * _theta[i]) * (1 + u * _phi[i])
_exact = c * (x[i] - x[l])

_scaled = Derivation(
    title="Scale after the shift",
    statement="Computed as c x_i − c M, from two rounded products, an exponent errs by up to "
    "u |c| (|x_i| + |M|), which grows without bound when all logits are shifted by the same "
    "number; computed as c (x_i − M), by at most (2u + u²) |c| |x_i − M|, which a shift leaves "
    "alone. So the scale of SSMax belongs after the subtraction, unless it is exact.",
    domain="every row of present, finite logits; any factor c of SSMax; any errors θ and φ "
    "between −1 and 1",
    samples=scaled_samples(),
    claims=(
        step(
            absolute(_first - _exact),
            "≤",
            u * absolute(c) * (absolute(x[i]) + absolute(x[l])),
            "Scaled first.",
        ),
        step(
            absolute(_after - _exact),
            "≤",
            (2 * u + u**2) * absolute(c) * absolute(x[i] - x[l]),
            "Shifted first.",
        ),
    ),
    steps=(
        *chain(
            absolute(_first - _exact),
            (
                "=",
                u * absolute(c) * absolute(x[i] * _theta[i] - x[l] * _theta[l]),
                "The exact parts cancel.",
            ),
            (
                "≤",
                u * absolute(c) * (absolute(x[i]) + absolute(x[l])),
                "The triangle inequality; opposite errors attain it.",
            ),
        ),
        *chain(
            absolute(_after - _exact),
            (
                "=",
                absolute(c)
                * absolute(x[i] - x[l])
                * absolute((1 + u * _theta[i]) * (1 + u * _phi[i]) - 1),
                "The exact exponent is a factor.",
            ),
            (
                "≤",
                (2 * u + u**2) * absolute(c) * absolute(x[i] - x[l]),
                "Two errors and their product.",
            ),
        ),
        step((x[i] + a) - (x[l] + a), "=", x[i] - x[l], "A shift by a leaves the second bound."),
        step(
            absolute(x[i] + a) + absolute(x[l] + a),
            "≥",
            2 * absolute(a) - absolute(x[i]) - absolute(x[l]),
            "The first grows with |a|.",
        ),
    ),
)

_error = Number("epsilon", r"\varepsilon")
_inexact = letter("P", 1, lambda i: p[i] * (1 + _error * _phi[i]))
_gradient = p[j] * (dy[j] - over(i, p[i] * dy[i]))
_inexact_gradient = _inexact[j] * (dy[j] - over(i, _inexact[i] * dy[i]))
_scale = Reference(
    r"\operatorname{scale}",
    lambda place: scale.scale_of_logits(place.evaluation, place.vector("dy"), place.evaluation.c),
)

_gradients = Derivation(
    title="What a gradient inherits",
    statement="A gradient from weights with relative errors up to ε, otherwise exact, errs by at "
    "most (2 + ε) ε times scale_j = p_j (|dy_j| + Σ_i p_i |dy_i|), the sum of the magnitudes of "
    "its terms. The gradient itself may be far smaller: its terms cancel where a cotangent is near "
    "the mean of all. So no bound in ULP of the gradient can hold, and one in scale does.",
    domain="every row of present, finite logits, and any errors φ between −1 and 1",
    samples=_SAMPLES,
    claims=(
        step(
            absolute(_inexact_gradient - _gradient),
            "≤",
            (2 + _error) * _error * _scale[j],
            "The error of the gradient.",
        ),
    ),
    steps=(
        step(_inexact[i], "=", p[i] * (1 + _error * _phi[i]), "The inexact weights."),
        *chain(
            absolute(_inexact_gradient - _gradient),
            (
                "=",
                p[j]
                * _error
                * absolute(
                    _phi[j] * (dy[j] - over(i, p[i] * dy[i]))
                    - (1 + _error * _phi[j]) * over(i, p[i] * _phi[i] * dy[i])
                ),
                "The error of p_j times the deviation, and p_j times that of the mean.",
            ),
            (
                "≤",
                p[j] * _error * (absolute(dy[j]) + (2 + _error) * over(i, p[i] * absolute(dy[i]))),
                "Magnitude by magnitude, with |φ| ≤ 1.",
            ),
            (
                "≤",
                (2 + _error) * _error * p[j] * (absolute(dy[j]) + over(i, p[i] * absolute(dy[i]))),
                "2 + ε is at least 1.",
            ),
            ("=", (2 + _error) * _error * _scale[j], "What the reference calls the scale."),
        ),
    ),
)

DERIVATIONS = {
    "rounding/plain": _plain,
    "rounding/mean-distance": _mean,
    "rounding/scale-after-shift": _scaled,
    "rounding/gradient": _gradients,
}
"""By key, in reading order."""
