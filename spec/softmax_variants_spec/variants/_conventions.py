"""Special values that all variants share: absent entries, empty rows, numbers that are not finite.

All results here are demanded of every backend, whatever its accuracy class, so rows are chosen
that a straightforward evaluation gets without rounding errors: mostly rows of one present entry,
whose weight would betray a number that leaked from an absent one.
"""

from __future__ import annotations

from functools import partial
from math import inf, nan
from typing import TYPE_CHECKING

from softmax_variants_spec.special_case import Case, SpecialValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from softmax_variants_spec.formats import Format

__all__ = ["conventions"]

_FORMS = ("plain", "shifted", "minmax", "normalized")


def conventions(function: str) -> tuple[SpecialValue, ...]:
    """Return the special values of a function that hold for all functions alike.

    Parameters
    ----------
    function
        ``"softmax"``, ``"ssmax"`` or ``"sa_softmax"``; of the last, every form is checked.
    """

    def value(
        name: str, sentence: str, cases: Callable[[str, Format], Iterator[Case]]
    ) -> SpecialValue:
        return SpecialValue(f"{function}.{name}", sentence, lambda fmt: list(cases(function, fmt)))

    return (
        value(
            "absent-weight",
            "An entry that `where` masks, or whose logit is −∞, has weight 0, and what it holds "
            "reaches no other entry, nor the extrema of a gate.",
            _absent_weight,
        ),
        value(
            "absent-gradient",
            "An absent entry has gradient 0, and neither its logit nor its cotangent reaches "
            "another entry's gradient, whatever they hold.",
            _absent_gradient,
        ),
        value("empty-row", "A row without present entries has weights 0.", _empty_row),
        value(
            "empty-row-gradient",
            "A row without present entries has gradient 0, whatever the cotangents hold.",
            _empty_row_gradient,
        ),
        value("zero-size", "A row of no entries has no weights and no gradients.", _zero_size),
        value(
            "nan",
            "A present NaN makes the weights and gradients of all present entries of its row NaN.",
            partial(_not_finite, (nan,)),
        ),
        value(
            "plus-infinity",
            "A logit +∞ at a present entry, or several, make the weights and gradients of all "
            "present entries of their row NaN.",
            partial(_not_finite, (inf,)),
        ),
        value(
            "non-finite-cotangent",
            "A cotangent that is not finite, at a present entry, makes the gradients of all "
            "present entries of its row NaN.",
            _not_finite_cotangent,
        ),
        value(
            "lone-entry",
            "The softmax weight of an only present entry is 1, however large its logit.",
            _lone_entry,
        ),
        value(
            "lone-entry-gradient",
            "An only present entry has gradient 0, except where its gate moves with it alone.",
            _lone_entry_gradient,
        ),
        value(
            "full-range",
            "Logits whose difference overflows are as good as any: the far smaller one has a "
            "softmax weight that rounds to 0, the other one that rounds to 1.",
            _full_range,
        ),
    )


def _forms(function: str) -> tuple[str, ...]:
    """Return the values of `form` to try: one, that has no effect, for functions without gate."""
    return _FORMS if function == "sa_softmax" else ("normalized",)


def _lone_weight(function: str, form: str, xi: float) -> float:
    """Return the weight of a positive logit that is the only present one."""
    if function != "sa_softmax":
        return 1.0
    # x, x − x, (x − x)/(x − x) with its convention for a denominator 0, x/x.
    return {"plain": xi, "shifted": 0.0, "minmax": 0.0, "normalized": 1.0}[form]


def _lone_gradient(function: str, form: str, dyi: float) -> float:
    """Return the gradient by a logit that is the only present one."""
    # p = 1 whatever the logit; only the gate x moves.
    return dyi if function == "sa_softmax" and form == "plain" else 0.0


def _absent_weight(function: str, fmt: Format) -> Iterator[Case]:
    for form in _forms(function):
        lone = _lone_weight(function, form, 3.0)
        for held in (nan, inf, -inf, fmt.max, -fmt.max, 5.0, -5.0, 0.0):
            masked = Case(function, (held, 3.0), (0.0, lone), where=(False, True), form=form)
            yield masked
            # The masked entry beside a −∞ that `where` lets pass, in the other order.
            yield Case(
                function,
                (3.0, -inf, held),
                (lone, 0.0, 0.0),
                where=(True, True, False),
                form=form,
            )
        yield Case(function, (-inf, 3.0, -inf), (0.0, lone, 0.0), form=form)


