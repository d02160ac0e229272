r"""SA-Softmax (Self-Adjust Softmax): a softmax with a gate that depends on the logits.

The weights of the present logits x of a row are the gate times the softmax,

.. math:: y_i = r_i\,p_i, \qquad p_i = \frac{e^{x_i}}{\sum_j e^{x_j}},
          \qquad r_i = \frac{x_i - \lambda}{D}.

With m and M the smallest and largest present logit, the forms are

==============  ================  =============================  ==============================
form            λ                 D                              gate
==============  ================  =============================  ==============================
``plain``       0                 1                              x_i
``shifted``     m                 1                              x_i − m
``minmax``      m                 M − m                          in [0, 1], 0 at m, 1 at M
``normalized``  min(m, 0)         max(M, 0) − min(m, 0)          minmax's of the row with a 0
==============  ================  =============================  ==============================

``normalized`` is the default. Its clamps mean: the extrema of the row with a 0 appended. The
weights do not sum to 1; those of the last two forms sum to at most 1.

**Zero denominators.** D = 0 for ``minmax`` on equal logits and for ``normalized`` on zeros. No
value there is a continuous extension (equal logits c give ``normalized`` weights 1/n for c > 0 and
0 for c < 0). The weights are 0 by definition here, the limit that any ε > 0 added to D gives,
and so, by convention, is the gradient.

**Derivatives.** Write λ'_j = ∂λ/∂x_j and D'_j = ∂D/∂x_j. The gate has
∂r_i/∂x_j = (δ_ij − λ'_j)/D − r_i D'_j/D, and with softmax's own Jacobian p_i (δ_ij − p_j)

.. math:: J_{ij} = p_i \Big[\frac{\delta_{ij} - \lambda'_j}{D} - r_i \frac{D'_j}{D}
                   + r_i (\delta_{ij} - p_j)\Big].

Summing over i against cotangents dy gives the vector-Jacobian product, with S_p = Σ dy_i p_i and
S_y = Σ dy_i y_i:

.. math:: dx_j = \frac{dy_j p_j}{D} - \lambda'_j \frac{S_p}{D} - D'_j \frac{S_y}{D}
                 + dy_j y_j - p_j S_y.

**Ties.** m is not differentiable where several logits attain it. Its derivative is split evenly:
λ'_j = 1/k at each of the k minimizers and 0 elsewhere, the mean of the one-sided choices and
the only one in their convex hull that permuting the entries leaves alone. Likewise for M. In
``normalized`` the extrema are those of the row *with the 0 appended*, so that 0 takes a share
too: where m = 0 is attained by k logits, λ = min(m, 0) has k + 1 minimizers and each of the k
gets λ'_j = 1/(k+1); where m > 0, the appended 0 is the only one and λ' = 0.
D'_j = 0 for ``plain`` and ``shifted``, and M'_j − λ'_j for the other two.

**What the extrema's derivatives are for.** Let l be the only maximizer, with M > 0, of
``normalized``. There r_l = 1, λ'_l = 0 and D'_l = 1, so the first two terms of J_ll,
p_l [1/D − 1·1/D], cancel and J_ll = p_l (1 − p_l): exactly softmax's. With the extrema
detached (λ' = D' = 0), J_ll = p_l (1/D + 1 − p_l), which does not vanish as p_l → 1. With two
maximizers D'_l = 1/2 and the terms do not cancel: (2, 2, −1) has J_00 = 0.331 while
p_0 (1 − p_0) = 0.250.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from softmax_variants_spec.variants import softmax
from softmax_variants_spec.variants._sa_softmax_special_values import SPECIAL_VALUES

if TYPE_CHECKING:
    from softmax_variants_spec.variants._real import Real, Reals

__all__ = [
    "FORMS",
    "PROVENANCE",
    "SPECIAL_VALUES",
    "Gate",
    "gate",
    "jacobian",
    "jvp",
    "vjp",
    "weights",
]

FORMS = ("plain", "shifted", "minmax", "normalized")
"""Names of the gates."""

PROVENANCE = (
    "'Self-Adjust Softmax', arXiv:2502.18277 (EMNLP 2025, main 397). Its abstract gives the forms "
    "named here plain and normalized; that normalized is the paper's default, and that it has "
    "further variants, is known from a public summary. The formulas of shifted and minmax follow "
    "secondary sources and are not confirmed against the paper. Zero denominators, ties and the "
    "treatment of extrema as constants are not known from the paper: they are defined here. The "
    "derivatives are derived above."
)
"""Where the formulas come from, and how firmly each of them stands."""


@dataclass(frozen=True)
class Gate:
    """The gate r(x_i) = (x_i − λ)/D of a row, and the entries that its parts move with."""

    offset: Real
    """λ."""
    denominator: Real
    """D."""
    minimizers: tuple[int, ...]
    """Entries with λ'_j ≠ 0."""
    minimum_shared_by: int
    """k with λ'_j = 1/k at the minimizers; it counts the appended 0."""
    maximizers: tuple[int, ...]
    """Entries with M'_j ≠ 0."""
    maximum_shared_by: int
    """k with M'_j = 1/k at the maximizers; it counts the appended 0."""
    is_ratio: bool
    """Whether D is M − λ, which moves with both extrema, or is 1."""

    def __call__(self, xi: Real) -> Real:
        """Return the gate of a logit."""
        return (xi - self.offset) / self.denominator


