"""SA-Softmax attention in blocks of queries, on any device, in any floating dtype.

A block's logits and weights exist at a time, never those of all queries; the backward pass
recomputes them. 16-bit inputs are evaluated in float32, others in their own dtype: what is
lost is lost in the products with keys and values, as in every attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._visible import Visible

__all__ = ["Arguments", "attend", "attend_backward"]


@dataclass(frozen=True)
class Arguments:
    """What SA-Softmax attention is asked for, besides its tensors."""

    form: str
    detach_extrema: bool
    scale: float
    dropout_p: float
    seed: int
    """Of the generator of the dropped weights, the same forward and backward."""


def attend(
    q: Tensor, k: Tensor, v: Tensor, visible: Visible, bias: Tensor | None, arguments: Arguments
) -> Tensor:
    """Return the weighted values: (batch, heads, queries, v's dim), in q's dtype."""
    out = q.new_empty((*q.shape[:-1], v.shape[-1]))
    wide_k, wide_v = _wide(k), _wide(v)
    for block in _blocks(q, k, visible, arguments):
        rows = _rows(block, _queries(q, block, k), wide_k, visible, bias, arguments)
        weights = _drop(rows.weights, block, arguments)
        values = _flat(weights) @ wide_v[:, :, block.keys]
        out[:, :, block.queries] = values.view(*out[:, :, block.queries].shape)
    return out


def attend_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dout: Tensor,
    visible: Visible,
    bias: Tensor | None,
    arguments: Arguments,
    *,
    bias_needed: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return dq, dk, dv and, if it is asked for, the gradient of the additive bias."""
    wide_k, wide_v = _wide(k), _wide(v)
    dq = q.new_empty(q.shape)
    dk, dv = (wide.new_zeros(wide.shape) for wide in (wide_k, wide_v))
    dbias = None
    if bias is not None and bias_needed:
        dbias = wide_k.new_zeros(bias.shape)
    for block in _blocks(q, k, visible, arguments):
        queries, cotangent = _queries(q, block, k), _queries(dout, block, k)
        rows = _rows(block, queries, wide_k, visible, bias, arguments)
        keep = _kept(rows.weights, block, arguments)
        dropped = rows.weights if keep is None else rows.weights * keep
        dv[:, :, block.keys] += _flat(dropped).mT @ cotangent
        dweights = (cotangent @ wide_v[:, :, block.keys].mT).view(dropped.shape)
        dlogits = rows.gradient(dweights if keep is None else dweights * keep, arguments)
        if dbias is not None:
            _add_reduced(dbias, dlogits.flatten(1, 2), block)
        dlogits = _flat(dlogits).mul_(arguments.scale)
        dqueries = dlogits @ wide_k[:, :, block.keys]
        dq[:, :, block.queries] = dqueries.view(*dq[:, :, block.queries].shape)
        dk[:, :, block.keys] += dlogits.mT @ queries
    dbias = None if dbias is None or bias is None else dbias.to(bias.dtype)
    return dq, dk.to(k.dtype), dv.to(v.dtype), dbias


@dataclass(frozen=True)
class _Block:
    """A block of queries and the keys that they see."""

    queries: slice
    keys: slice
    generator: torch.Generator | None


def _blocks(q: Tensor, k: Tensor, visible: Visible, arguments: Arguments) -> Iterator[_Block]:
    # About 2**20 logits at a time stay in a processor's caches; a GPU needs more to be busy, and
    # a few temporaries of 2**25 are well below a gibibyte.
    logits = 2**25 if q.is_cuda else 2**20
    size = max(16, logits // max(1, q.shape[0] * q.shape[1] * k.shape[2]))
    generator = None
    if arguments.dropout_p > 0.0:
        generator = torch.Generator(q.device).manual_seed(arguments.seed)
    for index, (low, high) in enumerate(visible.block_bounds(size)):
        stop = min((index + 1) * size, q.shape[2])
        yield _Block(slice(index * size, stop), slice(low, high), generator)


def _wide(a: Tensor) -> Tensor:
    """Return a tensor in the dtype that is worked in."""
    return a.float() if a.dtype in (torch.float16, torch.bfloat16) else a


def _queries(a: Tensor, block: _Block, k: Tensor) -> Tensor:
    """Return a block of queries as (batch, key heads, heads of each times queries, dim)."""
    return _flat(_split_heads(_wide(a[:, :, block.queries]), k.shape[1]))


def _flat(a: Tensor) -> Tensor:
    """Return (batch, key heads, heads of each, queries, ...) with the heads of each as rows.

    Products with keys and values then need no copies of these for each of their heads.
    """
    return a.flatten(2, 3)


@dataclass(frozen=True)
class _Rows:
    """Rows of logits x, of probabilities p and of gates r, 0 at absent entries."""

    present: Tensor
    logits: Tensor
    probabilities: Tensor
    gate: Tensor
    smallest: Tensor
    largest: Tensor
    denominator: Tensor | None
    """D of the gates that have one; 1 where it is 0 and ``degenerate`` says so."""
    degenerate: Tensor | None

    @property
    def weights(self) -> Tensor:
        """The product of gate and probability.

        In rows with a NaN the factors are NaN at absent entries too; the product is 0 there.
        """
        return torch.where(self.present, self.gate * self.probabilities, 0.0)

    def gradient(self, dweights: Tensor, arguments: Arguments) -> Tensor:
        """Return dx, of a row with y = r p, P = sum dy p and G = sum dy y.

        dx_j = p_j (r_j dy_j - G + r' dy_j) + lambda_j (G - P) / D - mu_j G / D, where r' is 1 or
        1 / D and lambda_j, mu_j are the entry's shares in the smallest and largest logit
        (shifted: - lambda_j P alone).
        """
        form = arguments.form
        p, dy = self.probabilities, torch.where(self.present, dweights, 0.0)
        total = (dy * self.gate * p).sum(-1, keepdim=True)
        slope: Tensor | float = 1.0 if self.denominator is None else 1.0 / self.denominator
        # What has the slope is summed first: of one entry the terms cancel exactly.
        by_gate = p * dy
        if form != "plain" and not arguments.detach_extrema:
            mean = (dy * p).sum(-1, keepdim=True)
            lowest = self._shares(self.smallest, normalized=form == "normalized", side=1.0)
            if form == "shifted":
                by_gate = by_gate - lowest * mean
            else:
                highest = self._shares(self.largest, normalized=form == "normalized", side=-1.0)
                by_gate = by_gate + lowest * (total - mean) - highest * total
        dx = p * (self.gate * dy - total) + slope * by_gate
        if self.degenerate is not None:
            dx = torch.where(self.degenerate, 0.0, dx)
        return torch.where(self.present, dx, 0.0)

    def _shares(self, extremum: Tensor, *, normalized: bool, side: float) -> Tensor:
        """Return each entry's share of an extremum: ties split evenly, with the appended 0."""
        tied = self.present & (self.logits == extremum)
        count = tied.sum(-1, keepdim=True).clamp(min=1)
        if normalized:
            tied = tied & (side * extremum <= 0.0)
            count = count + (extremum == 0.0)
        return tied.to(self.logits.dtype) / count


def _rows(
    block: _Block,
    queries: Tensor,
    keys: Tensor,
    visible: Visible,
    bias: Tensor | None,
    arguments: Arguments,
) -> _Rows:
    x = (queries @ keys[:, :, block.keys].mT).mul_(arguments.scale)
    number = block.queries.stop - block.queries.start
    x = x.view(*x.shape[:2], queries.shape[2] // number, number, x.shape[3])
    present = visible.dense(
        block.queries.start, block.queries.stop, block.keys.start, block.keys.stop
    )
    if bias is not None:
        rows = slice(None) if bias.shape[2] == 1 else block.queries
        x += _by_group(bias[:, :, rows, block.keys], keys.shape[1])
    present = _by_group(present, keys.shape[1]) & (x != float("-inf"))
    x = torch.where(present, x, 0.0)
    empty = ~present.any(-1, keepdim=True)
    if x.shape[-1] == 0:
        none = x.new_zeros((*x.shape[:-1], 1))
        return _Rows(present, x, x, x, none, none, None, None)
    largest = torch.where(present, x, float("-inf")).amax(-1, keepdim=True)
    smallest = torch.where(present, x, float("inf")).amin(-1, keepdim=True)
    largest, smallest = (torch.where(empty, 0.0, extremum) for extremum in (largest, smallest))
    e = torch.where(present, torch.exp(x - largest), 0.0)
    p = e / torch.where(empty, 1.0, e.sum(-1, keepdim=True))
    form = arguments.form
    if form == "plain":
        return _Rows(present, x, p, x, smallest, largest, None, None)
    if form == "shifted":
        gate = torch.where(present, x - smallest, 0.0)
        return _Rows(present, x, p, gate, smallest, largest, None, None)
    low, high = smallest, largest
    if form == "normalized":
        low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    degenerate = high == low
    denominator = torch.where(degenerate, 1.0, high - low)
    gate = torch.where(present, x - low, 0.0) / denominator
    return _Rows(present, x, p, gate, smallest, largest, denominator, degenerate)


def _by_group(a: Tensor, groups: int) -> Tensor:
    """Return (batch, heads or 1, queries, keys) with the heads as (key heads, heads of each)."""
    return a[:, :, None] if a.shape[1] == 1 else _split_heads(a, groups)


def _split_heads(a: Tensor, groups: int) -> Tensor:
    """Return (batch, heads, ...) as (batch, key heads, heads of each group, ...)."""
    batch, heads, *others = a.shape
    # Not unflatten with -1, which a batch of size 0 leaves undetermined.
    return a.reshape(batch, groups, heads // groups, *others)


def _kept(weights: Tensor, block: _Block, arguments: Arguments) -> Tensor | None:
    """Return what dropout multiplies the weights by: 0, or 1 / (1 - p)."""
    if block.generator is None:
        return None
    p = arguments.dropout_p
    drawn = torch.rand(
        weights.shape, generator=block.generator, dtype=torch.float32, device=weights.device
    )
    return (drawn >= p).to(weights.dtype) * (0.0 if p == 1.0 else 1.0 / (1.0 - p))


def _drop(weights: Tensor, block: _Block, arguments: Arguments) -> Tensor:
    keep = _kept(weights, block, arguments)
    return weights if keep is None else weights * keep


def _add_reduced(dbias: Tensor, dlogits: Tensor, block: _Block) -> None:
    """Add a block of gradients to the bias's, summed over the axes that it was broadcast along."""
    axes = [axis for axis in range(3) if dbias.shape[axis] == 1 and dlogits.shape[axis] != 1]
    rows = slice(None) if dbias.shape[2] == 1 else block.queries
    if axes:
        dlogits = dlogits.sum(axes, keepdim=True)
    dbias[:, :, rows, block.keys] += dlogits
