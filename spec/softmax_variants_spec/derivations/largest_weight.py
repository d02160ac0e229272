"""How large the largest weight is: bounds, and what they tend to as rows get longer."""

from __future__ import annotations

from softmax_variants_spec.derivations.derivation import Condition, Derivation, Prose, chain, step
from softmax_variants_spec.derivations.entries import maximum, over
from softmax_variants_spec.derivations.functions import exp, ln
from softmax_variants_spec.derivations.letters import Limit, letter
from softmax_variants_spec.derivations.notation import SEVERAL, M, k, known_weights, l, m, x
from softmax_variants_spec.derivations.samples import (
    attention_samples,
    figure_samples,
    softmax_samples,
)
from softmax_variants_spec.derivations.softmax import p
from softmax_variants_spec.derivations.ssmax import c, n, s, y

__all__ = ["SOFTMAX", "SSMAX"]

_P, _Y = known_weights("p"), known_weights("y")
_gap = letter("g", 1, lambda top: x[top] - maximum(k, x[k], without=top))
_range = letter("R", 0, lambda: M - m)()
_rest = over(k, exp(x[k] - M), without=l)

_softmax_bounds = Derivation(
    title="The largest softmax weight, and how attention fades",
    statement="Let l hold the largest logit M, g_l be its lead over the second largest, and R = "
    "M − m the range of the logits. Then 1/(1 + (n − 1) exp(−g_l)) ≤ p_l ≤ "
    "1/(1 + (n − 1) exp(−R)). The upper bound is at most exp(R)/n: while the logits stay within a "
    "range, the largest weight falls as fast as 1/n, and attention fades.",
    domain="every row of present, finite logits",
    samples=softmax_samples(),
    claims=(
        step(
            p[l],
            "≥",
            1 / (1 + (n - 1) * exp(-_gap[l])),
            "If all others came as close as the second.",
            SEVERAL,
        ),
        step(p[l], "≤", 1 / (1 + (n - 1) * exp(-_range)), "If all others were as far as the last."),
        step(Limit(n, exp(_range) / n), "=", 0, "The range fixed, the row ever longer."),
    ),
    steps=(
        step(_gap[l], "=", x[l] - maximum(k, x[k], without=l), "The lead.", SEVERAL),
        step(_range, "=", M - m, "The range."),
        *chain(
            _P[l],
            ("=", exp(x[l] - M) / over(k, exp(x[k] - M)), "Shifted by the largest logit."),
            ("=", 1 / (1 + _rest), "x_l = M; the term of l itself is 1."),
        ),
        step(over(k, 1, without=l), "=", n - 1, "The other entries."),
        step(
            _rest,
            "≤",
            (n - 1) * exp(-_gap[l]),
            "x_k − M ≤ −g_l for all others.",
            SEVERAL,
        ),
        step(_rest, "≥", (n - 1) * exp(-_range), "x_k − M ≥ m − M = −R."),
        step(p[l], "≥", 1 / n, "g_l ≥ 0: no weight of n is the largest and below 1/n."),
        *chain(
            1 / (1 + (n - 1) * exp(-_range)),
            ("≤", 1 / (n * exp(-_range)), "1 ≥ exp(−R)."),
            ("=", exp(_range) / n, "1/exp(−R) = exp(R)."),
        ),
    ),
)

_log_sum_exp = Derivation(
    title="The logarithm of the sum",
    statement="ln Σ_k exp(x_k) lies between M and M + ln n. Its distance from M is −ln p_l, with "
    "l the entry of the largest logit.",
    domain="every row of present, finite logits",
    samples=softmax_samples(),
    claims=(
        step(ln(over(k, exp(x[k]))), "≥", M, "The term of the largest logit."),
        step(ln(over(k, exp(x[k]))), "≤", M + ln(n), "n terms, none larger."),
    ),
    steps=(
        *chain(
            ln(over(k, exp(x[k]))),
            ("=", ln(exp(M) * over(k, exp(x[k] - M))), "exp(M) is a factor of every term."),
            ("=", M + ln(over(k, exp(x[k] - M))), "The logarithm of a product."),
            ("=", M - ln(p[l]), "The shifted sum is 1/p_l."),
        ),
        step(ln(p[l]), "≤", 0, "p_l ≤ 1."),
        step(-ln(p[l]), "≤", ln(n), "p_l ≥ 1/n."),
    ),
)

_lower = 1 / (1 + (n - 1) * n ** (-s * _gap[l]))
_upper = 1 / (1 + (n - 1) * n ** (-s * _range))

_ssmax_bounds = Derivation(
    title="The largest SSMax weight",
    statement="For s > 0 and b = 0, 1/(1 + (n − 1) n^(−s g_l)) ≤ y_l ≤ 1/(1 + (n − 1) n^(−s R)), "
    "where g_l is the lead of the largest logit over the second and R the range of the logits.",
    domain="every row of present, finite logits; s > 0, b = 0, n counted",
    samples=attention_samples(),
    claims=(
        step(y[l], "≥", _lower, "If all others came as close as the second.", SEVERAL),
        step(y[l], "≤", _upper, "If all others were as far as the last."),
    ),
    steps=(
        *chain(
            _Y[l],
            (
                "=",
                1 / over(k, exp(c * (x[k] - x[l]))),
                "Numerator and denominator, divided by exp(c x_l).",
            ),
            ("=", 1 / (1 + over(k, exp(c * (x[k] - x[l])), without=l)), "The term of l is 1."),
            (
                "=",
                1 / (1 + over(k, n ** (s * (x[k] - x[l])), without=l)),
                "c = s ln n, and exp(u ln n) = n^u.",
            ),
        ),
        step(
            over(k, n ** (s * (x[k] - x[l])), without=l),
            "≤",
            (n - 1) * n ** (-s * _gap[l]),
            "x_k − x_l ≤ −g_l, and n^(s u) grows with u.",
            SEVERAL,
        ),
        step(
            over(k, n ** (s * (x[k] - x[l])), without=l),
            "≥",
            (n - 1) * n ** (-s * _range),
            "x_k − x_l ≥ −R.",
        ),
    ),
)