def _absent_gradient(function: str, fmt: Format) -> Iterator[Case]:
    for form in _forms(function):
        lone = _lone_gradient(function, form, 2.0)
        for held in (nan, inf, -inf, fmt.max, 5.0):
            for dy in (nan, inf, fmt.max, 1.0):
                yield Case(
                    function,
                    (held, 3.0),
                    (0.0, lone),
                    where=(False, True),
                    form=form,
                    dy=(dy, 2.0),
                    expect="gradient",
                )
        yield Case(function, (3.0, -inf), (lone, 0.0), form=form, dy=(2.0, nan), expect="gradient")


def _empty_row(function: str, fmt: Format) -> Iterator[Case]:
    for form in _forms(function):
        yield Case(function, (-inf, -inf), (0.0, 0.0), form=form)
        for held in (nan, inf, -inf, fmt.max, 1.0):
            yield Case(function, (held, 1.0), (0.0, 0.0), where=(False, False), form=form)
        yield Case(function, (-inf, nan), (0.0, 0.0), where=(True, False), form=form)


def _empty_row_gradient(function: str, fmt: Format) -> Iterator[Case]:
    for form in _forms(function):
        for dy in (nan, inf, fmt.max, 1.0):
            yield Case(
                function,
                (-inf, nan),
                (0.0, 0.0),
                where=(True, False),
                form=form,
                dy=(dy, -dy),
                expect="gradient",
            )


def _zero_size(function: str, fmt: Format) -> Iterator[Case]:
    del fmt  # no entries, no numbers
    for form in _forms(function):
        yield Case(function, (), (), form=form)
        yield Case(function, (), (), form=form, dy=(), expect="gradient")


def _not_finite(values: tuple[float, ...], function: str, fmt: Format) -> Iterator[Case]:
    for form in _forms(function):
        for bad in values:
            # Lone, first, last, several, beside absent entries, and where a denominator is 0.
            rows = (
                (bad,),
                (bad, 1.0),
                (fmt.max, -1.0, bad),
                (bad, 1.0, bad),
                (-inf, bad, 0.0),
                (0.0, 0.0, bad),
            )
            for x in rows:
                wanted = tuple(0.0 if xi == -inf else nan for xi in x)
                dy = (1.0,) * len(x)
                yield Case(function, x, wanted, form=form)
                yield Case(function, x, wanted, form=form, dy=dy, expect="gradient")
            yield Case(function, (bad, 1.0, 2.0), (nan, 0.0, nan), (True, False, True), form=form)


def _not_finite_cotangent(function: str, fmt: Format) -> Iterator[Case]:
    for form in _forms(function):
        for bad in (nan, inf, -inf):
            yield Case(function, (1.0,), (nan,), form=form, dy=(bad,), expect="gradient")
            # Even where the weight of its entry rounds to 0, and where a denominator is 0.
            yield Case(
                function,
                (-fmt.max, 0.0, -inf, 4.0),
                (nan, nan, 0.0, nan),
                form=form,
                dy=(bad, 1.0, 1.0, 1.0),
                expect="gradient",
            )
            yield Case(
                function, (0.0, 0.0), (nan, nan), form=form, dy=(1.0, bad), expect="gradient"
            )


def _lone_entry(function: str, fmt: Format) -> Iterator[Case]:
    for form in _forms(function):
        for xi in (1.0, 100.0, fmt.max, fmt.min_normal):
            lone = _lone_weight(function, form, xi)
            yield Case(function, (xi,), (lone,), form=form)
            yield Case(function, (-inf, xi), (0.0, lone), form=form)


def _lone_entry_gradient(function: str, fmt: Format) -> Iterator[Case]:
    del fmt  # small integers, whose products are exact in every format
    for form in _forms(function):
        for xi in (1.0, -1.0, 4.0):
            for dy in (1.0, -3.0):
                yield Case(
                    function,
                    (xi,),
                    (_lone_gradient(function, form, dy),),
                    form=form,
                    dy=(dy,),
                    expect="gradient",
                )


def _full_range(function: str, fmt: Format) -> Iterator[Case]:
    for form in _forms(function):
        largest = 1.0
        if function == "sa_softmax":
            # max, max − (−max) beyond the range, and 1 for the ratios.
            largest = {"plain": fmt.max, "shifted": inf}.get(form, 1.0)
        yield Case(function, (fmt.max, -fmt.max), (largest, 0.0), form=form)
        yield Case(function, (-fmt.max, fmt.max), (0.0, largest), form=form)
