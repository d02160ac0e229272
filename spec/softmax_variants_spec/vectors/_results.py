"""The results of a vector, from its inputs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mpmath import mp

from softmax_variants_spec.accuracy import gradient_coefficients, relative_bound, weight_allowance
from softmax_variants_spec.exact import weights
from softmax_variants_spec.variants import sa_softmax
from softmax_variants_spec.vectors._gradients import Gradient, by_logits, by_parameters
from softmax_variants_spec.vectors._hexadecimal import shorten
from softmax_variants_spec.vectors._vector import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from softmax_variants_spec.formats import Format
    from softmax_variants_spec.row import Row

__all__ = ["results_of"]

RESIDUAL_BITS = 25
"""Significant bits of a residual: an error in ULP is known to 2^-26."""

TOLERANCE_BITS = 13
"""Significant bits of a tolerance: those that three hexadecimal digits hold."""

_CLASSES = ("correct", "tight", "bounded")
"""Classes with a tolerance for gradients of their own."""

_LARGEST = 1000
"""Exponent that tolerances stay below, so that they and errors are floats."""

_NOT_JUDGED = 2.0**1022
"""Gradients in binary64 whose scale is as large are not judged: their sums overflow."""


def results_of(
    row: Row,
    dy: tuple[float, ...] | None,
    fmt: Format,
    always: Mapping[str, Iterable[int]],
) -> dict[str, Result]:
    """Return results of a row.

    Parameters
    ----------
    row
        The row.
    dy
        Cotangents, where a gradient is wanted.
    fmt
        Format of the results.
    always
        By the name of each result that is wanted, the entries that sentences about special values
        ask for in every class. Those that the definitions settle are added.

    Raises
    ------
    ValueError
        If a gradient is wanted without cotangents.

    Examples
    --------
    >>> from softmax_variants_spec.formats import FORMATS
    >>> from softmax_variants_spec.row import Row
    >>> results_of(Row("softmax", (0.0, 0.0)), None, FORMATS["float32"], {"weights": ()})
    {'weights': Result(value=(0.5, 0.5), always=(), residual=(0.0, 0.0), unit=(-24, -24), \
tolerance={'bounded': (9.0, 9.0)})}
    """
    found: dict[str, Result] = {}
    for name, asked in always.items():
        if name == "weights":
            found[name] = _weights(row, fmt, asked)
        elif dy is None:
            msg = f"{name} needs cotangents dy, got None"
            raise ValueError(msg)
        elif name in {"ds", "db"}:
            found[name] = _gradient([by_parameters(row, dy, fmt)[name]], row, fmt, set(asked))
        else:
            one = replace(row, detach_extrema=name == "dx_detached")
            found[name] = _gradient(by_logits(one, dy, fmt), one, fmt, {*asked, *_zero_dx(one)})
    return found


def _zero_dx(row: Row) -> Iterable[int]:
    """Return entries whose gradient is exactly 0 in every class, where it is not NaN."""
    absent = set(range(len(row.x))) - set(row.present)
    if not row.present or not row.is_finite:
        return absent
    if row.function != "sa_softmax":
        return range(len(row.x)) if len(row.present) == 1 else absent
    gate = sa_softmax.gate(
        [row.x[i] for i in row.present], row.form, detach_extrema=row.detach_extrema
    )
    alone = len(row.present) == 1 and row.form != "plain" and not row.detach_extrema
    return range(len(row.x)) if alone or gate.denominator == 0 else absent


def _weights(row: Row, fmt: Format, asked: Iterable[int]) -> Result:
    entries = weights(row, fmt)
    # Absent entries and zero gates are exactly 0, and undefined ones NaN, in every class.
    settled = {
        i
        for i, entry in enumerate(entries)
        if math.isnan(entry.rounded) or (entry.exact and entry.rounded == 0)
    }
    return _result(
        value=[entry.rounded for entry in entries],
        residual=[entry.residual for entry in entries],
        unit=[entry.ulp_exponent for entry in entries],
        tolerance={"bounded": weight_allowance(row, fmt)},
        always=settled | set(asked),
    )


def _gradient(entries: list[Gradient], row: Row, fmt: Format, asked: set[int]) -> Result:
    bound = max(relative_bound(row, fmt), default=0.0)
    allowed = [{name: _allowed(name, entry, bound, fmt) for name in _CLASSES} for entry in entries]
    value = [fmt.round(entry.value) for entry in entries]
    unit = [_unit(one.value, sizes, fmt) for one, sizes in zip(entries, allowed, strict=True)]
    exact = zip(entries, value, unit, strict=True)
    return _result(
        value=value,
        residual=[_residual(entry.value, v, e, fmt) for entry, v, e in exact],
        unit=unit,
        tolerance={
            name: [float(mp.ldexp(sizes[name], -e)) for sizes, e in zip(allowed, unit, strict=True)]
            for name in _CLASSES
        },
        always=asked | {i for i, entry in enumerate(entries) if mp.isnan(entry.value)},
    )


def _allowed(name: str, entry: Gradient, bound: float, fmt: Format) -> Any:
    """Return k ulp + C u scale + η tail, infinite where nothing is asked; an mpf."""
    if mp.isnan(entry.value):
        return mp.nan
    if fmt.name == "float64" and entry.scale >= _NOT_JUDGED:
        return mp.inf
    k, coefficient, tail = gradient_coefficients(name, bound, fmt.unit_roundoff)
    with mp.workprec(53):
        allowed = k * mp.ldexp(1, fmt.ulp_exponent(entry.value))
        allowed += coefficient * fmt.unit_roundoff * entry.scale
        return allowed + tail * mp.ldexp(entry.tail, fmt.spacing_exponent)


def _unit(value: Any, allowed: dict[str, Any], fmt: Format) -> int:
    """Return the exponent of the ULP, or of more where tolerances in ULP would not be floats."""
    ulp = fmt.ulp_exponent(value)
    finite = [size for size in allowed.values() if mp.isfinite(size)]
    return max([ulp, *(int(mp.frexp(size)[1]) - _LARGEST for size in finite)])


def _residual(value: Any, rounded: float, unit: int, fmt: Format) -> float:
    """Return (value − rounded) / 2^unit, with ±2^(emax + 1) for whatever is beyond the range."""
    if mp.isnan(value):
        return math.nan
    end = mp.ldexp(1, fmt.emax + 1)
    with mp.workprec(4096):
        stands_for = end if rounded == math.inf else -end if rounded == -math.inf else rounded
        difference = max(min(value, end), -end) - stands_for
        steps = mp.ldexp(difference, -unit)
    with mp.workprec(53):
        # One too small for binary64 keeps its sign.
        return float(+steps) or float(mp.sign(steps)) * math.ulp(0.0)


def _result(
    value: list[float],
    residual: list[float],
    unit: list[int],
    tolerance: dict[str, list[float]],
    always: set[int],
) -> Result:
    """Return a result; where all is settled, without what an error is measured by."""
    if len(always) == len(value):
        return Result(tuple(value), tuple(range(len(value))))

    def column(numbers: list[float], bits: int) -> tuple[float, ...]:
        return tuple(0.0 if i in always else shorten(v, bits) for i, v in enumerate(numbers))

    return Result(
        value=tuple(value),
        always=tuple(sorted(always)),
        residual=column(residual, RESIDUAL_BITS),
        unit=tuple(unit),
        tolerance={name: column(numbers, TOLERANCE_BITS) for name, numbers in tolerance.items()},
    )