def gate(x: Reals, form: str = "normalized", *, detach_extrema: bool = False) -> Gate:
    """Return the gate of a row.

    Parameters
    ----------
    x
        Present logits of a row, at least one.
    form
        One of `FORMS`.
    detach_extrema
        Treat m and M as constants: no entry moves λ and D.

    Raises
    ------
    ValueError
        If there is no such form.

    Examples
    --------
    >>> normalized = gate([1, 3, 3])
    >>> normalized.offset, normalized.denominator, normalized.minimizers, normalized.maximizers
    (0, 3, (), (1, 2))
    """
    if form == "plain":
        return Gate(0, 1, (), 1, (), 1, is_ratio=False)
    if form not in FORMS:
        msg = f"form must be one of {FORMS}, got {form!r}"
        raise ValueError(msg)
    appended = [0] if form == "normalized" else []
    low, high = min([*x, *appended]), max([*x, *appended])
    minimizers = tuple(i for i, xi in enumerate(x) if xi == low)
    maximizers = tuple(i for i, xi in enumerate(x) if xi == high)
    is_ratio = form != "shifted"
    return Gate(
        offset=low,
        denominator=high - low if is_ratio else 1,
        minimizers=() if detach_extrema else minimizers,
        minimum_shared_by=len(minimizers) + appended.count(low),
        maximizers=maximizers if is_ratio and not detach_extrema else (),
        maximum_shared_by=len(maximizers) + appended.count(high),
        is_ratio=is_ratio,
    )


def weights(x: Reals, p: Reals, r: Gate) -> list[Real]:
    """Return y_i = r(x_i) p_i, or zeros where D = 0.

    Parameters
    ----------
    x
        Present logits of a row.
    p
        Their softmax, as `softmax.weights` returns it.
    r
        The row's gate.

    Examples
    --------
    >>> weights([-1, 1], [0.25, 0.75], gate([-1, 1]))
    [0.0, 0.75]
    """
    if r.denominator == 0:
        return [0 * pi for pi in p]
    return [r(xi) * pi for xi, pi in zip(x, p, strict=True)]


