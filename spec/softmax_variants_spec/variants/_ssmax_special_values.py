"""Special values of SSMax beyond those that all variants share."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

from softmax_variants_spec.special_case import Case, SpecialValue
from softmax_variants_spec.variants._conventions import conventions

if TYPE_CHECKING:
    from softmax_variants_spec.formats import Format

__all__ = ["SPECIAL_VALUES"]

_FAR = 2.0**14
"""A distance of logits whose exponential is 0 in every format, even times a tenth."""


def _case(x: tuple[float, ...], expected: tuple[float | None, ...], **options: object) -> Case:
    return Case("ssmax", x, expected, **options)  # type: ignore[arg-type]


def _n_counts_present(fmt: Format) -> list[Case]:
    del fmt
    # c = 2 − ln n is positive for the 2 present entries; counting the 8 others, or only the
    # masked or the −∞ among them, would make it negative and turn the row around.
    x = (0.0, -_FAR, *(-inf,) * 6, *(0.0,) * 6)
    where = (True,) * 8 + (False,) * 6
    expected = (1.0, 0.0, *(0.0,) * 12)
    return [
        _case(x, expected, where=where, s=-1.0, b=2.0),
        _case(x[:8], expected[:8], s=-1.0, b=2.0),
        _case((0.0, -_FAR, *(-inf,) * 30), (1.0, 0.0, *(0.0,) * 30), s=-1.0, b=2.0),
    ]


def _n_given(fmt: Format) -> list[Case]:
    del fmt
    uniform = (0.5, 0.5)
    return [
        # ln 1 = 0, whatever s; ln of less than 1 is negative; 100 present would be c > 0.
        _case((0.0, 3.0), uniform, n=1),
        _case((0.0, 3.0), uniform, n=1.0, s=-2.0),
        _case((0.0, _FAR), (1.0, 0.0), n=0.5),
        _case((0.0, _FAR), (1.0, 0.0), n=100, s=-1.0, b=2.0),
        _case((0.0, -inf, _FAR), (0.0, 0.0, 1.0), n=1, s=-1.0, b=0.5),
    ]


def _zero_factor(fmt: Format) -> list[Case]:
    quarter = (0.25, 0.0, 0.25, 0.25, 0.25)
    return [
        _case((5.0, -inf, -3.0, 1.0, 0.0), quarter, s=0.0),
        _case((fmt.max, -inf, -fmt.max, 1.0, 0.0), quarter, s=0.0),
        _case((5.0, nan, 1.0), (0.5, 0.0, 0.5), where=(True, False, True), s=0.0),
    ]


def _zero_factor_gradient(fmt: Format) -> list[Case]:
    del fmt
    x, dy = (1.0, -inf, 3.0), (1.0, 5.0, 0.0)
    return [
        _case(x, (0.0, 0.0, 0.0), s=0.0, dy=dy, expect="gradient"),
        # p = 1/2 and x̄ = 2: dy_0 p_0 (x_0 − x̄).
        _case(x, (-0.5,), s=0.0, dy=dy, expect="db"),
    ]


def _negative_factor(fmt: Format) -> list[Case]:
    return [
        _case((0.0, _FAR), (1.0, 0.0), s=-1.0),
        _case((-_FAR, -inf, 0.0), (1.0, 0.0, 0.0), s=-1.0),
        _case((fmt.max, -fmt.max), (0.0, 1.0), s=0.0, b=-1.0),
    ]


def _bad_parameters(options: list[dict[str, float]]) -> list[Case]:
    x, dy, wanted = (1.0, -inf, 2.0), (1.0, 1.0, 0.0), (nan, 0.0, nan)
    return [
        case
        for bad in options
        for case in (
            _case(x, wanted, **bad),
            _case(x, wanted, **bad, dy=dy, expect="gradient"),
            _case(x, (nan,), **bad, dy=dy, expect="ds"),
            _case(x, (nan,), **bad, dy=dy, expect="db"),
        )
    ]


def _parameters_not_finite(fmt: Format) -> list[Case]:
    del fmt
    bad = [{"s": v} for v in (nan, inf, -inf)] + [{"b": v} for v in (nan, inf, -inf)]
    # n = 1 takes s out of the factor, but not out of the rule.
    return _bad_parameters([*bad, {"s": inf, "n": 1}])


def _n_not_positive(fmt: Format) -> list[Case]:
    del fmt
    bad = [{"n": v} for v in (nan, inf, -inf, 0.0, -1.0)]
    # s = 0 takes n out of the factor, but not out of the rule.
    return _bad_parameters([*bad, {"n": 0.0, "s": 0.0}])


def _factor_overflow(fmt: Format) -> list[Case]:
    del fmt
    largest = 1.7e308
    return _bad_parameters(
        [{"s": largest, "n": 20.0}, {"s": -largest, "n": 20.0}, {"s": largest, "b": largest}]
    )


def _empty_row_parameters(fmt: Format) -> list[Case]:
    x, where = (-inf, nan), (True, False)
    dys = ((nan, inf), (fmt.max, 1.0))
    options: list[dict[str, float]] = [{}, {"s": nan}, {"b": inf}, {"n": nan}, {"n": 0.0}]
    return [
        case
        for bad in options
        for case in (
            _case(x, (0.0, 0.0), where=where, **bad),
            *(
                _case(x, wanted, where=where, dy=dy, expect=expect, **bad)
                for dy in dys
                for expect, wanted in (
                    ("gradient", (0.0, 0.0)),
                    ("ds", (0.0,)),
                    ("db", (0.0,)),
                )
            ),
        )
    ]


def _lone_parameters(fmt: Format) -> list[Case]:
    del fmt
    return [
        _case((held, 3.0), (0.0,), where=(False, True), dy=(dy, 2.0), n=n, expect=expect)
        for held in (nan, inf, 5.0)
        for dy in (nan, 1.0)
        for n in (None, 7)
        for expect in ("ds", "db")
    ]


def _n_one(fmt: Format) -> list[Case]:
    del fmt
    x, dy = (1.0, 3.0), (1.0, 0.0)
    return [
        _case(x, (0.0,), n=1, b=b, s=s, dy=dy, expect="ds") for b in (0.0, 1.0) for s in (1.0, -2.0)
    ] + [_case(x, (-0.5,), n=1, dy=dy, expect="db")]


def _cotangent_parameters(fmt: Format) -> list[Case]:
    del fmt
    return [
        _case((1.0, 2.0), (nan,), dy=(1.0, bad), expect=expect)
        for bad in (nan, inf, -inf)
        for expect in ("ds", "db")
    ]


SPECIAL_VALUES = (
    *conventions("ssmax"),
    SpecialValue(
        "ssmax.n-counts-present",
        "Where n is not given it is the number of present entries: absent ones do not count.",
        _n_counts_present,
    ),
    SpecialValue(
        "ssmax.n-given",
        "A given n, whole or not, takes the place of the number of present entries.",
        _n_given,
    ),
    SpecialValue(
        "ssmax.zero-factor",
        "Where c is 0, every present entry has the same weight, and −∞ is absent as ever.",
        _zero_factor,
    ),
    SpecialValue(
        "ssmax.zero-factor-gradient",
        "Where c is 0, the gradient by the logits is 0 and that by b is not.",
        _zero_factor_gradient,
    ),
    SpecialValue(
        "ssmax.negative-factor",
        "Where c is negative, the smallest logit has the largest weight.",
        _negative_factor,
    ),
    SpecialValue(
        "ssmax.non-finite-parameter",
        "An s or b that is not finite makes all present weights and gradients of its rows NaN, "
        "and the gradients by s and b.",
        _parameters_not_finite,
    ),
    SpecialValue(
        "ssmax.n-not-positive",
        "A given n that is not positive and finite makes all present weights and gradients of its "
        "rows NaN, and the gradients by s and b.",
        _n_not_positive,
    ),
    SpecialValue(
        "ssmax.factor-overflow",
        "Finite s, b and n whose c is beyond the range of the widest type make all present "
        "weights and gradients of their rows NaN, and the gradients by s and b.",
        _factor_overflow,
    ),
    SpecialValue(
        "ssmax.empty-row-parameters",
        "A row without present entries adds nothing to the gradients by s and b, and has weights "
        "and gradients 0, whatever s, b, n and the cotangents hold.",
        _empty_row_parameters,
    ),
    SpecialValue(
        "ssmax.lone-entry-parameters",
        "An only present entry has weight 1 for any c and adds nothing to the gradients by s and "
        "b; absent entries add nothing either, whatever they hold.",
        _lone_parameters,
    ),
    SpecialValue(
        "ssmax.n-one",
        "Where n is 1, c is b and the gradient by s is 0.",
        _n_one,
    ),
    SpecialValue(
        "ssmax.non-finite-cotangent-parameters",
        "A cotangent that is not finite, at a present entry, makes the gradients by s and b NaN.",
        _cotangent_parameters,
    ),
)
"""Sentences about special values, each with its check."""
