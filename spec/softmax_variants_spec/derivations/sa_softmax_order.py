"""The sign, the sum and the order of the weights of SA-Softmax."""

from __future__ import annotations

from softmax_variants_spec.derivations.derivation import Condition, Derivation, Prose, chain, step
from softmax_variants_spec.derivations.entries import over
from softmax_variants_spec.derivations.functions import exp
from softmax_variants_spec.derivations.gates import DEFINED, form, r, y
from softmax_variants_spec.derivations.letters import Derivative
from softmax_variants_spec.derivations.notation import M, i, j, known_weights, m, x
from softmax_variants_spec.derivations.samples import gated_samples
from softmax_variants_spec.derivations.softmax import p

__all__ = ["DERIVATIONS"]

_Y = known_weights("y")
_RATIO = Condition(
    "minmax and normalized, D ≠ 0",
    lambda place, bound: place.row.form in ("minmax", "normalized") and DEFINED.holds(place, bound),
)
_GATED = Condition(
    "shifted, minmax and normalized, D ≠ 0",
    lambda place, bound: place.row.form != "plain" and DEFINED.holds(place, bound),
)

_sign = Derivation(
    title="The sign and the sum of the weights",
    statement="The gates of shifted, minmax and normalized are not negative, and neither are "
    "their weights; those of minmax and normalized are at most softmax's, and sum to at most 1. "
    "A plain weight has the sign of its logit, and the plain weights sum to the mean of the "
    "logits under p, which can be any number between the smallest and the largest of them.",
    domain="every row of present, finite logits with D ≠ 0",
    samples=gated_samples(),
    claims=(
        step(_Y[i], "≥", 0, "No negative weights.", _GATED),
        step(over(i, _Y[i]), "≤", 1, "At most the weights of softmax.", _RATIO),
        step(x[i] * _Y[i], "≥", 0, "The sign of the logit.", form("plain")),
    ),
    steps=(
        step(r[i], "≥", 0, "λ is at most the smallest logit.", _GATED),
        step(r[i], "≤", 1, "x_i − λ is at most D.", _RATIO),
        step(y[i], "≤", p[i], "The gate is at most 1.", _RATIO),
        *chain(
            over(i, y[i]),
            ("≤", over(i, p[i]), "Term by term."),
            ("=", 1, "The weights of softmax sum to 1."),
            assumes=_RATIO,
        ),
        *chain(
            x[i] * y[i],
            ("=", x[i] ** 2 * p[i], "The gate is the logit."),
            ("≥", 0, "Squares are not negative."),
            assumes=form("plain"),
        ),
        step(over(i, y[i]), "=", over(i, p[i] * x[i]), "A mean of the logits.", form("plain")),
        step(over(i, p[i] * x[i]), "≤", M, "A mean is at most the largest."),
        step(over(i, p[i] * x[i]), "≥", m, "A mean is at least the smallest."),
    ),
)


def _ordered(
    text: str, holds: Condition | None = None, low: float | None = None, high: float | None = None
) -> Condition:
    """Return the condition x_i < x_j with both in a range."""
    return Condition(
        text,
        lambda place, bound: (
            (holds is None or holds.holds(place, bound))
            and (low is None or x[i].value(place, bound) >= low)
            and (high is None or x[j].value(place, bound) <= high)
            and x[i].value(place, bound) < x[j].value(place, bound)
        ),
    )


_LESS = _ordered("x_i < x_j; shifted, minmax and normalized", _GATED)
_ABOVE = _ordered("plain, −1 ≤ x_i < x_j", form("plain"), low=-1)
_UNDER = _ordered("plain, x_i < x_j ≤ −1", form("plain"), high=-1)

_order = Derivation(
    title="The order of the weights",
    statement="Where x_i < x_j, y_i ≤ y_j in the forms whose gate is not negative: gate and "
    "softmax both grow with the logit. Plain weights grow with the logit above −1 and fall below, "
    "because x exp(x) has its minimum at −1: of logits below −1 the smallest has the largest "
    "weight.",
    domain="every row of present, finite logits with D ≠ 0",
    samples=gated_samples(mirrored=True),
    claims=(
        step(_Y[i], "≤", _Y[j], "Larger logits, larger weights.", _LESS),
        step(_Y[i], "≤", _Y[j], "So do plain weights above −1.", _ABOVE),
        step(_Y[i], "≥", _Y[j], "Below, the order is reversed.", _UNDER),
    ),
    steps=(
        step(r[i], "≤", r[j], "The gate is a growing function of the logit.", _LESS),
        step(p[i], "≤", p[j], "And so is softmax's weight.", _LESS),
        *chain(
            r[i] * p[i],
            ("≤", r[j] * p[i], "p_i is not negative."),
            ("≤", r[j] * p[j], "r_j is not negative."),
            assumes=_LESS,
        ),
        step(
            Derivative(x[i] * exp(x[i]), x[i]),
            "=",
            (1 + x[i]) * exp(x[i]),
            "Plain weights of a row are x exp(x) over one denominator; the sign is that of 1 + x.",
        ),
        step(x[i] * exp(x[i]), "≤", x[j] * exp(x[j]), "It grows from −1 on.", _ABOVE),
        step(x[i] * exp(x[i]), "≥", x[j] * exp(x[j]), "It falls up to −1.", _UNDER),
        Prose("A function of one logit is monotonic where its derivative keeps its sign."),
    ),
)

DERIVATIONS = {"sa_softmax/sign": _sign, "sa_softmax/order": _order}
"""By key, in reading order."""
