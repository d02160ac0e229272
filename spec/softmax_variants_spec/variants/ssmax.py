r"""Scalable-Softmax (SSMax): a softmax whose base is the number of entries.

The weights of the n present logits x of a row are

.. math:: y_i = \frac{n^{s x_i}}{\sum_j n^{s x_j}}
              = \frac{e^{c x_i}}{\sum_j e^{c x_j}}, \qquad c = s \ln n + b,

where s scales the logits and b, 0 in the basic form, is added to the factor of the logits (a
term added to the logits themselves would cancel). The logarithm is natural: the first equation
holds with no other. A softmax over ever more entries flattens; here the factor ln n works
against that.

**Derivatives.** By the logits it is softmax's with the factor c. The parameters act through c
alone: with x̄ = Σ_j y_j x_j,

.. math:: \frac{\partial y_i}{\partial c} = y_i (x_i - \bar x), \qquad
          \frac{\partial y_i}{\partial b} = \frac{\partial y_i}{\partial c}, \qquad
          \frac{\partial y_i}{\partial s} = \ln n \, \frac{\partial y_i}{\partial c},

from ∂ ln y_i / ∂c = x_i − Σ_j y_j x_j. The count n is not differentiated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpmath import mp

from softmax_variants_spec.variants import softmax
from softmax_variants_spec.variants._ssmax_special_values import SPECIAL_VALUES

if TYPE_CHECKING:
    from softmax_variants_spec.variants._real import Real, Reals

__all__ = [
    "PROVENANCE",
    "SPECIAL_VALUES",
    "by_factor",
    "by_scale",
    "factor",
    "jacobian",
    "jvp",
    "vjp",
    "vjp_factor",
    "weights",
]

PROVENANCE = (
    "K. M. Nakanishi, 'Scalable-Softmax Is Superior for Attention', arXiv:2501.19399. That the "
    "logarithm is natural follows from the definition. The form with b, a term of the factor, is "
    "given after public restatements of the paper's 'SSMax with bias' and implementations of it. "
    "The derivatives are derived above."
)
"""Where the formulas come from, and how firmly each of them stands."""


def factor(s: Real, b: Real, n: Real) -> Real:
    """Return c = s ln n + b, the factor of the logits.

    Parameters
    ----------
    s, b
        Scale and bias; any real numbers.
    n
        Number of entries, positive; it need not be whole.

    Examples
    --------
    >>> factor(2, 3, 1)
    mpf('3.0')
    """
    return s * mp.log(n) + b


def weights(x: Reals, c: Real) -> list[Real]:
    """Return y_i = exp(c x_i) / Σ_j exp(c x_j).

    Parameters
    ----------
    x
        Present logits of a row, at least one.
    c
        Factor of the logits, as `factor` returns it.

    Examples
    --------
    >>> from mpmath import mpf
    >>> [float(y) for y in weights([mpf(0), mpf(1)], factor(1, 0, 3))]
    [0.25, 0.75]
    """
    return softmax.weights(x, c)


def jacobian(y: Reals, c: Real) -> list[list[Real]]:
    """Return the matrix ∂y_i/∂x_j = c y_i (δ_ij − y_j), row i first.

    Examples
    --------
    >>> jacobian([0.5, 0.5], 2)
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    return softmax.jacobian(y, c)


def vjp(y: Reals, dy: Reals, c: Real) -> list[Real]:
    """Return the gradient Σ_i dy_i ∂y_i/∂x_j = c y_j (dy_j − Σ_i dy_i y_i).

    Examples
    --------
    >>> vjp([0.5, 0.5], [1, 0], 2)
    [0.5, -0.5]
    """
    return softmax.vjp(y, dy, c)


def jvp(y: Reals, dx: Reals, c: Real) -> list[Real]:
    """Return the derivative of the weights along dx: c y_i (dx_i − Σ_j y_j dx_j).

    Examples
    --------
    >>> jvp([0.5, 0.5], [1, 0], 2)
    [0.5, -0.5]
    """
    return softmax.jvp(y, dx, c)


def by_factor(x: Reals, y: Reals) -> list[Real]:
    """Return ∂y_i/∂c = y_i (x_i − x̄), which is also ∂y_i/∂b.

    Parameters
    ----------
    x
        Present logits of a row.
    y
        Their weights, as `weights` returns them.

    Examples
    --------
    >>> by_factor([3, 5], [0.5, 0.5])
    [-0.5, 0.5]
    """
    # x̄ − v = Σ_j y_j (x_j − v) for any v. With v the logit of the largest weight, the terms are
    # as small as the spread under y: logits that are large and close together lose no digits.
    v = x[max(range(len(y)), key=y.__getitem__)]
    mean = sum(yj * (xj - v) for xj, yj in zip(x, y, strict=True))
    return [yi * ((xi - v) - mean) for xi, yi in zip(x, y, strict=True)]


def by_scale(x: Reals, y: Reals, n: Real) -> list[Real]:
    """Return ∂y_i/∂s = ln n · ∂y_i/∂c.

    Parameters
    ----------
    x
        Present logits of a row.
    y
        Their weights, as `weights` returns them.
    n
        Number of entries.

    Examples
    --------
    >>> by_scale([3, 5], [0.5, 0.5], 1)
    [mpf('0.0'), mpf('0.0')]
    """
    return [mp.log(n) * slope for slope in by_factor(x, y)]


def vjp_factor(x: Reals, y: Reals, dy: Reals) -> Real:
    """Return the gradient by c, Σ_i dy_i y_i (x_i − x̄): the row's share of the gradient of b.

    Its share of the gradient of s is ln n times this.

    Examples
    --------
    >>> vjp_factor([3, 5], [0.5, 0.5], [1, 0])
    -0.5
    """
    return sum(dyi * slope for dyi, slope in zip(dy, by_factor(x, y), strict=True))
