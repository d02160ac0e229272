"""All variants as one family: the gate times the softmax of c x."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softmax_variants_spec.derivations.derivation import Condition, Derivation, chain, step
from softmax_variants_spec.derivations.entries import maximum, over
from softmax_variants_spec.derivations.expression import lift
from softmax_variants_spec.derivations.functions import Delta, bracket, exp, ln
from softmax_variants_spec.derivations.gates import DEFINED, d, offset
from softmax_variants_spec.derivations.letters import Derivative, Letter, Rate, letter
from softmax_variants_spec.derivations.notation import (
    FACTOR,
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
from softmax_variants_spec.derivations.samples import family_samples, lone_samples
from softmax_variants_spec.derivations.ssmax import b, n, s

if TYPE_CHECKING:
    from softmax_variants_spec.derivations.letters import Meaning
    from softmax_variants_spec.row import Row

__all__ = ["DERIVATIONS"]

_SAMPLES = family_samples()
_Y = known_weights("y")
_EVERY = (
    "every row of present, finite logits, every function and form with D ≠ 0, the extrema "
    "differentiated or detached"
)


def _factor(row: Row) -> Meaning:
    return (lambda: s * ln(n) + b) if row.function == "ssmax" else lambda: lift(1)


def _gate(row: Row) -> Meaning:
    if row.function == "sa_softmax":
        return lambda i: (x[i] - offset) / d
    return lambda _i: lift(1)


_c = Letter("c", _factor, 0)()
_r = Letter("r", _gate, 1)
_total = over(k, exp(_c * x[k]))
_p = letter("p", 1, lambda i: exp(_c * x[i]) / _total)
_y = letter("y", 1, lambda i: _r[i] * _p[i])
_sum = letter("T", 0, lambda: over(i, dy[i] * _y[i]))()

_v = letter("v", 0, lambda: bracket(_c, ">", 0) * M + (1 - bracket(_c, ">", 0)) * m)()
"""The logit of the largest softmax weight; at c = 0, where all are equal, any would do."""

_SCALED = Condition("SSMax", lambda place, _bound: place.row.function == "ssmax")
_UNSCALED = Condition("softmax and SA-Softmax", lambda place, _bound: place.row.function != "ssmax")

_definition = Derivation(
    title="One family",
    statement="y_i = r_i exp(c x_i)/Σ_k exp(c x_k): softmax has c = 1 and r = 1, SSMax "
    "c = s ln n + b and r = 1, SA-Softmax c = 1 and its gate. Let v be the largest logit, for "
    "c < 0 the smallest: with the exponents c (x_i − v), which are at most 0, nothing overflows, "
    "whatever c is.",
    domain=_EVERY,
    samples=_SAMPLES,
    claims=(
        step(_Y[i], "=", _r[i] * exp(_c * x[i]) / over(k, exp(_c * x[k])), "The family.", DEFINED),
    ),
    steps=(
        step(FACTOR(), "=", s * ln(n) + b, "The factor of SSMax.", _SCALED),
        step(FACTOR(), "=", 1, "The factor of the others.", _UNSCALED),
        step(_c * (x[i] - _v), "≤", 0, "x_i − v has the opposite sign of c, or is 0."),
        step(
            _c * (x[i] - _v),
            "=",
            _c * x[i] - maximum(k, _c * x[k]),
            "c v is the largest exponent.",
        ),
        *chain(
            _p[i],
            (
                "=",
                exp(_c * x[i] - _c * _v) / over(k, exp(_c * x[k] - _c * _v)),
                "exp(−c v) is a factor of numerator and denominator.",
            ),
            (
                "=",
                exp(_c * (x[i] - _v)) / over(k, exp(_c * (x[k] - _v))),
                "First the difference, then the factor.",
            ),
        ),
        step(over(k, exp(_c * (x[k] - _v))), "≥", 1, "The term of v is 1."),
        step(over(k, exp(_c * (x[k] - _v))), "≤", over(k, 1), "No term is larger than 1."),
    ),
)

_jacobian = _p[i] * Derivative(_r[i], x[j]) + _c * _y[i] * (Delta(i, j) - _p[j])

_jacobian_derivation = Derivation(
    title="The Jacobian of the family",
    statement="∂y_i/∂x_j = p_i ∂r_i/∂x_j + c y_i (δ_ij − p_j): what the gate changes by, and what "
    "the softmax changes by. Without a gate only the second term is left.",
    domain=_EVERY,
    samples=_SAMPLES,
    claims=(step(Derivative(_y[i], x[j]), "=", _jacobian, "The Jacobian.", DEFINED),),
    steps=(
        step(
            Derivative(_p[i], x[j]),
            "=",
            _c * _p[i] * (Delta(i, j) - _p[j]),
            "The Jacobian of softmax, with the factor c.",
        ),
        *chain(
            Derivative(_y[i], x[j]),
            (
                "=",
                _p[i] * Derivative(_r[i], x[j]) + _r[i] * Derivative(_p[i], x[j]),
                "The product rule.",
            ),
            ("=", _jacobian, "r_i p_i = y_i."),
            ("=", JACOBIAN[i, j], "What the reference calls the Jacobian."),
            assumes=DEFINED,
        ),
    ),
)

_dx = over(i, dy[i] * _p[i] * Derivative(_r[i], x[j])) + _c * (dy[j] * _y[j] - _p[j] * _sum)

_vjp = Derivation(
    title="The products of the family",
    statement="dx_j = Σ_i dy_i p_i ∂r_i/∂x_j + c (dy_j y_j − p_j T) with T = Σ_i dy_i y_i; along "
    "tangents t, y_i changes at the rate p_i ∇r_i + c y_i (t_i − Σ_j p_j t_j), for constant "
    "c, where ∇r_i is the rate of the gate.",
    domain=_EVERY,
    samples=_SAMPLES,
    claims=(
        step(
            over(i, dy[i] * Derivative(_y[i], x[j])), "=", _dx, "The gradient by a logit.", DEFINED
        ),
        step(
            over(j, Derivative(_y[i], x[j]) * t[j]),
            "=",
            _p[i] * over(j, Derivative(_r[i], x[j]) * t[j])
            + _c * _y[i] * (t[i] - over(j, _p[j] * t[j])),
            "The rate of change along t.",
            DEFINED,
        ),
    ),
    steps=(
        step(_sum, "=", over(i, dy[i] * _y[i]), "The letter T.", DEFINED),
        *chain(
            over(i, dy[i] * Derivative(_y[i], x[j])),
            ("=", over(i, dy[i] * _jacobian), "The Jacobian."),
            ("=", _dx, "δ_ij leaves the term i = j."),
            ("=", GRADIENT[j], "What the reference calls the gradient."),
            assumes=DEFINED,
        ),
        step(
            Rate(_y[i]),
            "=",
            RATE[i],
            "What the reference calls the product, along t, t_s and t_b.",
            DEFINED,
        ),
    ),
)


def _is_plain(row: Row) -> bool:
    return row.function == "sa_softmax" and row.form == "plain"


_NOT_PLAIN = Condition("not plain", lambda place, _bound: not _is_plain(place.row))
_CONSTANT_GATE = Condition(
    "not plain, D ≠ 0",
    lambda place, bound: not _is_plain(place.row) and DEFINED.holds(place, bound),
)

_lone = Derivation(
    title="A row of one entry",
    statement="Its softmax weight is 1 whatever the logit, so the gradient is 0 wherever the gate "
    "does not move either: in all functions and forms but plain, with the extrema differentiated.",
    domain="rows of one present entry, the extrema differentiated",
    samples=lone_samples(),
    claims=(step(GRADIENT[j], "=", 0, "The gradient.", _NOT_PLAIN),),
    steps=(
        step(_p[i], "=", 1, "Numerator and denominator are the same exponential."),
        step(Derivative(_p[i], x[j]), "=", _c * _p[i] * (1 - _p[j]), "The Jacobian, with i = j."),
        step(1 - _p[j], "=", 0, "So softmax contributes nothing."),
        step(
            Derivative(_r[i], x[j]),
            "=",
            0,
            "The gate is a constant: 1, and 0 in the shifted form.",
            _CONSTANT_GATE,
        ),
        step(JACOBIAN[i, j], "=", 0, "Nothing moves.", _NOT_PLAIN),
    ),
)

DERIVATIONS = {
    "family/definition": _definition,
    "family/jacobian": _jacobian_derivation,
    "family/products": _vjp,
    "family/lone-entry": _lone,
}
"""By key, in reading order."""
