r"""Softmax: exponentials of the logits, divided by their sum.

The weights of the present logits x of a row are

.. math:: p_i = \frac{e^{x_i}}{\sum_j e^{x_j}}.

They are positive and sum to 1, and they do not change when the same number is added to every
logit.

The functions here carry a factor c, by which all logits are multiplied, because every variant
of the family is a softmax of c·x with a gate before it. Softmax itself has c = 1.

**Derivatives.** From ln p_i = c x_i − ln Σ_j exp(c x_j) follows ∂ ln p_i / ∂x_j = c (δ_ij − p_j),
and with it

.. math:: J_{ij} = \frac{\partial p_i}{\partial x_j} = c\,p_i (\delta_{ij} - p_j),

which is symmetric. So the vector-Jacobian product and the Jacobian-vector product are the same
map: a tangent's deviation from its mean under p, times c p.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpmath import mp

from softmax_variants_spec.variants._conventions import conventions

if TYPE_CHECKING:
    from softmax_variants_spec.variants._real import Real, Reals

__all__ = ["PROVENANCE", "SPECIAL_VALUES", "jacobian", "jvp", "vjp", "weights"]

PROVENANCE = (
    "Softmax is classical: the Boltzmann distribution; named by J. S. Bridle, 'Probabilistic "
    "Interpretation of Feedforward Classification Network Outputs' (1990). Its Jacobian is derived "
    "above. For the rounding errors of its algorithms see P. Blanchard, D. J. Higham and N. J. "
    "Higham, 'Accurately computing the log-sum-exp and softmax functions', IMA J. Numer. Anal. "
    "(2021), arXiv:1909.03469."
)
"""Where the formulas come from, and how firmly each of them stands."""

SPECIAL_VALUES = conventions("softmax")
"""Sentences about special values, each with its check."""


def weights(x: Reals, c: Real = 1) -> list[Real]:
    """Return p_i = exp(c x_i) / Σ_j exp(c x_j).

    Parameters
    ----------
    x
        Present logits of a row, at least one.
    c
        Factor of the logits; any real number.

    Returns
    -------
    list
        One weight a logit.

    Examples
    --------
    >>> from mpmath import mpf
    >>> [float(p) for p in weights([mpf(0), mpf(0)])]
    [0.5, 0.5]
    """
    # Any v leaves the quotient unchanged. This one makes every exponential at most 1 and one of
    # them equal to 1, so that the exponents in use are differences, which cancel least.
    v = top(x, c)
    e = [mp.exp(c * (xi - v)) for xi in x]
    total = sum(e)
    return [ei / total for ei in e]


def top(x: Reals, c: Real = 1) -> Real:
    """Return the logit v of the largest weight: the maximum of x, or for c < 0 the minimum.

    Examples
    --------
    >>> top([1, 3, 2]), top([1, 3, 2], -1)
    (3, 1)
    """
    return max(x) if c >= 0 else min(x)


def jacobian(p: Reals, c: Real = 1) -> list[list[Real]]:
    """Return the matrix ∂p_i/∂x_j = c p_i (δ_ij − p_j), row i first.

    Parameters
    ----------
    p
        The weights, as `weights` returns them.
    c
        Factor of the logits.

    Examples
    --------
    >>> from fractions import Fraction
    >>> [[str(entry) for entry in row] for row in jacobian([Fraction(1, 4), Fraction(3, 4)])]
    [['3/16', '-3/16'], ['-3/16', '3/16']]
    """
    return [[c * pi * ((i == j) - pj) for j, pj in enumerate(p)] for i, pi in enumerate(p)]


def vjp(p: Reals, dy: Reals, c: Real = 1) -> list[Real]:
    """Return the gradient Σ_i dy_i ∂p_i/∂x_j = c p_j (dy_j − Σ_i dy_i p_i).

    Parameters
    ----------
    p
        The weights, as `weights` returns them.
    dy
        Cotangents, one a weight.
    c
        Factor of the logits.

    Examples
    --------
    >>> from fractions import Fraction
    >>> [str(g) for g in vjp([Fraction(1, 4), Fraction(3, 4)], [1, 0])]
    ['3/16', '-3/16']
    """
    mean = sum(pi * dyi for pi, dyi in zip(p, dy, strict=True))
    return [c * pj * (dyj - mean) for pj, dyj in zip(p, dy, strict=True)]


def jvp(p: Reals, dx: Reals, c: Real = 1) -> list[Real]:
    """Return the derivative of the weights along dx: c p_i (dx_i − Σ_j p_j dx_j).

    Parameters
    ----------
    p
        The weights, as `weights` returns them.
    dx
        Tangents, one a logit.
    c
        Factor of the logits.

    Examples
    --------
    >>> from fractions import Fraction
    >>> [str(g) for g in jvp([Fraction(1, 4), Fraction(3, 4)], [0, 2])]
    ['-3/8', '3/8']
    """
    # The Jacobian is symmetric.
    return vjp(p, dx, c)
