"""A row with finite numbers, evaluated at a working precision, with a bound on its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from mpmath import mp

from softmax_variants_spec.formats import FORMATS
from softmax_variants_spec.variants import sa_softmax, softmax, ssmax

if TYPE_CHECKING:
    from softmax_variants_spec.row import Row
    from softmax_variants_spec.variants._real import Real

__all__ = ["Evaluation", "evaluate", "factor", "is_defined"]

_WIDEST = FORMATS["float64"]
"""A factor c is beyond all backends where it rounds to infinity in this format."""


@dataclass(frozen=True)
class Evaluation:
    """The present entries of a row, with their weights at some working precision."""

    x: list[Real]
    """Logits, exact."""
    c: Real
    """Factor of the logits, with a relative error of at most 2^-precision; exact where it is 0."""
    gate: sa_softmax.Gate | None
    """Gate, for ``sa_softmax``."""
    p: list[Real]
    """Weights before the gate."""
    y: list[Real]
    """Weights."""
    top: Real
    """The logit of the largest p."""
    uniform: bool
    """Whether all p are equal; then x, p and y are Fractions, and exact."""
    precision: int
    """Working precision in bits."""

    def number(self, v: float) -> Real:
        """Return a stored number in the arithmetic of the row, exactly."""
        return Fraction(v) if self.uniform else mp.convert(v)

    def accurate_bits(self, i: int) -> int:
        """Return k such that the relative error of y[i], and of p[i], is at most 2^-k.

        A k that is not positive says nothing but this: the weight is below exp(−2^100) times its
        gate.
        """
        # Error analysis, with ε = 2^-precision the relative error of one operation, n entries and
        # z_i = c (x_i − v) ≤ 0:
        # - x_i − v, c and their product err by ε each: z_i has a relative error of at most 4ε, so
        #   an absolute one of 4ε|z_i|, and exp makes that a relative one, at most 8ε|z_i| as long
        #   as 4ε|z_i| ≤ 1. exp itself is taken to err by 2ε. So e_i errs by ε(8|z_i| + 3).
        # - The sum S of the e_j inherits Σ p_j ε(8|z_j| + 3) and adds (n − 1)ε. As S ≥ 1,
        #   |z_j| = −ln p_j − ln S ≤ −ln p_j, and Σ p_j |z_j| is at most the entropy of p, which
        #   is at most ln n < n. So S errs by ε(9n + 3). Terms with 4ε|z_j| > 1 have
        #   |z_j| > 2^(precision − 2): they, and their errors, are below exp(−2^(precision − 3)).
        # - The division, the gate (x_i − λ)/D with D = M − λ, and the product add 5ε.
        # Together ε(8|z_i| + 9n + 11), and 16(|z_i| + n + 1) leaves room for second order terms.
        # |z_i| ≤ −ln p_i < −log2 p_i ≤ −(exponent of p_i), one more for p_i being approximate.
        _, _, exp, bits = self.p[i]._mpf_
        z = max(0, 2 - int(exp) - int(bits))
        return self.precision - (16 * (z + len(self.p) + 1)).bit_length()


def factor(row: Row, precision: int) -> Real:
    """Return the factor c of the logits with a relative error of at most 2^-precision.

    Parameters
    ----------
    row
        A row with finite numbers and at least one present entry.
    precision
        Bits.

    Returns
    -------
    mpf
        Exact where s = 0 or n = 1, and for functions other than ``ssmax``.
    """
    if row.function != "ssmax":
        return mp.one
    s, b, n = mp.convert(row.s), mp.convert(row.b), mp.convert(row.count)
    if s == 0 or n == 1:
        return b
    # s ln n and b may cancel to any extent, but never to 0: s, b and n are rational, and the
    # logarithm of a rational other than 1 is not (Lindemann). So raising the precision ends.
    work = precision + 8
    while True:
        with mp.workprec(work):
            c = ssmax.factor(s, b, n)
            # The logarithm errs by 2 and the product by 1 unit 2^-work of |s ln n|, the sum by 1
            # of |c|: less than 4 of |s ln n| + |b| together.
            error = mp.ldexp(abs(s * mp.log(n)) + abs(b), 3 - work)
            if error <= mp.ldexp(abs(c), -precision):
                return c
        work *= 2


def is_defined(row: Row) -> bool:
    """Tell whether the weights of a row with present entries are defined: no number is in the way.

    The logits and parameters have to be finite, n positive, and the factor of the logits must not
    round to infinity in binary64.
    """
    return row.is_finite and math.isfinite(_WIDEST.round(factor(row, _WIDEST.precision + 11)))


@lru_cache(maxsize=16)
def evaluate(row: Row, precision: int) -> Evaluation:
    """Evaluate the present entries of a row by the definition of its variant.

    Parameters
    ----------
    row
        A row whose weights are defined, with at least one present entry.
    precision
        Working precision in bits, at least that of the widest format.
    """
    c = factor(row, precision)
    stored = [row.x[i] for i in row.present]
    uniform = c == 0 or min(stored) == max(stored)
    x = [Fraction(xi) if uniform else mp.convert(xi) for xi in stored]
    with mp.workprec(precision):
        p = [Fraction(1, len(x))] * len(x) if uniform else softmax.weights(x, c)
        gate = None
        y = p
        if row.function == "sa_softmax":
            gate = sa_softmax.gate(x, row.form, detach_extrema=row.detach_extrema)
            y = sa_softmax.weights(x, p, gate)
        return Evaluation(x, c, gate, p, y, softmax.top(x, c), uniform, precision)
