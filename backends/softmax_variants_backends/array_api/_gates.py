"""SA-Softmax's gates: r = (x - lambda) / D, in the four forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _words as w
from ._rounding import round_scaled

if TYPE_CHECKING:
    from ._rows import Exponentials, Rows
    from ._words import Array, Number

__all__ = ["RATIO_FORMS", "Gate", "gate", "gated"]

RATIO_FORMS = ("minmax", "normalized")
"""The forms with a denominator."""


@dataclass(frozen=True)
class Gate:
    """The gate of each entry, in the two parts of its quotient.

    ``numerator`` and ``denominator`` are the true ones times ``lift``, a power of two of each row
    that keeps products of words in range; ``denominator`` is None where it is 1.
    """

    numerator: Number
    denominator: Number | None
    lift: Array
    lift_exponent: Array
    """log2(lift), integers."""
    zero: Array | None
    """Rows whose denominator is 0; the denominator stands at 1 there."""


def gate(rows: Rows, form: str, alive: Array) -> Gate:
    """Return the gate of ``form``; ``alive`` marks the entries whose weight can be nonzero."""
    working, xp = rows.working, rows.working.xp
    lower, upper = rows.smallest, rows.largest
    if form == "plain":
        lower = xp.zeros_like(lower)
    elif form == "normalized":
        lower = xp.where(lower < 0.0, lower, 0.0)
        upper = xp.where(upper > 0.0, upper, 0.0)

    # Near the end of the range differences overflow, and so does the splitting of words: take
    # the logits lower there.
    size = xp.maximum(xp.abs(rows.smallest), xp.abs(rows.largest))
    emax, far, step = working.emax, working.emax // 2, working.emax // 8
    large = size >= 2.0 ** (emax - step)
    small = size < 2.0**-far
    if not working.scaled:
        large = small = xp.zeros_like(large)
    if form == "plain":  # has no difference, and may have tiny gates beside a huge logit
        large = xp.zeros_like(large)
    lift = working.choose(large, 2.0**-step, 1.0)
    exponent = working.choose_int(large, -step, 0)
    if form in RATIO_FORMS:
        # A small row (its D may be subnormal) is lifted as a whole: quotients stay.
        lift = xp.where(small, 2.0**far, lift)
        exponent = xp.where(small, far, exponent)
    low, high = lower * lift, upper * lift
    numerator = working.number(w.two_difference(rows.x * lift, low))
    if form in RATIO_FORMS:
        denominator = working.number(w.two_difference(high, low))
        zero = denominator[0] == 0.0
        denominator = (xp.where(zero, 1.0, denominator[0]), *denominator[1:])
        return Gate(numerator, denominator, lift, exponent, zero)
    if not working.scaled:
        return Gate(numerator, None, lift, exponent, None)
    # plain, shifted: bring the largest gate that counts away from both ends of the range. In a
    # row with a gate that counts of 2**(emax/4) and more, all that count are equal, since
    # neighbouring numbers there are further apart than any two logits that both count.
    numerator = w.each(lambda word: xp.where(alive, word, 0.0), numerator)
    counts = rows.largest_of(xp.abs(numerator[0]))
    great, slight = counts >= 2.0 ** (emax // 4), counts < 2.0**-far
    more = xp.where(great, 2.0**-far, working.choose(slight, 2.0**far, 1.0))
    exponent = exponent + xp.where(great, -far, working.choose_int(slight, far, 0))
    numerator = w.scale(numerator, more)
    return Gate(numerator, None, lift * more, exponent, None)


def gated(rows: Rows, gates: Gate, exps: Exponentials, probability: Number) -> Number:
    """Return r * p rounded to the working type, given e over the sum; 0 where D is 0.

    p is not rounded before the gate: it may underflow where r * p does not.
    """
    working, xp, k = rows.working, rows.working.xp, rows.working.constants
    quotient = gates.numerator
    undo = 1.0 / gates.lift if gates.denominator is None else None
    if working.scaled:
        # A gate far below the largest of its row may be subnormal itself: lift it, so that the
        # remainders of its division and its low word are not, and round only when that is undone.
        far = 2 * k.precision + 4
        tiny = xp.abs(quotient[0]) < 2.0 ** (far - working.emax)
        quotient = w.scale(quotient, working.choose(tiny, 2.0**far, 1.0))
        lowered = working.choose(tiny, 2.0**-far, 1.0)
        undo = lowered if undo is None else lowered * undo
    if gates.denominator is not None:
        quotient = w.divide(quotient, gates.denominator, k.splitter)
    value = w.multiply(quotient, probability, k.splitter)
    # The last power is one product: two that both make a result subnormal would round it twice.
    last = exps.rest if undo is None else exps.rest * undo
    value = round_scaled(working, value, (exps.root, last))
    if gates.zero is not None:
        value = w.each(lambda word: xp.where(gates.zero, 0.0, word), value)
    return value
