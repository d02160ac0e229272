"""Errors of the public functions on random rows, against their evaluation in double-double."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import softmax_variants as sv

from .double_double_rows import LIFT, Numbers, exact_rows
from .random_rows import FORMATS, Block, Format, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CANCELLED",
    "as_doubles",
    "errors_in_units",
    "measured",
    "merged",
    "present_of",
    "ulp_exponents",
]

CANCELLED = 1 / 8
"""Gradients below this share of their scale are differences of much larger terms: not measured in
ULP of what remains."""

_CALLS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "softmax": (sv.softmax, sv.softmax_vjp),
    "ssmax": (sv.ssmax, sv.ssmax_vjp),
    **{
        f"sa_softmax {form}": (
            partial(sv.sa_softmax, form=form),
            partial(sv.sa_softmax_vjp, form=form),
        )
        for form in ("plain", "normalized")
    },
}


def as_doubles(a: Any) -> Any:
    """Return the numbers of an array as binary64."""
    return a.double().numpy() if isinstance(a, torch.Tensor) else a.astype(np.float64)


def present_of(rows: Rows) -> Any:
    """Return which entries are present."""
    present = as_doubles(rows.x) != -np.inf
    return present if rows.where is None else present & np.asarray(rows.where)


def ulp_exponents(exact: Numbers, fmt: Format) -> Any:
    """Return the powers of two that are the ULP of exact values.

    They are the spacing of subnormal numbers below the normal range, and that of the largest
    numbers beyond the range.
    """
    mantissa, exponent = np.frexp(exact.high)
    # A power of two of which the low word takes something away is in the binade below.
    below = (np.abs(mantissa) == 0.5) & (exact.high * exact.low < 0)
    exponent = np.where(exact.high == 0, fmt.emin, exponent - 1 - below + exact.exponent)
    return np.clip(exponent, fmt.emin, fmt.emax) - (fmt.precision - 1)


def errors_in_units(got: Any, exact: Numbers, unit: Any, fmt: Format) -> Any:
    """Return magnitudes of errors in units 2^unit; NaN is infinitely wrong.

    Infinities stand for 2^(emax + 1), and so does what is beyond.
    """
    with np.errstate(over="ignore"):  # in units that are far too small for a result
        end = np.ldexp(1.0, fmt.emax + 1 - unit)
        high = np.clip(np.ldexp(exact.high, exact.exponent - unit), -end, end)
        low = np.where(np.abs(high) == end, 0.0, np.ldexp(exact.low, exact.exponent - unit))
        own = np.clip(np.ldexp(got, -unit), -end, end)
        errors = np.abs((own - high) - low)
    return np.where(np.isnan(errors), np.inf, errors)


def measured(block: Block) -> dict[str, dict[str, Any]]:
    """Return what the errors of a block's results are: of weights, dx, and of SSMax ds and db."""
    rows, fmt = block.make(), FORMATS[block.dtype]
    function, vjp = _CALLS[block.function]
    parameters = (rows.s, rows.b) if block.function == "ssmax" else ()
    y = function(rows.x, *parameters, where=rows.where)
    gradients = vjp(rows.x, rows.dy, *parameters, where=rows.where)
    if not parameters:
        gradients = (gradients,)
    present = present_of(rows)
    x, dy, s, b = (as_doubles(a) for a in (rows.x, rows.dy, rows.s, rows.b))
    exact = exact_rows(block.function, x, present, dy, s[:, 0], b[:, 0])
    describe = partial(_place, block, x, present, dy, s, b)
    found = {"weights": _of_weights(as_doubles(y), exact.weights, fmt, present, describe)}
    values = [as_doubles(gradient) for gradient in gradients]
    found["dx"] = _of_gradients(values[0], exact.dx, exact.dx_scale, fmt, describe)
    if parameters:
        ds, db = values[1][:, 0], values[2][:, 0]
        found["ds"] = _of_gradients(ds, exact.ds, exact.ds_scale, fmt, describe)
        found["db"] = _of_gradients(db, exact.db, exact.db_scale, fmt, describe)
    return found


def _of_weights(
    got: Any, exact: Numbers, fmt: Format, present: Any, describe: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    errors = errors_in_units(got, exact, ulp_exponents(exact, fmt), fmt)
    at = int(errors.argmax())
    doubt = fmt.undecided
    return {
        "elements": errors.size,
        "present": int(np.count_nonzero(present)),
        "not nearest": int(np.count_nonzero(errors > 0.5 + doubt)),
        "undecided": int(np.count_nonzero(np.abs(errors - 0.5) <= doubt)),
        "ulp": float(errors.flat[at]),
        "worst": describe(at, got),
    }


def _of_gradients(
    got: Any, exact: Numbers, scale: Any, fmt: Format, describe: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """Relative to what the class faithful allows: an ULP of the value and 4 u of its scale."""
    ulp = ulp_exponents(exact, fmt)
    # In units in which neither overflows: what is next to 0 may have a large scale.
    unit = np.maximum(ulp, np.frexp(scale)[1] - LIFT - fmt.precision)
    allowed = np.ldexp(1.0, ulp - unit)
    allowed += 4.0 * 2.0**-fmt.precision * np.ldexp(scale, -LIFT - unit)
    ratios = errors_in_units(got, exact, unit, fmt) / allowed
    at = int(ratios.argmax())
    value = np.ldexp(np.abs(exact.high), exact.exponent - unit)
    measurable = value >= CANCELLED * np.ldexp(scale, -LIFT - unit)
    errors = np.where(measurable, errors_in_units(got, exact, ulp, fmt), 0.0)
    return {
        "elements": errors.size,
        "of faithful": float(ratios.flat[at]),
        "ulp": float(errors.max()),
        "worst": describe(at, got),
    }


def _place(
    block: Block, x: Any, present: Any, dy: Any, s: Any, b: Any, at: int, got: Any
) -> dict[str, Any]:
    """Return what it takes to see a result again; it is one of an entry, or of a row."""
    row, entry = np.unravel_index(at, got.shape) if got.ndim > 1 else (at, None)
    own = x[row][present[row]]
    found: dict[str, Any] = {
        "seed": block.seed,
        "rows": block.rows,
        "length": block.length,
        "row": int(row),
        "n": own.size,
    }
    if entry is not None:
        found |= {"entry": int(entry), "x": x[row, entry].hex(), "dy": dy[row, entry].hex()}
    if own.size:
        found |= {"min": own.min().hex(), "max": own.max().hex()}
    if block.function == "ssmax":
        found |= {"s": s[row, 0].hex(), "b": b[row, 0].hex()}
    return found | {"got": got.flat[at].hex()}


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return the measures of two blocks together: counts added, the largest of errors."""
    leading = "of faithful" if "of faithful" in first else "ulp"
    found = {}
    for key, value in first.items():
        if key == "worst":
            found[key] = value if first[leading] >= second[leading] else second[key]
        elif isinstance(value, int):
            found[key] = value + second[key]
        else:
            found[key] = max(value, second[key])
    return found
