"""What SA-Softmax's gates take for extrema, and where the derivatives of the extrema go.

Results that are not the right ones are compared with those of mistakes known from practice, so
that the message can say which it is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from softmax_variants_spec import exact
from softmax_variants_spec.accuracy import gradient_tolerance, relative_bound
from softmax_variants_spec.conformance.blocks import Block
from softmax_variants_spec.conformance.context import Context, Entry, Fault, present_of
from softmax_variants_spec.conformance.references import rows_of
from softmax_variants_spec.conformance.repro import call_lines

from .samples import error_over_allowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from softmax_variants_spec.conformance.blocks import Bools, Floats
    from softmax_variants_spec.conformance.variants import Variant

    class Shares(Protocol):
        """The derivative of an extremum by the entries that attain it, or not."""

        def __call__(self, attained: Bools, *, zero: bool) -> Floats: ...


__all__ = ["entries"]

_ROWS = (
    (1.0, -1.5, 0.5, -0.25, 0.75),
    (2.0, -1.0, 2.0, -1.0, 2.0),
    (0.0, -1.0, 0.0, -2.0, -0.5),
    (0.0, 1.0, 0.0, 2.0, 0.5),
    (-1.0, -2.0, -0.5, -2.0, -1.0),
    (1.0, 2.0, 0.5, 2.0, 0.5),
)
"""Extrema that are unique, tied, and 0, which they share with the appended 0."""

_DY = (1.0, -0.5, 0.25, 2.0, -1.5)


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return the entries on extrema, for the forms that have some."""
    del smoke
    if not variant.has_extrema:
        return []
    return [
        Entry("extrema", "weights", _weights),
        Entry("extrema", "gradient", partial(_gradient, detached=False)),
        Entry("extrema", "detached-gradient", partial(_gradient, detached=True)),
    ]


# Weights


def _weights(context: Context) -> None:
    """Judge weights of rows whose absent entries, or the appended 0, lie beyond the others."""
    x = np.asarray([*((1.0, -1.5, 0.5, -5.0, 6.0),) * 3, (3.0, 1.5, 2.5, -5.0, 6.0)])
    where = np.ones(x.shape, dtype=bool)
    where[[0, 2, 3], 3] = where[[1, 2, 3], 4] = False
    block = Block(x, np.zeros_like(x), where=where)
    y = context.weights(block)
    ratios = error_over_allowed(context, block, y)
    if (ratios <= 1.0).all():
        return
    form, present = context.variant.form or "", present_of(block)
    other = {"normalized": "minmax", "minmax": "normalized"}.get(form, form)
    everywhere = np.ones(x.shape, dtype=bool)
    candidates = {
        "the minimum is taken over absent entries too": (form, everywhere, present),
        "the maximum is taken over absent entries too": (form, present, everywhere),
        "both extrema are taken over absent entries too": (form, everywhere, everywhere),
        f"the weights are those of the form {other}": (other, present, present),
    }
    said = "the weights are wrong"
    for text, (shape, in_low, in_high) in candidates.items():
        wrong = np.where(present, _gates(x, shape, in_low, in_high) * _probabilities(x, present), 0)
        if np.allclose(y, wrong, rtol=16 * context.fmt.unit_roundoff, atol=0.0):
            said = text
            break
    row = int(np.argwhere(~(ratios <= 1.0))[0][0])
    shown = ", ".join(
        f"{v!r}" if there else "absent"
        for v, there in zip(x[row].tolist(), present[row].tolist(), strict=True)
    )
    right = [w.rounded for w in exact.weights(rows_of(block, context.variant)[row], context.fmt)]
    msg = (
        f"of rows such as ({shown}) {said}; got ({_text(y[row])}), "
        f"wants ({_text(np.asarray(right))})"
    )
    raise Fault(msg, "\n".join(call_lines(context, block, "", row)))


def _gates(x: Floats, form: str, in_low: Bools, in_high: Bools) -> Floats:
    """Return gates with the extrema over the given entries."""
    low = np.where(in_low, x, np.inf).min(axis=1, keepdims=True)
    high = np.where(in_high, x, -np.inf).max(axis=1, keepdims=True)
    if form == "normalized":
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    gates: Floats = x - low if form == "shifted" else (x - low) / (high - low)
    return gates


def _probabilities(x: Floats, present: Bools) -> Floats:
    e = np.where(present, np.exp(x), 0.0)
    p: Floats = e / e.sum(axis=1, keepdims=True)
    return p


# Gradients


def _gradient(context: Context, *, detached: bool) -> None:
    """Judge gradients of rows with unique extrema, tied ones, and ones that are 0."""
    x = np.asarray(_ROWS)
    block = Block(x, np.broadcast_to(_DY, x.shape).copy())
    dx = context.gradients(block, detach_extrema=detached)[0]
    right, allowed = _reference(context, block, detached=detached)
    off = np.abs(dx - right) / allowed
    if (off <= 1.0).all():
        return
    row = int(np.argwhere(~(off <= 1.0))[0][0])
    form, which = context.variant.form or "", ""
    for text, by_low, by_high in _mistakes(detached=detached):
        wrong = _vjp(x, block.dy, form, by_low, by_high, moves=by_low is not _constant)
        if (np.abs(dx - wrong) <= 4.0 * allowed).all():
            which = f": {text}"
            break
    option = f"detach_extrema={detached}"
    msg = (
        f"with {option} the gradient of ({', '.join(map(repr, _ROWS[row]))}) is wrong{which}; "
        f"got ({_text(dx[row])}), wants ({_text(right[row])})"
    )
    lines = call_lines(context, block, "", row, vjp=True, detach_extrema=detached)
    raise Fault(msg, "\n".join(lines))


