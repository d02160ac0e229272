"""The letters that derivations share, as trees, and what the reference says of them.

None has an accent: dots and bars over letters get lost where formulas are small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpmath import mp

from softmax_variants_spec.derivations.derivation import Condition
from softmax_variants_spec.derivations.entries import maximum, minimum
from softmax_variants_spec.derivations.expression import Index
from softmax_variants_spec.derivations.letters import Number, Reference, Vector, letter
from softmax_variants_spec.variants import sa_softmax, softmax, ssmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from softmax_variants_spec.derivations.place import Place
    from softmax_variants_spec.variants._real import Real

__all__ = [
    "DB",
    "DS",
    "FACTOR",
    "GRADIENT",
    "JACOBIAN",
    "RATE",
    "SEVERAL",
    "M",
    "a",
    "dy",
    "h",
    "i",
    "j",
    "k",
    "known_weights",
    "l",
    "m",
    "t",
    "x",
]

i, j, k = Index("i"), Index("j"), Index("k")
"""Indices: of a weight, of a logit, of a sum."""


def _attaining(place: Place, choose: Callable[[Sequence[float]], float]) -> tuple[int, ...]:
    logits = [place.row.x[index] for index in place.row.present]
    found = [index for index, logit in enumerate(logits) if logit == choose(logits)]
    return tuple({found[0], found[-1]})


l = Index("l", lambda place: _attaining(place, max))  # noqa: E741  # as in the specification
"""The index of an entry that attains the largest logit."""

h = Index("h", lambda place: _attaining(place, min))
"""The index of an entry that attains the smallest logit."""

x, dy, t = Vector("x"), Vector("dy", r"\mathrm{dy}"), Vector("t")
"""Logits, cotangents of the weights, and tangents of the logits."""

a = Number("a")
"""Any number."""

m = letter("m", 0, lambda: minimum(k, x[k]))()
M = letter("M", 0, lambda: maximum(k, x[k]))()
"""The smallest and the largest logit."""


@dataclass(frozen=True)
class _Held:
    """What the reference has evaluated, as mpf throughout."""

    x: list[Real]
    p: list[Real]
    y: list[Real]
    c: Real
    gate: sa_softmax.Gate | None

    @classmethod
    def at(cls, place: Place) -> _Held:
        """Return it for a place."""
        # The reference computes rows of equal weights in fractions, which mpf cannot all meet.
        held = place.evaluation
        x, p, y = ([mp.convert(v) for v in column] for column in (held.x, held.p, held.y))
        return cls(x, p, y, mp.convert(held.c), held.gate)


def _jacobian(place: Place) -> list[list[Real]]:
    held = _Held.at(place)
    if held.gate is None:
        return softmax.jacobian(held.p, held.c)
    return sa_softmax.jacobian(held.x, held.p, held.gate)


def _gradient(place: Place) -> list[Real]:
    held, cotangents = _Held.at(place), place.vector("dy")
    if held.gate is None:
        return softmax.vjp(held.p, cotangents, held.c)
    return sa_softmax.vjp(held.p, held.y, held.gate, cotangents)


def _derivative(place: Place) -> list[Real]:
    held, tangents = _Held.at(place), place.vector("t")
    if held.gate is not None:
        return sa_softmax.jvp(held.x, held.p, held.gate, tangents)
    rates = softmax.jvp(held.p, tangents, held.c)
    if place.row.function == "ssmax":
        by_s = ssmax.by_scale(held.x, held.p, place.scalar("n"))
        by_b = ssmax.by_factor(held.x, held.p)
        ds, db = place.scalar("ds"), place.scalar("db")
        rates = [v + ds * u + db * w for v, u, w in zip(rates, by_s, by_b, strict=True)]
    return rates


def _by_factor(place: Place) -> Real:
    held = _Held.at(place)
    return ssmax.vjp_factor(held.x, held.p, place.vector("dy"))


def known_weights(shown: str) -> Reference:
    """Return the reference's weights, under the letter of a variant."""
    return Reference(shown, lambda place: _Held.at(place).y)


RATE = Reference(r"\mathrm{jvp}", _derivative)
"""The reference's Jacobian-vector product along the tangents."""
JACOBIAN = Reference("J", _jacobian)
"""The reference's Jacobian, J_ij = ∂y_i/∂x_j."""
GRADIENT = Reference(r"\mathrm{dx}", _gradient)
"""The reference's vector-Jacobian product, dx_j."""
FACTOR = Reference("c", lambda place: place.evaluation.c)
"""The reference's factor of the logits."""
DB = Reference(r"\mathrm{db}", _by_factor)
DS = Reference(r"\mathrm{ds}", lambda place: mp.log(place.scalar("n")) * _by_factor(place))
"""The reference's gradients by the parameters of SSMax: a row's shares."""
SEVERAL = Condition("n ≥ 2", lambda place, _bound: len(place.indices) > 1)
"""More than one entry."""
