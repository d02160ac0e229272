"""Derivations whose every displayed equation is also evaluated.

An equation here is a pair of expression trees. From the one tree come both its LaTeX and its value
at a row, so that what a page shows is what was checked: no formula is typed beside another one
that stands for it in a test. Derivatives in a tree are evaluated by forward differentiation of the
tree, and where a derivation ends in something that the reference computes (weights, Jacobians,
products), that end is evaluated by the reference itself.

For readers and for whoever renders pages:

- `DERIVATIONS`: ``dict[str, Derivation]``, in reading order, by keys as ``"softmax/jacobian"``:
  the variant or topic, a slash, the matter. Topics: ``softmax``, ``ssmax``, ``sa_softmax``,
  ``family``, ``rounding``.
- `Derivation`: ``title`` (a few words), ``statement`` (sentences, mathematics in them in
  Unicode), ``claims`` (the equations that the statement is about: a tuple of `Step`), ``domain``
  (the rows that it holds for, a phrase), ``steps`` (a tuple of `Step` and `Prose`, in order).
  ``chains()`` groups the steps for display: a list of tuples, each either one `Prose` or `Step`s
  that continue each other; ``latex_steps()`` gives one LaTeX string a `Step`, where one that
  continues the previous starts at its relation sign (``= …``); ``prose_steps()`` lists the
  `Prose`: what is said and not evaluated.
- `Step`: ``latex()`` (``left = right``, without delimiters), ``latex_right()`` (``= right``),
  ``justification`` (a sentence, Markdown with mathematics in Unicode), ``relation`` (``"="``,
  ``"≤"``, ``"≥"``, ``"<"``, ``">"``), ``condition`` (a phrase such as "c > 0", or "") and
  ``latex_condition()``.
- `Prose`: ``text`` (a sentence or more).
- `check`: evaluates a derivation; `Checked` tells how many rows each step was evaluated at, and
  every difference. ``python -m softmax_variants_spec.derivations`` prints them all.

Indices run over the present entries of a row, and so do sums and extrema (S2).
"""

from __future__ import annotations

from softmax_variants_spec.derivations import (
    family,
    largest_weight,
    rounding,
    rounding_weights,
    sa_softmax,
    sa_softmax_order,
    sa_softmax_products,
    sa_softmax_ratios,
    sa_softmax_theorem,
    softmax,
    ssmax,
)
from softmax_variants_spec.derivations.checking import LEAST_ROWS, Checked, CheckedStep, check
from softmax_variants_spec.derivations.derivation import Derivation, Prose, Step

__all__ = [
    "DERIVATIONS",
    "LEAST_ROWS",
    "Checked",
    "CheckedStep",
    "Derivation",
    "Prose",
    "Step",
    "check",
]

DERIVATIONS: dict[str, Derivation] = {
    **softmax.DERIVATIONS,
    **largest_weight.SOFTMAX,
    **ssmax.DERIVATIONS,
    **largest_weight.SSMAX,
    **sa_softmax.DERIVATIONS,
    **sa_softmax_products.DERIVATIONS,
    **sa_softmax_ratios.DERIVATIONS,
    **sa_softmax_theorem.DERIVATIONS,
    **sa_softmax_order.DERIVATIONS,
    **family.DERIVATIONS,
    **rounding.DERIVATIONS,
    **rounding_weights.DERIVATIONS,
}
"""Every derivation by its key, in reading order."""