def _text(values: Floats) -> str:
    return ", ".join(f"{v:.6g}" for v in values.tolist())


def _reference(context: Context, block: Block, *, detached: bool) -> tuple[Floats, Floats]:
    """Return exact gradients, rounded to binary64, and what the claim allows them to be off."""
    fmt = context.fmt
    values, allowed = np.zeros(block.x.shape), np.zeros(block.x.shape)
    rows = rows_of(block, context.variant, detach_extrema=detached)
    for i, row in enumerate(rows):
        bound = max(relative_bound(row, fmt))
        for j, gradient in enumerate(exact.gradient(row, block.dy[i].tolist(), fmt)):
            values[i, j] = float(gradient.value)
            allowed[i, j] = float(
                gradient_tolerance(context.claim.weight_class, gradient, fmt, bound=bound)
            )
    return values, allowed


def _evenly(attained: Bools, *, zero: bool) -> Floats:
    share: Floats = attained / (attained.sum() + zero)
    return share


def _none(attained: Bools, *, zero: bool) -> Floats:
    del zero
    return np.zeros(attained.shape)


def _constant(attained: Bools, *, zero: bool) -> Floats:
    return _none(attained, zero=zero)


def _first(attained: Bools, *, zero: bool) -> Floats:
    share = np.zeros(attained.shape)
    share[attained.argmax()] = 0.5 if zero else 1.0
    return share


def _last(attained: Bools, *, zero: bool) -> Floats:
    return _first(attained[::-1], zero=zero)[::-1]


def _first_before_zero(attained: Bools, *, zero: bool) -> Floats:
    del zero
    return _first(attained, zero=False)


def _each(attained: Bools, *, zero: bool) -> Floats:
    del zero
    return attained.astype(np.float64)


def _halved(attained: Bools, *, zero: bool) -> Floats:
    share: Floats = attained / (attained.sum() * (2.0 if zero else 1.0))
    return share


def _without_zero(attained: Bools, *, zero: bool) -> Floats:
    del zero
    share: Floats = attained / attained.sum()
    return share


def _all_to_zero(attained: Bools, *, zero: bool) -> Floats:
    return (_none if zero else _evenly)(attained, zero=zero)


def _mistakes(*, detached: bool) -> Iterator[tuple[str, Shares, Shares]]:
    """Return what may be done instead, with the shares of the minimum and of the maximum."""
    yield "the gates are taken for constants", _constant, _constant
    if detached:
        yield "it is that without detaching, the extrema are differentiated", _evenly, _evenly
        yield "the minimum is not detached", _evenly, _none
        yield "the maximum is not detached", _none, _evenly
        return
    yield "it is the detached one, nothing is differentiated through the extrema", _none, _none
    yield "nothing is differentiated through the minimum", _none, _evenly
    yield "nothing is differentiated through the maximum", _evenly, _none
    both = {
        "the derivative of a tied extremum goes to the first entry that attains it": _first,
        "the derivative of a tied extremum goes to the first entry that attains it, also where "
        "that is 0": _first_before_zero,
        "the derivative of a tied extremum goes to the last entry that attains it": _last,
        "each entry that attains a tied extremum gets all of its derivative": _each,
        "where an extremum is 0, the appended 0 takes half of its derivative, and the k entries "
        "that attain it 1/(2k) each in place of 1/(k + 1)": _halved,
        "where an extremum is 0, the appended 0 is forgotten, and the k entries that attain it "
        "get 1/k each in place of 1/(k + 1)": _without_zero,
        "where an extremum is 0, the appended 0 takes all of its derivative": _all_to_zero,
    }
    for text, shares in both.items():
        yield text, shares, shares


def _vjp(
    x: Floats, dy: Floats, form: str, by_low: Shares, by_high: Shares, *, moves: bool
) -> Floats:
    """Return dx with the derivatives of the extrema given as shares of their entries.

    ``moves`` says whether the gates are differentiated at all.
    """
    dx = np.zeros(x.shape)
    p = _probabilities(x, np.ones(x.shape, dtype=bool))
    for i, row in enumerate(x):
        low, high, appended = row.min(), row.max(), form == "normalized"
        if appended:
            low, high = min(low, 0.0), max(high, 0.0)
        d = 1.0 if form == "shifted" else high - low
        r, g = (row - low) / d, dy[i]
        s_y, s_p = (g * r * p[i]).sum(), (g * p[i]).sum()
        low_share, high_share = (
            shares(row == extremum, zero=appended and extremum == 0)
            if (row == extremum).any()
            else np.zeros(row.shape)
            for shares, extremum in ((by_low, low), (by_high, high))
        )
        # y = r p and r = (x - low)/d; the d of shifted is the constant 1.
        dx[i] = p[i] * (r * g - s_y)
        if not moves:
            continue
        dx[i] += g * p[i] / d - low_share * s_p / d
        if form != "shifted":
            dx[i] -= (high_share - low_share) * s_y / d
    return dx
