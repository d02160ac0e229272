"""What broken backends share: SA-Softmax and its gradient in binary64, with room for faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._wide import exponentials, present_entries, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["degenerate", "gated", "gradient", "shares"]


def _gate(
    x: Any, form: str, axis: int, present: Any, in_minimum: Any, *, narrow_range: bool = False
) -> tuple[Any, Any, Any, Any, Any]:
    """Return the gate, its minimum and maximum, denominator and probabilities."""
    wide = x.astype(np.float64)
    low = np.where(in_minimum, wide, np.inf).min(axis=axis, keepdims=True, initial=np.inf)
    high = np.where(present, wide, -np.inf).max(axis=axis, keepdims=True, initial=-np.inf)
    if form == "normalized":
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    d = high - low if form in {"minmax", "normalized"} else np.ones_like(low)
    if narrow_range:
        d = np.where(d > np.finfo(x.dtype).max, np.inf, d)
    offset = np.zeros_like(low) if form == "plain" else low
    r = np.where(present & (d != 0), (wide - offset) / np.where(d == 0, 1, d), 0.0)
    e = exponentials(x, present, axis)
    return r, low, high, d, ratio(e, e.sum(axis=axis, keepdims=True), present)


@np.errstate(all="ignore")
def degenerate(x: Any, form: str, axis: int, where: Any) -> Any:
    """Return the present entries of finite rows whose gate has the denominator 0."""
    present = present_entries(x, where)
    _, low, high, d, _ = _gate(x, form, axis, present, present)
    return present & (d == 0) & np.isfinite(low) & np.isfinite(high)


@np.errstate(all="ignore")
def gated(
    x: Any,
    form: str,
    axis: int,
    where: Any,
    in_minimum: Any = None,
    *,
    narrow: bool = False,
    at_least: float | None = None,
    narrow_range: bool = False,
) -> Any:
    """Return the weights in binary64.

    ``in_minimum`` says which entries the minimum is over (default: the present ones), ``narrow``
    rounds probabilities to the dtype of x, ``at_least`` bounds the gates from below,
    ``narrow_range`` has max - min overflow as it does in the dtype of x.
    """
    present = present_entries(x, where)
    r, _, _, _, p = _gate(
        x,
        form,
        axis,
        present,
        present if in_minimum is None else in_minimum,
        narrow_range=narrow_range,
    )
    r = r if at_least is None else np.maximum(r, at_least)
    return np.where(present, r * (p.astype(x.dtype) if narrow else p), 0.0)


def shares(x: Any, extremum: Any, present: Any, form: str, axis: int) -> Any:
    """Return the derivative of an extremum by each logit, as the specification has it."""
    attained = (x == extremum) & present
    tied = attained.sum(axis=axis, keepdims=True)
    if form == "normalized":
        tied = tied + (extremum == 0)
    return attained / np.maximum(tied, 1)


@np.errstate(all="ignore")
def gradient(
    x: Any,
    dy: Any,
    form: str,
    axis: int,
    where: Any,
    *,
    detach_extrema: bool,
    shares: Callable[..., Any] = shares,
    in_minimum: Any = None,
    gate_moves: bool = True,
    narrow_range: bool = False,
) -> Any:
    """Return dx; the derivatives of the extrema are what ``shares`` says."""
    present = present_entries(x, where)
    counted = present if in_minimum is None else in_minimum
    r, low, high, d, p = _gate(x, form, axis, present, counted, narrow_range=narrow_range)
    g = np.where(present, dy, 0.0).astype(np.float64)
    s_y, s_p = ((g * r * p).sum(axis, keepdims=True), (g * p).sum(axis, keepdims=True))
    dx = p * (r * g - s_y)
    if gate_moves:
        dx = dx + g * p / np.where(d == 0, 1, d)
    if form != "plain" and not detach_extrema:
        by_low = shares(x, low, present, form, axis)
        dx = dx - by_low * s_p / np.where(d == 0, 1, d)
        if form != "shifted":
            by_high = shares(x, high, present, form, axis)
            dx = dx - (by_high - by_low) * s_y / np.where(d == 0, 1, d)
    finite = np.isfinite(g).all(axis=axis, keepdims=True) & np.isfinite(p).all(axis, keepdims=True)
    dx = np.where((d == 0) & finite, 0.0, np.where(finite, dx, np.nan))
    return np.where(present, dx, 0.0).astype(x.dtype)