def jacobian(x: Reals, p: Reals, r: Gate) -> list[list[Real]]:
    """Return the matrix ∂y_i/∂x_j, row i first: the formula of this module, entry by entry.

    Parameters
    ----------
    x
        Present logits of a row.
    p
        Their softmax, as `softmax.weights` returns it.
    r
        The row's gate.

    Examples
    --------
    >>> from fractions import Fraction
    >>> x, half = [Fraction(1), Fraction(1)], Fraction(1, 2)
    >>> [[str(entry) for entry in row] for row in jacobian(x, [half, half], gate(x, "plain"))]
    [['3/4', '-1/4'], ['-1/4', '3/4']]
    """
    if r.denominator == 0:
        return [[0 * pi for _ in p] for pi in p]
    indices = range(len(p))
    one = p[0] * 0 + 1  # in the arithmetic of p, where the quotient of two ints would be a float
    offset_slope = [one * (j in r.minimizers) / r.minimum_shared_by for j in indices]
    maximum_slope = [one * (j in r.maximizers) / r.maximum_shared_by for j in indices]
    slope = [maximum_slope[j] - offset_slope[j] if r.is_ratio else 0 for j in indices]
    return [
        [
            p[i]
            * (
                ((i == j) - offset_slope[j]) / r.denominator
                - r(x[i]) * slope[j] / r.denominator
                + r(x[i]) * ((i == j) - p[j])
            )
            for j in indices
        ]
        for i in indices
    ]


def vjp(p: Reals, y: Reals, r: Gate, dy: Reals) -> list[Real]:
    """Return the gradient Σ_i dy_i ∂y_i/∂x_j, or zeros where D = 0.

    Parameters
    ----------
    p
        Softmax of the row's logits, as `softmax.weights` returns it.
    y
        Their weights, as `weights` returns them.
    r
        The row's gate.
    dy
        Cotangents, one a weight.

    Examples
    --------
    >>> from fractions import Fraction
    >>> half = Fraction(1, 2)
    >>> [str(g) for g in vjp([half, half], [half, half], gate([1, 1], "plain"), [1, 0])]
    ['3/4', '-1/4']
    """
    d = r.denominator
    if d == 0:
        return [0 * pj for pj in p]
    sum_p = sum(dyi * pi for dyi, pi in zip(dy, p, strict=True))
    sum_y = sum(dyi * yi for dyi, yi in zip(dy, y, strict=True))
    # The gate's own derivative, extrema included; its terms come first so that in a row of one
    # entry, where p = 1 and the sums have one term, they cancel exactly.
    dx = [dyj * pj / d for dyj, pj in zip(dy, p, strict=True)]
    for j in r.minimizers:
        dx[j] -= (sum_p - sum_y if r.is_ratio else sum_p) / (d * r.minimum_shared_by)
    for j in r.maximizers:
        dx[j] -= sum_y / (d * r.maximum_shared_by)
    return [dxj + (dyj * yj - pj * sum_y) for dxj, dyj, yj, pj in zip(dx, dy, y, p, strict=True)]


def jvp(x: Reals, p: Reals, r: Gate, dx: Reals) -> list[Real]:
    """Return the derivative of the weights along dx, or zeros where D = 0.

    Parameters
    ----------
    x
        Present logits of a row.
    p
        Their softmax, as `softmax.weights` returns it.
    r
        The row's gate.
    dx
        Tangents, one a logit.

    Notes
    -----
    The product rule on r_i p_i: the gate's derivative (dx_i − dλ)/D − r_i dD/D, times p_i, plus
    r_i times softmax's.

    Examples
    --------
    >>> from fractions import Fraction
    >>> x, half = [Fraction(1), Fraction(1)], Fraction(1, 2)
    >>> [str(t) for t in jvp(x, [half, half], gate(x, "plain"), [1, 0])]
    ['3/4', '-1/4']
    """
    if r.denominator == 0:
        return [0 * pi for pi in p]
    zero = p[0] * 0  # in the arithmetic of p, where the quotient of two ints would be a float
    d_offset = sum((dx[j] for j in r.minimizers), zero) / r.minimum_shared_by
    d_maximum = sum((dx[j] for j in r.maximizers), zero) / r.maximum_shared_by
    d_denominator = d_maximum - d_offset if r.is_ratio else 0
    return [
        pi * ((dxi - d_offset) / r.denominator - r(xi) * d_denominator / r.denominator)
        + r(xi) * dpi
        for xi, pi, dxi, dpi in zip(x, p, dx, softmax.jvp(p, dx), strict=True)
    ]
