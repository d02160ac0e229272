"""Derivations of SSMax: its factor, the Jacobian, the gradients by s and b."""

from __future__ import annotations

from softmax_variants_spec.derivations.derivation import Condition, Derivation, Prose, chain, step
from softmax_variants_spec.derivations.entries import over
from softmax_variants_spec.derivations.functions import Delta, exp, ln
from softmax_variants_spec.derivations.letters import Derivative, Number, Rate, Vector, letter
from softmax_variants_spec.derivations.notation import (
    DB,
    DS,
    FACTOR,
    GRADIENT,
    JACOBIAN,
    RATE,
    a,
    dy,
    i,
    j,
    k,
    known_weights,
    t,
    x,
)
from softmax_variants_spec.derivations.samples import scaled_samples
from softmax_variants_spec.derivations.softmax import p

__all__ = ["DERIVATIONS", "b", "c", "n", "s", "y"]

_ANY = "every row of present, finite logits; any s and b, of either sign; n counted or given"
_SAMPLES = scaled_samples()
_Y = known_weights("y")

s, b, n = Number("s"), Number("b"), Number("n")
"""Scale, bias, and the number of entries."""
_s_rate, _b_rate = Number("ds", "t_s"), Number("db", "t_b")

c = letter("c", 0, lambda: s * ln(n) + b)()
"""The factor of the logits."""
_total = over(k, exp(c * x[k]))
y = letter("y", 1, lambda i: exp(c * x[i]) / _total)
"""SSMax weights."""

_query, _key = Vector("query", "q"), Vector("key", r"\kappa")
_centre = letter(r"\langle x \rangle", 0, lambda: over(k, y[k] * x[k]))()
_others_mean = over(k, dy[k] * y[k])
_jacobian = c * y[i] * (Delta(i, j) - y[j])
_mean = over(i, dy[i] * y[i])
_BASIC = Condition("b = 0", lambda place, _bound: place.row.b == 0)

_definition = Derivation(
    title="SSMax is a softmax whose base is n",
    statement="With b = 0 the weights are powers of the number of entries: n^(s x_i) over their "
    "sum. This is the softmax of c x with c = s ln n, and the logarithm has to be the natural "
    "one. So the factor can as well go into the queries, whose products with the keys the logits "
    "are; and the weights are those of softmax, raised to the power c and normalized anew.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(FACTOR(), "=", s * ln(n) + b, "The factor of the logits."),
        step(_Y[i], "=", exp(c * x[i]) / over(k, exp(c * x[k])), "The definition."),
        step(
            n ** (s * x[i]) / over(k, n ** (s * x[k])),
            "=",
            _Y[i],
            "The basic form.",
            _BASIC,
        ),
    ),
    steps=(
        step(n ** (s * x[i]), "=", exp(s * ln(n) * x[i]), "n = exp(ln n)."),
        step(c, "=", s * ln(n), "The factor without b.", _BASIC),
        *chain(
            n ** (s * x[i]) / over(k, n ** (s * x[k])),
            (
                "=",
                exp(s * ln(n) * x[i]) / over(k, exp(s * ln(n) * x[k])),
                "The same in every term.",
            ),
            ("=", exp(c * x[i]) / _total, "s ln n is the factor c."),
            ("=", _Y[i], "What the reference calls the weights."),
            assumes=_BASIC,
        ),
        step(
            exp(c * x[i]) / _total,
            "=",
            p[i] ** c / over(k, p[k] ** c),
            "p_i^c is exp(c x_i) over a number that all entries share, which cancels.",
        ),
        step(
            c * over(k, _query[k] * _key[k]),
            "=",
            over(k, c * _query[k] * _key[k]),
            "Where a logit is the product of a query with a key, here over their components k, "
            "its factor can be the query's.",
        ),
        Prose(
            "With base-10 or base-2 logarithms the first equation fails: they are ln n over "
            "ln 10 or ln 2, and the weights would be powers of another base than n."
        ),
    ),
)

_jacobian_derivation = Derivation(
    title="The Jacobian of SSMax",
    statement="∂y_i/∂x_j = c y_i (δ_ij − y_j): softmax's with the factor c. n is not "
    "differentiated: it counts entries.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(step(Derivative(y[i], x[j]), "=", _jacobian, "The Jacobian."),),
    steps=(
        step(ln(y[i]), "=", c * x[i] - ln(_total), "The logarithm of the definition."),
        *chain(
            Derivative(ln(_total), x[j]),
            ("=", c * exp(c * x[j]) / _total, "The chain rule; only the term k = j has x_j."),
            ("=", c * y[j], "The definition."),
        ),
        step(
            Derivative(ln(y[i]), x[j]),
            "=",
            c * (Delta(i, j) - y[j]),
            "Both terms, differentiated.",
        ),
        *chain(
            Derivative(y[i], x[j]),
            ("=", y[i] * Derivative(ln(y[i]), x[j]), "∂u = u ∂ ln u for positive u."),
            ("=", _jacobian, "The step before."),
            ("=", JACOBIAN[i, j], "What the reference calls the Jacobian."),
        ),
    ),
)

