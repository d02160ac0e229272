r"""The sizes that errors of gradients are measured by.

A gradient is a difference of terms that may cancel to any extent, so that no backend can promise
it to a number of ULP of its value. What can be promised is an error of a few units of roundoff
of the terms. `scale` is the sum of their magnitudes; `tail` is what remains of a term whose
weight has underflowed in a backend, in multiples of the smallest number of the format.

With the letters of the variants' files, S_dy = Σ |dy_j y_j| and S_dp = Σ |dy_j| p_j:

.. math:: \text{scale}_i = |c| (|dy_i y_i| + p_i S_{dy})
    + \Big[\frac{|dy_i| p_i}{D}\Big]
    + \Big[\frac{S_{dy} + S_{dp}}{D k_{\min}}\Big]_{i \text{ minimizer}}
    + \Big[\frac{S_{dy}}{D k_{\max}}\Big]_{i \text{ maximizer}}

.. math:: \text{tail}_i = |c| \big(|r_i dy_i| + |\textstyle\sum_j dy_j y_j|\big)
    + \Big[\frac{|dy_i|}{D}\Big]

The terms in brackets belong to SA-Softmax; those of the extrema are absent where nothing is
differentiated through an extremum, and for ``shifted``, whose D does not move, the minimizers'
is S_dp / k_min. Where c cancels beyond what the classes cover, \|s\| \|ln n\| + \|b\| > 2^20 \|c\|,
this sum stands for \|c\| (see `size_of_factor`). For the parameters of SSMax, with v the logit of
the largest weight,

.. math:: \text{scale}_b = \sum_i |dy_i| p_i \big(|x_i - v| + \textstyle\sum_j p_j |x_j - v|\big),
    \qquad \text{scale}_s = |\ln n|\,\text{scale}_b.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpmath import mp

if TYPE_CHECKING:
    from softmax_variants_spec.evaluation import Evaluation
    from softmax_variants_spec.row import Row
    from softmax_variants_spec.variants._real import Real, Reals

__all__ = ["scale_of_logits", "scale_of_parameters", "size_of_factor", "tail"]

_COVERED = 2**20
"""How far c may cancel for the classes to hold."""


def size_of_factor(row: Row, c: Real) -> Real:
    """Return what stands for the magnitude of c: itself, or that of its terms where c cancels.

    A backend's c = s ln n + b has an error proportional to the size of its terms, so where c is
    less than 2^-20 of that, the gradient, c times a sum, can be held to no multiple of c.

    Parameters
    ----------
    row
        The row.
    c
        Its factor.
    """
    if row.function != "ssmax":
        return abs(c)
    s, b, n = mp.convert(row.s), mp.convert(row.b), mp.convert(row.count)
    parts = abs(s * mp.log(n)) + abs(b)
    return parts if parts > _COVERED * abs(c) else abs(c)


def scale_of_logits(row: Evaluation, dy: Reals, size: Real) -> list[Real]:
    """Return the scale of the gradient by each logit.

    Parameters
    ----------
    row
        The evaluated row.
    dy
        Cotangents at its present entries.
    size
        What stands for the magnitude of c, from `size_of_factor`.

    Returns
    -------
    list
        One number a present entry; zeros where D = 0.
    """
    r = row.gate
    sizes = [abs(dyi * yi) for dyi, yi in zip(dy, row.y, strict=True)]
    sum_y = sum(sizes)
    scale = [size * (own + pi * sum_y) for own, pi in zip(sizes, row.p, strict=True)]
    if r is None:
        return scale
    d = r.denominator
    if d == 0:
        return [mp.zero for _ in scale]
    gates = [abs(dyi) * pi for dyi, pi in zip(dy, row.p, strict=True)]
    sum_p = sum(gates)
    scale = [weight + gate / d for weight, gate in zip(scale, gates, strict=True)]
    for i in r.minimizers:
        scale[i] += (sum_y + sum_p if r.is_ratio else sum_p) / (d * r.minimum_shared_by)
    for i in r.maximizers:
        scale[i] += sum_y / (d * r.maximum_shared_by)
    return scale


def tail(row: Evaluation, dy: Reals) -> list[Real]:
    """Return the tail of the gradient by each logit.

    Parameters
    ----------
    row
        The evaluated row.
    dy
        Cotangents at its present entries.

    Returns
    -------
    list
        One number a present entry; zeros where D = 0.
    """
    c, r = abs(row.c), row.gate
    total = abs(sum(dyi * yi for dyi, yi in zip(dy, row.y, strict=True)))
    if r is None:
        return [c * (abs(dyi) + total) for dyi in dy]
    d = r.denominator
    if d == 0:
        return [mp.zero for _ in dy]
    return [
        c * (abs(r(xi) * dyi) + total) + abs(dyi) / d for xi, dyi in zip(row.x, dy, strict=True)
    ]


def scale_of_parameters(row: Evaluation, dy: Reals) -> Real:
    """Return the scale of the row's share of the gradient by b; that by s is |ln n| times it.

    Parameters
    ----------
    row
        The evaluated row.
    dy
        Cotangents at its present entries.
    """
    spread = [abs(xi - row.top) for xi in row.x]
    mean = sum(pi * size for pi, size in zip(row.p, spread, strict=True))
    return sum(
        abs(dyi) * pi * (size + mean) for dyi, pi, size in zip(dy, row.p, spread, strict=True)
    )
