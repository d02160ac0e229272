"""Rounding errors of exp(x − max): of the difference, and what the exponential makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softmax_variants_spec.derivations.derivation import Condition, Derivation, Prose, chain, step
from softmax_variants_spec.derivations.functions import Binade, Rounded, absolute, exp
from softmax_variants_spec.derivations.letters import Number, letter
from softmax_variants_spec.derivations.notation import M, i, x
from softmax_variants_spec.derivations.samples import rounded_samples
from softmax_variants_spec.formats import BINARY32

if TYPE_CHECKING:
    from softmax_variants_spec.derivations.expression import Bound
    from softmax_variants_spec.derivations.place import Place

__all__ = ["DERIVATIONS", "u", "z"]

_SAMPLES = rounded_samples()
_FLOAT32 = "every row of float32 logits of moderate size; fl rounds to float32, u = 2⁻²⁴"

u = Number("u")
"""The unit roundoff."""
z = letter("z", 1, lambda i: x[i] - M)
"""The exponent: a logit's difference from the largest."""
_rounded = letter("Z", 1, lambda i: Rounded(z[i], BINARY32))
_error = letter(r"\eta", 1, lambda i: _rounded[i] - z[i])


def _near(place: Place, bound: Bound) -> bool:
    logit, largest = x[i].value(place, bound), M.value(place, bound)
    within = largest <= 2 * logit if largest > 0 else 2 * largest <= logit
    return bool(logit < largest and within)


_difference = Derivation(
    title="The rounding of x − max",
    statement="With bin(v) = 2^⌊log₂|v|⌋, the rounded difference Z_i errs by at most u bin(z_i), "
    "half the spacing of the numbers around z_i, and so by at most u |z_i|. Where the two logits "
    "are within a factor of 2 of each other it does not err at all: large logits are not the hard "
    "case, but differences that cross binades or signs.",
    domain=_FLOAT32,
    samples=_SAMPLES,
    claims=(
        step(absolute(_error[i]), "≤", u * Binade(z[i]), "Half a spacing, a step for each binade."),
        step(
            _rounded[i],
            "=",
            z[i],
            "Sterbenz's lemma.",
            Condition("x_i < M, within a factor of 2", _near),
        ),
    ),
    steps=(
        step(z[i], "=", x[i] - M, "The exponent z."),
        step(_rounded[i], "=", Rounded(x[i] - M, BINARY32), "The rounded exponent Z."),
        step(_error[i], "=", _rounded[i] - z[i], "The letter η."),
        step(Binade(z[i]), "≤", absolute(z[i]), "The first number of the binade."),
        step(absolute(z[i]), "≤", 2 * Binade(z[i]), "The first number of the next one."),
        *chain(
            absolute(_error[i]),
            ("≤", u * Binade(z[i]), "Rounding to nearest: half the spacing 2 u bin(z_i)."),
            ("≤", u * absolute(z[i]), "The binade's first number is no larger."),
        ),
        Prose(
            "Sterbenz: if the two numbers are within a factor of 2, their difference is a multiple "
            "of the smaller spacing and no larger than the smaller number, so it is representable."
        ),
    ),
)

_weight_error = absolute(exp(_rounded[i]) - exp(z[i]))
_ulp = 2 * u * Binade(exp(z[i]))

_staircase = Derivation(
    title="The staircase",
    statement="The exponential turns the absolute error η_i of its argument into a relative one "
    "of the same size. In ULP of exp(z_i), 2 u bin(exp(z_i)), that is at most "
    "bin(z_i) (1 + |η_i|): 1 for differences in [1, 2), 16 in [16, 32) and 64 in [64, 128), where "
    "the float32 weights end. The errors of the exponential itself, of the sum and of the division "
    "come on top of it.",
    domain=_FLOAT32,
    samples=_SAMPLES,
    claims=(
        step(
            _weight_error / _ulp,
            "≤",
            Binade(z[i]) * (1 + absolute(_error[i])),
            "A step for each binade of the difference.",
        ),
    ),
    steps=(
        step(exp(_rounded[i]), "=", exp(z[i]) * exp(_error[i]), "Z_i = z_i + η_i."),
        step(
            absolute(exp(_error[i]) - 1),
            "≤",
            absolute(_error[i]) * (1 + absolute(_error[i])),
            "For |η| ≤ 1, the terms of the series after the first sum to less than η².",
        ),
        step(exp(z[i]), "≤", 2 * Binade(exp(z[i])), "A number is below the next power of two."),
        *chain(
            _weight_error / _ulp,
            (
                "=",
                exp(z[i]) / Binade(exp(z[i])) * absolute(exp(_error[i]) - 1) / (2 * u),
                "exp(z_i) is a factor of both terms.",
            ),
            ("≤", absolute(exp(_error[i]) - 1) / u, "The first factor is below 2."),
            (
                "≤",
                absolute(_error[i]) * (1 + absolute(_error[i])) / u,
                "The bound of the exponential.",
            ),
            (
                "≤",
                Binade(z[i]) * (1 + absolute(_error[i])),
                "The bound of the rounding.",
            ),
        ),
    ),
)

_two_words = Derivation(
    title="Two words repair it",
    statement="The error η_i of the rounded difference is itself a number of the format, which a "
    "few more operations find exactly. exp(Z_i) (1 − η_i) is exp(z_i) up to a relative error of "
    "η_i², at most u² bin(z_i)²: below u where |z_i| is below u^(−1/2), 4096 in float32, whose "
    "weights have long become 0 there.",
    domain=_FLOAT32,
    samples=_SAMPLES,
    claims=(
        step(
            absolute(exp(_rounded[i]) * (1 - _error[i]) - exp(z[i])),
            "≤",
            _error[i] ** 2 * exp(z[i]),
            "The square of the error is left.",
        ),
    ),
    steps=(
        step(Rounded(_error[i], BINARY32), "=", _error[i], "The error is representable."),
        step(exp(_rounded[i]), "=", exp(z[i]) * exp(_error[i]), "Z_i = z_i + η_i."),
        *chain(
            absolute(exp(_rounded[i]) * (1 - _error[i]) - exp(z[i])),
            (
                "=",
                exp(z[i]) * absolute(exp(_error[i]) * (1 - _error[i]) - 1),
                "exp(z_i) is a factor of both terms.",
            ),
            (
                "≤",
                exp(z[i]) * _error[i] ** 2,
                "exp(η)(1 − η) = 1 − η²/2 − …: the terms of first order cancel.",
            ),
            ("≤", exp(z[i]) * (u * Binade(z[i])) ** 2, "The bound of the rounding."),
        ),
    ),
)

DERIVATIONS = {
    "rounding/difference": _difference,
    "rounding/staircase": _staircase,
    "rounding/two-words": _two_words,
}
"""By key, in reading order."""