_vjp = Derivation(
    title="The gradient of SSMax by the logits",
    statement="dx_j = c y_j (dy_j − Σ_i dy_i y_i). At c = 0 the weights are uniform and the "
    "gradient is 0.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(
            over(i, dy[i] * Derivative(y[i], x[j])),
            "=",
            c * y[j] * (dy[j] - _mean),
            "The gradient by a logit.",
        ),
    ),
    steps=chain(
        over(i, dy[i] * Derivative(y[i], x[j])),
        ("=", over(i, dy[i] * _jacobian), "The Jacobian."),
        ("=", c * dy[j] * y[j] - c * y[j] * _mean, "δ_ij leaves the term i = j."),
        ("=", c * y[j] * (dy[j] - _mean), "c y_j is a common factor."),
        ("=", GRADIENT[j], "What the reference calls the gradient."),
    ),
)

_by_factor = y[i] * (x[i] - _centre)

_parameters = Derivation(
    title="The gradients of SSMax by s and b",
    statement="Both act through c alone. With ⟨x⟩ = Σ_j y_j x_j, ∂y_i/∂c = y_i (x_i − ⟨x⟩); then "
    "db = Σ_i dy_i y_i (x_i − ⟨x⟩), a covariance of cotangents and logits under the weights, and "
    "ds = ln n db. Gradients of several rows add up, each with the ln n of its row (S9).",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(Derivative(y[i], b), "=", _by_factor, "The derivative by b."),
        step(Derivative(y[i], s), "=", ln(n) * _by_factor, "The derivative by s."),
    ),
    steps=(
        step(_centre, "=", over(k, y[k] * x[k]), "The mean of the logits under the weights."),
        *chain(
            Derivative(ln(_total), c),
            ("=", over(k, x[k] * exp(c * x[k])) / _total, "The chain rule, term by term."),
            ("=", _centre, "The definition of the weights, and of ⟨x⟩."),
        ),
        *chain(
            Derivative(y[i], c),
            ("=", y[i] * Derivative(ln(y[i]), c), "∂u = u ∂ ln u for positive u."),
            ("=", _by_factor, "ln y_i = c x_i − ln Σ_k exp(c x_k)."),
        ),
        step(Derivative(c, s), "=", ln(n), "c = s ln n + b."),
        step(Derivative(c, b), "=", 1, "c = s ln n + b."),
        step(
            Derivative(y[i], s),
            "=",
            Derivative(y[i], c) * Derivative(c, s),
            "The chain rule: s acts through c.",
        ),
        step(Derivative(y[i], b), "=", Derivative(y[i], c) * Derivative(c, b), "And so does b."),
        *chain(
            over(i, dy[i] * Derivative(y[i], b)),
            ("=", over(i, dy[i] * _by_factor), "The derivative by c."),
            ("=", DB(), "What the reference calls the gradient by b."),
        ),
        *chain(
            over(i, dy[i] * Derivative(y[i], s)),
            ("=", ln(n) * over(i, dy[i] * _by_factor), "ln n is a factor of every term."),
            ("=", DS(), "What the reference calls the gradient by s."),
        ),
        step(
            over(i, dy[i] * _by_factor),
            "=",
            over(i, y[i] * (dy[i] - _others_mean) * (x[i] - _centre)),
            "Σ_i y_i (x_i − ⟨x⟩) = 0, so any number may be taken from dy_i.",
        ),
        step(
            x[i] - _centre,
            "=",
            x[i] - a - over(k, y[k] * (x[k] - a)),
            "The weights sum to 1, so any a may be taken from all logits: that of the largest "
            "weight leaves terms as small as the spread of the logits.",
        ),
    ),
)

_c_rate = letter("t_c", 0, lambda: _s_rate * ln(n) + _b_rate)()

_jvp = Derivation(
    title="The derivative of SSMax along tangents",
    statement="Along tangents t of the logits, t_s of s and t_b of b, y_i changes at the rate "
    "c y_i (t_i − Σ_j y_j t_j) + (t_s ln n + t_b) y_i (x_i − ⟨x⟩). ∇_t is the derivative along all "
    "of them.",
    domain=_ANY,
    samples=_SAMPLES,
    claims=(
        step(
            Rate(y[i]),
            "=",
            c * y[i] * (t[i] - over(j, y[j] * t[j])) + _c_rate * _by_factor,
            "The rate of change.",
        ),
    ),
    steps=(
        *chain(
            Rate(c),
            ("=", _s_rate * ln(n) + _b_rate, "c is linear in s and b."),
            ("=", _c_rate, "The rate of c."),
        ),
        *chain(
            Rate(y[i]),
            (
                "=",
                over(j, Derivative(y[i], x[j]) * t[j]) + Derivative(y[i], c) * _c_rate,
                "The chain rule.",
            ),
            (
                "=",
                over(j, _jacobian * t[j]) + _c_rate * _by_factor,
                "The Jacobian, and the derivative by c.",
            ),
            (
                "=",
                c * y[i] * (t[i] - over(j, y[j] * t[j])) + _c_rate * _by_factor,
                "δ_ij leaves the term j = i.",
            ),
            ("=", RATE[i], "What the reference calls the product."),
        ),
    ),
)

DERIVATIONS = {
    "ssmax/definition": _definition,
    "ssmax/jacobian": _jacobian_derivation,
    "ssmax/vjp": _vjp,
    "ssmax/parameters": _parameters,
    "ssmax/jvp": _jvp,
}
"""By key, in reading order."""
