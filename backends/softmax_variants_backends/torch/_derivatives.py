"""Derivatives of the weights in formulas, for every order beyond the first backward pass.

With p the probabilities and y = r p the weights (r = 1 without a gate), let a dot be the derivative
in a direction in which x moves by u, s by s' and b by b', so that c' = s' ln n + b':

    t  = c u + c' x                              (without a scale: t = u)
    p' = p (t - sum p t)
    l' = sum low u,  D' = sum high u - l'        (without a denominator: D' = 0)
    r' = (u - l' - r D') / D
    y' = r' p + r p'

with ``low`` and ``high`` each entry's shares in the extrema, which are constants. With the
cotangent g of y, h = r g, P = sum p g and G = sum p h, the vector-Jacobian product is

    softmax, SSMax   q = p (g - P),  dx = c q,  db = sum q x,  ds = ln n db
    gates            a = p (h - G),  e = (g p - low (P - G) - high G) / D,  dx = a + e
                     (without a denominator: e = g p - low P)

and its derivative in a direction follows term by term. That is also the derivative, in the
direction, of the gradient of sum g y: second derivatives are symmetric, so that ``curvature``
serves both modes.

x enters c' x and sum q x less a constant of its row: sum p (t - sum p t) and sum q are 0.

These are PyTorch operations, to be differentiated further by PyTorch, in float64. Where the terms
of a row leave its range (products of logits, cotangents, tangents and 1/D), its derivatives come
out infinite or NaN.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from ._rows import Gate, Scale, gate_of, probabilities, read_rows, scale_of

if TYPE_CHECKING:
    from ._variant import Parameter, Variant

__all__ = ["Direction", "Point"]

Direction: TypeAlias = "tuple[Tensor | None, Tensor | None, Tensor | None]"
"""Tangents of x, s and b; None for 0."""


class Point:
    """Arguments of a variant, at which derivatives are taken; all tensors broadcast to x."""

    def __init__(
        self,
        variant: Variant,
        x: Tensor,
        s: Parameter,
        b: Parameter,
        n: Parameter,
        where: Tensor | None,
    ) -> None:
        self._dtype, self._parameters = x.dtype, (s, b)
        self._rows = read_rows(x, where, variant.axis)
        self._scale: Scale | None = None
        if s is not None and b is not None:
            self._scale = scale_of(self._rows, s, b, n)
        self._p, self._shifted = probabilities(self._rows, self._scale)
        self._gate: Gate | None = None
        if variant.form is not None:
            self._gate = gate_of(self._rows, variant, self._p)
            self._p = self._p * self._gate.live

    def tangent(self, direction: Direction) -> Tensor:
        """Return y', in x's dtype."""
        u, c_moves = self._read(direction)
        p_moves = self._p_moves(u, c_moves)
        if self._gate is None:
            return self._of_entries(p_moves)
        r_moves, _ = self._gate_moves(self._gate, u)
        return self._of_entries(r_moves * self._p + self._gate.value * p_moves)

    def curvature(self, dy: Tensor, direction: Direction) -> tuple[Tensor, ...]:
        """Return the derivative of (dx,), of SSMax (dx, ds, db), with dy held fixed."""
        u, c_moves = self._read(direction)
        g = self._rows.direction(dy)
        p_moves = self._p_moves(u, c_moves)
        if self._gate is not None:
            return (self._of_entries(self._gated_curvature(self._gate, g, u, p_moves)),)
        sums, p = self._rows.sum, self._p
        inner = g - sums(p * g)
        q, q_moves = p * inner, p_moves * inner - p * sums(p_moves * inner)
        if self._scale is None:
            return (self._of_entries(q_moves),)
        dx = self._scale.c * q_moves + c_moves * q
        db = sums(q_moves * self._shifted + q * u)
        s, b = self._parameters
        return (
            self._of_entries(dx),
            self._of_parameter(db * self._scale.log_n, s),
            self._of_parameter(db, b),
        )

    def _read(self, direction: Direction) -> tuple[Tensor, Tensor | float]:
        """Return u and c'."""
        x_moves, s_moves, b_moves = direction
        rows = self._rows
        u = torch.zeros_like(rows.x) if x_moves is None else rows.direction(x_moves)
        c_moves: Tensor | float = 0.0
        if self._scale is not None:
            if s_moves is not None:
                c_moves = c_moves + s_moves.to(u.dtype) * self._scale.log_n
            if b_moves is not None:
                c_moves = c_moves + b_moves.to(u.dtype)
            if isinstance(c_moves, Tensor):
                c_moves = torch.where(rows.empty, 0.0, c_moves)
        return u, c_moves

    def _p_moves(self, u: Tensor, c_moves: Tensor | float) -> Tensor:
        t = u
        if self._scale is not None:
            t = self._scale.c * u + c_moves * self._shifted
        return self._p * (t - self._rows.sum(self._p * t))

    def _gate_moves(self, gate: Gate, u: Tensor) -> tuple[Tensor, Tensor | float]:
        """Return r' and D'."""
        sums = self._rows.sum
        l_moves = sums(gate.low * u)
        if not gate.ratio:
            return u - l_moves, 0.0
        d_moves = sums(gate.high * u) - l_moves
        return (u - l_moves - gate.value * d_moves) * gate.inverse, d_moves

    def _gated_curvature(self, gate: Gate, g: Tensor, u: Tensor, p_moves: Tensor) -> Tensor:
        sums, p, r = self._rows.sum, self._p, gate.value
        r_moves, d_moves = self._gate_moves(gate, u)
        h, h_moves = r * g, r_moves * g
        big_p, big_p_moves = sums(p * g), sums(p_moves * g)
        big_g, big_g_moves = sums(p * h), sums(p_moves * h + p * h_moves)
        a_moves = p_moves * (h - big_g) + p * (h_moves - big_g_moves)
        if not gate.ratio:
            return a_moves + g * p_moves - gate.low * big_p_moves
        e = (g * p - gate.low * (big_p - big_g) - gate.high * big_g) * gate.inverse
        e_moves = g * p_moves - gate.low * (big_p_moves - big_g_moves) - gate.high * big_g_moves
        return a_moves + (e_moves - e * d_moves) * gate.inverse

    def _of_entries(self, a: Tensor) -> Tensor:
        """Return a derivative of the entries in x's dtype."""
        return self._rows.shown(a).to(self._dtype)

    def _of_parameter(self, terms: Tensor, parameter: Parameter) -> Tensor:
        """Return the sum of the rows' terms in a parameter's shape and dtype."""
        if not isinstance(parameter, Tensor):
            return terms.sum().to(self._dtype)
        shape = (1,) * (terms.ndim - parameter.ndim) + tuple(parameter.shape)
        summed = [axis for axis, length in enumerate(shape) if length == 1]
        if summed and prod(shape) != terms.numel():
            terms = terms.sum(summed, keepdim=True)
        return terms.reshape(parameter.shape).to(parameter.dtype)
