"""Special values of SA-Softmax beyond those that all variants share."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

from softmax_variants_spec.special_case import Case, SpecialValue
from softmax_variants_spec.variants._conventions import conventions

if TYPE_CHECKING:
    from softmax_variants_spec.formats import Format

__all__ = ["SPECIAL_VALUES"]

_FAR = 2.0**10
"""A distance of logits whose exponential rounds to 0 in every format."""


def _weights(
    form: str,
    x: tuple[float, ...],
    expected: tuple[float | None, ...],
    where: tuple[bool, ...] | None = None,
) -> Case:
    return Case("sa_softmax", x, expected, where, form=form)


def _gradient(
    form: str,
    x: tuple[float, ...],
    dy: tuple[float, ...],
    expected: tuple[float | None, ...],
    *,
    detached: bool = False,
) -> Case:
    return Case(
        "sa_softmax",
        x,
        expected,
        form=form,
        detach_extrema=detached,
        dy=dy,
        expect="gradient",
    )


def _zero_denominator_rows(fmt: Format) -> list[tuple[str, tuple[float, ...]]]:
    equal: list[tuple[str, tuple[float, ...]]] = [
        ("minmax", (v, v, v)) for v in (1.0, -2.0, 0.0, fmt.max)
    ]
    return [*equal, ("minmax", (5.0,)), ("normalized", (0.0, -0.0)), ("normalized", (0.0,))]


def _zero_denominator(fmt: Format) -> list[Case]:
    cases = [_weights(form, x, (0.0,) * len(x)) for form, x in _zero_denominator_rows(fmt)]
    # Entries that would make the denominator positive, were they present.
    return [
        *cases,
        _weights("minmax", (1.0, -inf, 7.0, 1.0), (0.0,) * 4, (True, True, False, True)),
        _weights("normalized", (0.0, -inf, 7.0), (0.0,) * 3, (True, True, False)),
    ]


def _zero_denominator_gradient(fmt: Format) -> list[Case]:
    return [
        _gradient(form, x, tuple(range(1, len(x) + 1)), (0.0,) * len(x), detached=detached)
        for form, x in _zero_denominator_rows(fmt)
        for detached in (False, True)
    ]


def _zero_denominator_cotangent(fmt: Format) -> list[Case]:
    return [
        _gradient(form, x, (bad, *(1.0,) * (len(x) - 1)), (nan,) * len(x), detached=detached)
        for form, x in _zero_denominator_rows(fmt)
        for bad in (nan, inf)
        for detached in (False, True)
    ]


def _zero_gate(fmt: Format) -> list[Case]:
    return [
        _weights("plain", (0.0, 1.0, -0.0), (0.0, None, 0.0)),
        _weights("shifted", (-3.0, 1.0, -3.0, 2.0), (0.0, None, 0.0, None)),
        _weights("shifted", (fmt.max, fmt.max), (0.0, 0.0)),
        _weights("minmax", (-3.0, 1.0, -3.0, 2.0), (0.0, None, 0.0, None)),
        _weights("minmax", (3.0, 1.0, 2.0), (None, 0.0, None)),
        _weights("normalized", (-3.0, 1.0, -3.0, 2.0), (0.0, None, 0.0, None)),
        _weights("normalized", (0.0, 1.0), (0.0, None)),
        _weights("normalized", (-1.0, -2.0), (None, 0.0)),
    ]


def _equal_normalized(fmt: Format) -> list[Case]:
    half = (0.5, 0.5)
    return [
        *(_weights("normalized", (v, v), half) for v in (1.0, 3.0, fmt.max)),
        *(_weights("normalized", (-v, -v), (0.0, 0.0)) for v in (1.0, 3.0, fmt.max)),
        _weights("normalized", (3.0, -inf, 3.0), (0.5, 0.0, 0.5)),
    ]


def _equal_shifted_gradient(fmt: Format) -> list[Case]:
    del fmt
    # (dy_j − mean dy)/n, and dy_j/n where m is a constant.
    return [
        _gradient("shifted", (7.0, 7.0), (1.0, 0.0), (0.25, -0.25)),
        _gradient("shifted", (7.0, 7.0), (1.0, 0.0), (0.5, 0.0), detached=True),
        _gradient("shifted", (-1.0,) * 4, (4.0, 0.0, 8.0, 4.0), (0.0, -1.0, 1.0, 0.0)),
        _gradient("shifted", (-1.0, -inf, -1.0), (1.0, nan, 0.0), (0.25, 0.0, -0.25)),
    ]


def _ties(fmt: Format) -> list[Case]:
    del fmt
    # p = (1/2, 1/2), y = r p, D = 1. The sums over dy = (1, 0) are S_p = 1/2 and S_y = r/2.
    return [
        # r = 1, λ' = 0, M' = 1/2: dx_j = dy_j/2 − S_y/2 + dy_j/2 − S_y/2.
        _gradient("normalized", (1.0, 1.0), (1.0, 0.0), (0.5, -0.5)),
        # r = 0, λ' = 1/2, M' = 0: dx_j = dy_j/2 − S_p/2.
        _gradient("normalized", (-1.0, -1.0), (1.0, 0.0), (0.25, -0.25)),
    ]


def _ties_with_appended_zero(fmt: Format) -> list[Case]:
    del fmt
    # The maximum 0 is attained by one logit and the appended 0, so M' = 1/2 there. p = y = (1, 0)
    # after rounding, S_p = S_y = 1: dx_0 = 1/D − (1/2)/D + 1 − 1.
    half = 0.5 / _FAR
    return [
        _gradient("normalized", (0.0, -_FAR), (1.0, 0.0), (half, 0.0)),
        _gradient("normalized", (-_FAR, 0.0, -inf), (0.0, 1.0, nan), (0.0, half, 0.0)),
    ]


def _maximum(fmt: Format) -> list[Case]:
    del fmt
    # p = (1, 0) after rounding, so that p(1 − p) = 0.
    return [_gradient("normalized", (_FAR, x), (1.0, 0.0), (0.0, None)) for x in (0.0, -1.0, 1.0)]


def _detached(fmt: Format) -> list[Case]:
    del fmt
    return [
        # dx_j = dy_j p_j/D + dy_j y_j − p_j S_y.
        _gradient("normalized", (_FAR, 0.0), (1.0, 0.0), (1 / _FAR, None), detached=True),
        _gradient("normalized", (1.0, 1.0), (1.0, 0.0), (0.75, -0.25), detached=True),
        _gradient("normalized", (-1.0, -1.0), (1.0, 0.0), (0.5, 0.0), detached=True),
        _gradient("minmax", (_FAR, 0.0), (1.0, 0.0), (1 / _FAR, None), detached=True),
    ]


def _plain_gradient(fmt: Format) -> list[Case]:
    del fmt
    # p = 1/2: dx_j = p_j (dy_j (1 + x_j) − S_y).
    return [
        _gradient("plain", (3.0, 3.0), (1.0, 0.0), (1.25, -0.75)),
        _gradient("plain", (0.0, 0.0), (1.0, 0.0), (0.5, 0.0)),
        _gradient("plain", (0.0, 0.0), (1.0, 0.0), (0.5, 0.0), detached=True),
    ]


SPECIAL_VALUES = (
    *conventions("sa_softmax"),
    SpecialValue(
        "sa_softmax.zero-denominator",
        "Where the denominator of the gate is 0 (minmax on equal logits, normalized on zeros), the "
        "weights are 0.",
        _zero_denominator,
    ),
    SpecialValue(
        "sa_softmax.zero-denominator-gradient",
        "Where the denominator of the gate is 0, the gradient is 0, with the extrema detached too.",
        _zero_denominator_gradient,
    ),
    SpecialValue(
        "sa_softmax.zero-denominator-cotangent",
        "Where the denominator of the gate is 0 and a cotangent at a present entry is not finite, "
        "the gradients of the present entries are NaN.",
        _zero_denominator_cotangent,
    ),
    SpecialValue(
        "sa_softmax.zero-gate",
        "Where the gate is 0 the weight is 0: a logit 0 in plain, the minima in shifted and "
        "minmax, and in normalized the minima that are not positive.",
        _zero_gate,
    ),
    SpecialValue(
        "sa_softmax.normalized-equal-logits",
        "The normalized gate of equal logits is 1 where they are positive and 0 where negative.",
        _equal_normalized,
    ),
    SpecialValue(
        "sa_softmax.shifted-equal-logits-gradient",
        "Equal logits have weights 0 in shifted, but the gradient (dy_j − mean dy)/n.",
        _equal_shifted_gradient,
    ),
    SpecialValue(
        "sa_softmax.ties",
        "The derivative of an extremum is split evenly over the entries that attain it.",
        _ties,
    ),
    SpecialValue(
        "sa_softmax.ties-with-appended-zero",
        "In normalized, an extremum that is 0 shares its derivative with the appended 0.",
        _ties_with_appended_zero,
    ),
    SpecialValue(
        "sa_softmax.normalized-maximum",
        "In normalized, the only maximum, if positive, has softmax's derivative by its own logit: "
        "p (1 − p).",
        _maximum,
    ),
    SpecialValue(
        "sa_softmax.detached-extrema",
        "With the extrema detached, nothing is differentiated through them.",
        _detached,
    ),
    SpecialValue(
        "sa_softmax.plain-gradient",
        "Plain has no extrema and no denominator: equal logits x have the gradient "
        "(dy_j (1 + x) − x mean dy)/n.",
        _plain_gradient,
    ),
)
"""Sentences about special values, each with its check."""
