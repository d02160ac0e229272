"""Rows as the derivatives' formulas see them: differentiable PyTorch operations throughout.

What the specification holds fixed in every derivative (which entries are present, n, which entries
share in an extremum) is made of comparisons, which carry no derivative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ._variant import Parameter, Variant

__all__ = ["Gate", "Rows", "Scale", "gate_of", "probabilities", "read_rows", "scale_of"]


@dataclass(frozen=True)
class Rows:
    """Logits in the type that formulas are evaluated in, 0 where absent.

    A present logit that is not finite is a NaN, and so is all that the formulas make of its row.
    """

    axis: int
    x: Tensor
    present: Tensor
    empty: Tensor
    """Rows without present entries; this and the next keep ``axis`` at length 1."""
    smallest: Tensor
    largest: Tensor
    """Extrema over the present entries, 0 in empty rows, without derivative."""

    def sum(self, a: Tensor) -> Tensor:
        """Return the sum over each row."""
        return a.sum(self.axis, keepdim=True)

    def shown(self, a: Tensor) -> Tensor:
        """Return a derivative of the entries: 0 where absent, in rows of NaNs too."""
        return torch.where(self.present, a, 0.0)

    def direction(self, a: Tensor) -> Tensor:
        """Return a tangent or cotangent in the type of the formulas, 0 where absent.

        One that is not finite makes those of its row NaN.
        """
        a = self.shown(a).to(self.x.dtype)
        broken = ~torch.isfinite(a).all(self.axis, keepdim=True)
        return torch.where(broken & self.present, math.nan, a)


def read_rows(x: Tensor, where: Tensor | None, axis: int) -> Rows:
    """Return the rows of ``x`` along ``axis``.

    They are evaluated in float64 (Metal has none): derivatives of narrow dtypes are then rounded
    about once, at the end.
    """
    wide = torch.float32 if x.device.type == "mps" else torch.float64
    present = x != -math.inf
    if where is not None:
        present = present & where
    clean = torch.where(present, x, 0.0).to(wide)
    # An infinity becomes a NaN, a finite number stays, and the derivative is 1 either way.
    clean = clean + (clean - clean)
    fixed = clean.detach()
    empty = ~present.any(axis, keepdim=True)
    if x.shape[axis]:
        smallest = torch.where(present, fixed, math.inf).amin(axis, keepdim=True)
        largest = torch.where(present, fixed, -math.inf).amax(axis, keepdim=True)
    else:  # rows of length 0, which have no extrema
        smallest = largest = fixed.sum(axis, keepdim=True)
    return Rows(
        axis=axis,
        x=clean,
        present=present,
        empty=empty,
        smallest=torch.where(empty, 0.0, smallest),
        largest=torch.where(empty, 0.0, largest),
    )


@dataclass(frozen=True)
class Scale:
    """SSMax's c = s ln n + b and ln n, of each row; 0 in empty rows."""

    c: Tensor
    log_n: Tensor


def scale_of(rows: Rows, s: Tensor | float, b: Tensor | float, n: Parameter) -> Scale:
    """Return SSMax's scale; where a parameter is not allowed, it is not finite."""
    if n is None:
        log_n = rows.present.sum(rows.axis, keepdim=True).to(rows.x.dtype).log()
    elif isinstance(n, Tensor):
        log_n = n.detach().to(rows.x.dtype).log()
    else:
        value = math.log(n) if 0 < n < math.inf else math.nan
        log_n = torch.full((), value, dtype=rows.x.dtype, device=rows.x.device)
    # An empty row adds nothing to ds and db, whatever s, b and n hold there.
    log_n = torch.where(rows.empty, 0.0, log_n)
    c = _wide(s, rows) * log_n + _wide(b, rows)
    return Scale(torch.where(rows.empty, 0.0, c), log_n)


def _wide(parameter: Tensor | float, rows: Rows) -> Tensor | float:
    return parameter.to(rows.x.dtype) if isinstance(parameter, Tensor) else float(parameter)


def probabilities(rows: Rows, scale: Scale | None) -> tuple[Tensor, Tensor]:
    """Return p, 0 where absent, and the logits less a constant of the row.

    The constant v is the logit where c x is largest. Shifted first and scaled then, the error of
    p is a few units of |c (x - v)|; x - v itself may overflow, its half may not. The shifted
    logits are 0 where p is, since there they enter with a weight of 0 only and may overflow.
    """
    if scale is None:
        pivot = rows.largest
        exponent = rows.x - pivot
    else:
        pivot = torch.where(scale.c.detach() >= 0.0, rows.largest, rows.smallest)
        exponent = scale.c * (0.5 * rows.x - 0.5 * pivot) * 2.0
    p = torch.softmax(torch.where(rows.present, exponent, -math.inf), rows.axis)
    # PyTorch's softmax of an empty row is NaN.
    p = rows.shown(p)
    return p, torch.where(p.detach() > 0.0, rows.x - pivot, 0.0)


@dataclass(frozen=True)
class Gate:
    """SA-Softmax's gate r = (x - lambda)/D, and how lambda and D move with the entries."""

    value: Tensor
    inverse: Tensor | float
    """1/D."""
    low: Tensor | float
    high: Tensor | float
    """Each entry's shares in the derivatives of lambda and of D + lambda."""
    ratio: bool
    """Whether the form has a D."""
    live: Tensor | float
    """0 in rows where D is 0, which stands at 1 there: a factor of all p."""


def gate_of(rows: Rows, variant: Variant, p: Tensor) -> Gate:
    """Return the gate of a variant's form; ``p`` says which entries count."""
    if variant.form == "plain":
        return Gate(rows.x, 1.0, 0.0, 0.0, ratio=False, live=1.0)
    normalized, ratio = variant.form == "normalized", variant.form != "shifted"
    lower, upper = rows.smallest, rows.largest
    low: Tensor | float = 0.0
    high: Tensor | float = 0.0
    if not variant.detach_extrema:
        low = _shares(rows, lower, (lower <= 0.0) if normalized else None)
        high = _shares(rows, upper, (upper >= 0.0) if normalized else None) if ratio else 0.0
    if normalized:
        lower, upper = lower.clamp(max=0.0), upper.clamp(min=0.0)
    # Exactly the extrema, with the shares for derivatives: what is added is 0.
    moved = rows.x - rows.x.detach()
    lower, upper = lower + rows.sum(low * moved), upper + rows.sum(high * moved)
    if not ratio:
        # Where p is 0 the difference may overflow.
        value = torch.where(p.detach() > 0.0, rows.x - lower, 0.0)
        return Gate(value, 1.0, low, 0.0, ratio=False, live=1.0)
    # Of halves, since differences may overflow.
    half = 0.5 * upper - 0.5 * lower
    zero = half == 0.0
    half = torch.where(zero, 1.0, half)
    value = (0.5 * rows.x - 0.5 * lower) / half
    live = (~zero).to(rows.x.dtype)
    return Gate(value, 0.5 / half, low, high, ratio=True, live=live)


def _shares(rows: Rows, extremum: Tensor, counts: Tensor | None) -> Tensor:
    """Return each entry's share in the derivative of an extremum.

    In the normalized form an extremum ``counts`` on its side of 0 only, and the appended 0 has a
    share where the extremum is 0.
    """
    at = rows.present & (rows.x.detach() == extremum)
    sharers = at.sum(rows.axis, keepdim=True)
    if counts is not None:
        at = at & counts
        sharers = sharers + (extremum == 0.0)
    return at.to(rows.x.dtype) / sharers.clamp(min=1)