_LEADS = Condition(
    "s g_l > 1",
    lambda place, bound: len(place.indices) > 1 and (s * _gap[l]).value(place, bound) > 1,
)
_NARROW = Condition("s R < 1", lambda place, bound: (s * _range).value(place, bound) < 1)

_threshold = Derivation(
    title="The threshold 1/s",
    statement="As rows get longer with the same lead g_l and range R, the largest SSMax weight "
    "goes to 1 if g_l > 1/s, and to 0 if R < 1/s: a logit that leads by more than 1/s keeps all "
    "of the attention however long the row, and logits within 1/s of each other share it.",
    domain="rows of present, finite logits; s > 0, b = 0, n counted",
    samples=attention_samples(),
    claims=(
        step(Limit(n, _lower), "=", 1, "The lower bound, at an ever larger n.", _LEADS),
        step(Limit(n, _upper), "=", 0, "The upper bound, at an ever larger n.", _NARROW),
    ),
    steps=(
        *chain(
            1 - y[l],
            ("≤", 1 - _lower, "The lower bound of y_l."),
            (
                "=",
                (n - 1) * n ** (-s * _gap[l]) / (1 + (n - 1) * n ** (-s * _gap[l])),
                "1 − 1/(1 + u) = u/(1 + u).",
            ),
            ("≤", (n - 1) * n ** (-s * _gap[l]), "The denominator is at least 1."),
            ("≤", n ** (1 - s * _gap[l]), "n − 1 ≤ n."),
            assumes=SEVERAL,
        ),
        step(
            Limit(n, n ** (1 - s * _gap[l])),
            "=",
            0,
            "The exponent is negative: what y_l lacks of 1 goes to 0.",
            _LEADS,
        ),
        *chain(
            y[l],
            ("≤", _upper, "The upper bound of y_l."),
            ("≤", n ** (s * _range) / (n - 1), "The denominator without its 1."),
            assumes=SEVERAL,
        ),
        step(
            Limit(n, n ** (s * _range) / (n - 1)),
            "=",
            0,
            "The exponent of n is s R − 1, which is negative.",
            _NARROW,
        ),
        Prose(
            "Between the two, g_l < 1/s < R, the bounds decide nothing: what counts is how many "
            "logits come within 1/s of the largest."
        ),
    ),
)

_high_softmax = 1 / (1 + (n - 1) * exp(-_range))
_high_ssmax = 1 / (1 + (n - 1) * n ** (-s * _range))
_WIDE = Condition("s R > 1", lambda place, bound: (s * _range).value(place, bound) > 1)

_figure = Derivation(
    title="One high logit among many equal ones",
    statement="The setting of the first figure of the SSMax paper: n − 1 logits m and one M, "
    "there −2 and 3 with s = 0.43. Both bounds are met: the high entry has the softmax weight "
    "1/(1 + (n − 1) exp(−R)), which fades, and the SSMax weight 1/(1 + (n − 1) n^(−s R)), which "
    "goes to 1 where s R > 1; in the figure, s R = 2.15.",
    domain="rows of one logit M and n − 1 logits m < M; s > 0, b = 0",
    samples=figure_samples(),
    claims=(
        step(p[l], "=", _high_softmax, "The softmax weight of the high logit."),
        step(y[l], "=", _high_ssmax, "Its SSMax weight."),
        step(Limit(n, _high_softmax), "=", 0, "Softmax fades."),
        step(Limit(n, _high_ssmax), "=", 1, "SSMax does not.", _WIDE),
    ),
    steps=(
        step(_gap[l], "=", _range, "All others are equal."),
        *chain(
            p[l],
            ("=", exp(M) / (exp(M) + (n - 1) * exp(m)), "One term exp(M), n − 1 terms exp(m)."),
            ("=", _high_softmax, "Divided by exp(M); m − M = −R."),
        ),
        *chain(
            y[l],
            ("=", exp(c * M) / (exp(c * M) + (n - 1) * exp(c * m)), "The same with the factor c."),
            ("=", 1 / (1 + (n - 1) * exp(-c * _range)), "Divided by exp(c M)."),
            ("=", _high_ssmax, "c = s ln n."),
            ("=", _Y[l], "What the reference calls the weight."),
        ),
    ),
)

SOFTMAX = {"softmax/largest-weight": _softmax_bounds, "softmax/log-sum-exp": _log_sum_exp}
SSMAX = {
    "ssmax/largest-weight": _ssmax_bounds,
    "ssmax/threshold": _threshold,
    "ssmax/figure-1": _figure,
}
"""By key, in reading order."""
DERIVATIONS = {**SOFTMAX, **SSMAX}
