"""The definitions in mpmath, which judge the double-double that judges the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np

from .double_double import LOWEST
from .double_double_rows import LIFT, Exact, exact_rows
from .measured_rows import as_doubles, present_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .random_rows import Block

    Real = Any  # mpmath's mpf

__all__ = ["errors_of_evaluation"]

_PRECISION = 2600
"""Bits: the gradients of a row with one large weight cancel down to the small ones."""
_NOTHING = -1170
"""2^_NOTHING is 2^-96 of the smallest number that a format has."""


def errors_of_evaluation(blocks: Iterable[Block]) -> dict[str, Any]:
    """Return how many elements were compared, and log2 of the largest relative errors.

    Those of gradients are relative to their scale, which is compared itself.
    """
    largest: dict[str, float] = {}
    count = 0
    for block in blocks:
        rows = block.make()
        present = present_of(rows)
        x, dy, s, b = (as_doubles(a) for a in (rows.x, rows.dy, rows.s, rows.b))
        s, b = s[:, 0], b[:, 0]
        found = exact_rows(block.function, x, present, dy, s, b)
        for row in range(block.rows):
            entries = np.flatnonzero(present[row])
            if entries.size == 0:
                continue
            count += entries.size
            with mpmath.workprec(_PRECISION):
                own = [[mpmath.mpf(v) for v in a[row, entries]] for a in (x, dy)]
                errors = _errors(block.function, *own, s[row], b[row], found, row, entries)
                for name, error in errors.items():
                    largest[name] = max(largest.get(name, 0.0), float(error))
    return {"elements": count} | {
        name: round(float(np.log2(error)), 1) if error else None for name, error in largest.items()
    }


def _errors(
    function: str,
    x: list[Real],
    dy: list[Real],
    s: float,
    b: float,
    found: Exact,
    row: int,
    entries: Any,
) -> dict[str, Real]:
    """Return the largest errors in a row of what was found."""
    mp, n = mpmath, len(x)
    c = mp.mpf(s) * mp.log(n) + mp.mpf(b) if function == "ssmax" else mp.mpf(1)
    v = max(x) if c >= 0 else min(x)
    powers = [mp.exp(c * (xi - v)) for xi in x]
    total = mp.fsum(powers)
    p = [power / total for power in powers]

    plain, normalized = (function.endswith(form) for form in ("plain", "normalized"))
    extended = [*x, mp.mpf(0)]
    lower, upper = min(extended), max(extended)
    d = upper - lower if normalized else mp.mpf(1)
    if d == 0:
        zero = not np.any(found.weights.high[row]) and not np.any(found.dx.high[row])
        return {"weights": mp.mpf(0 if zero else 1)}
    r = [xi if plain else (xi - lower) / d if normalized else mp.mpf(1) for xi in x]
    y = [ri * pi for ri, pi in zip(r, p, strict=True)]
    mean = mp.fdot(dy, y)
    size_y = mp.fsum(abs(g * yi) for g, yi in zip(dy, y, strict=True))
    size_p = mp.fsum(abs(g) * pi for g, pi in zip(dy, p, strict=True))
    rest = mp.fsum(g * pi * (1 - ri) for g, pi, ri in zip(dy, p, r, strict=True))

    errors = {"weights": mp.mpf(0), "dx": mp.mpf(0), "scale of dx": mp.mpf(0)}
    for i, at in enumerate(entries):
        dx = c * p[i] * (r[i] * dy[i] - mean)
        scale = abs(c) * (abs(dy[i] * y[i]) + p[i] * size_y)
        if plain or normalized:
            dx += p[i] * dy[i] / d
            scale += abs(dy[i]) * p[i] / d
        if normalized and x[i] == lower:
            dx -= rest / (d * extended.count(lower))
            scale += (size_y + size_p) / (d * extended.count(lower))
        if normalized and x[i] == upper:
            dx -= mean / (d * extended.count(upper))
            scale += size_y / (d * extended.count(upper))
        if powers[i] > mp.exp(LOWEST):
            got = _number(found.weights, row, at)
            _note(errors, "weights", got, y[i], abs(y[i]))
        _note(errors, "dx", _number(found.dx, row, at), dx, scale)
        _note(errors, "scale of dx", _lowered(found.dx_scale[row, at]), scale, scale)
    if function == "ssmax":
        centre = mp.fdot(p, x)
        db = mp.fsum(g * pi * (xi - centre) for g, pi, xi in zip(dy, p, x, strict=True))
        spread = mp.fsum(pi * abs(xi - v) for pi, xi in zip(p, x, strict=True))
        size = mp.fsum(
            abs(g) * pi * (abs(xi - v) + spread) for g, pi, xi in zip(dy, p, x, strict=True)
        )
        for name, of_row, scale, by in (
            ("db", found.db, found.db_scale, mp.mpf(1)),
            ("ds", found.ds, found.ds_scale, mp.log(n)),
        ):
            _note(errors, name, _number(of_row, row), db * by, size * by)
            _note(errors, f"scale of {name}", _lowered(scale[row]), size * by, size * by)
    return errors


def _note(errors: dict[str, Real], name: str, got: Real, exact: Real, size: Real) -> None:
    """Keep the larger error; relative to the size, or to what is 0 in every format."""
    error = abs(got - exact) / max(size, mpmath.ldexp(1, _NOTHING))
    errors[name] = max(errors.get(name, mpmath.mpf(0)), error)


def _number(numbers: Any, *at: int) -> Real:
    high, low = (mpmath.mpf(float(a[at])) for a in (numbers.high, numbers.low))
    return mpmath.ldexp(high + low, int(numbers.exponent[at[:1] if len(at) == 1 else at]))


def _lowered(scale: float) -> Real:
    return mpmath.ldexp(mpmath.mpf(float(scale)), -LIFT)
