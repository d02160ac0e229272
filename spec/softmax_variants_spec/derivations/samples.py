"""The rows that derivations are evaluated at: fixed ones, and random ones with a fixed seed.

Lengths from 1 to 31; ties, of the extrema too; equal logits of either sign and zeros; logits
from 10^-300 to 10^30, close together far from 0 and far apart; absent entries, masked and −∞.
"""

from __future__ import annotations

import random
from dataclasses import replace
from math import inf, nan
from typing import TYPE_CHECKING

from softmax_variants_spec.derivations.place import Sample
from softmax_variants_spec.formats import BINARY32
from softmax_variants_spec.row import Row
from softmax_variants_spec.variants.sa_softmax import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

__all__ = [
    "attention_samples",
    "family_samples",
    "figure_samples",
    "gated_samples",
    "sample",
    "scaled_samples",
    "softmax_samples",
]

_SCALES = (
    (0.43, 0.0, None),
    (1.0, 0.0, None),
    (-0.75, 0.125, None),
    (0.25, -1.5, 17.5),
    (0.0, 1.5, None),
    (0.0, 0.0, None),
    (2.5, 0.5, 1000),
)
"""s, b and n: of either sign, zero, n given and counted."""


def _rows() -> Iterator[tuple[tuple[float, ...], tuple[bool, ...] | None]]:
    """Yield logits and masks."""
    rng = random.Random("rows of derivations")

    def normal(length: int, spread: float, centre: float = 0.0) -> tuple[float, ...]:
        return tuple(rng.gauss(centre, spread) for _ in range(length))

    def tied(length: int, low: int, high: int) -> tuple[float, ...]:
        return tuple(float(rng.randint(low, high)) for _ in range(length))

    for x in (
        (1.0, 2.0, -1.0, 0.5),
        (0.75,),
        (-3.0,),
        (0.0,),
        (0.0, 0.0),
        (1.0, -2.0),
        (-700.0, 40.0),
        (3.0, 3.0),
        (1e-300, -1e-300),
        (12.0, 0.0, -3.0, -3.0),
        (2.0, 2.0, -1.0, -1.5),
        (0.0, -1.0, -4.0, 0.0),
        (0.0, 5.0, 0.5, 0.0),
        (-1.0, -2.0, -6.0),
        (-1.5, -4.0, -1.25),
        (-2.5,) * 7,
        tied(7, -3, 3),
        normal(7, 1.0),
        normal(7, 20.0),
        normal(7, 300.0),
        normal(7, 0.5, 1000.0),
        normal(7, 1.0, -6.0),
        normal(2, 2.0, -6.0),
        normal(7, 2.0, -9.0),
        normal(4, 3.0, -9.0),
        normal(3, 1.0, -4.0),
        normal(7, 1e-20),
        normal(7, 1e30),
        normal(31, 30.0),
        tied(31, -4, 4),
        tied(7, 1, 3),
    ):
        yield x, None
    yield (3.0, -inf, 1.0, -0.5, -inf, 3.0, -2.0), None
    yield (-inf, -1.0, -2.0, 6.0, nan, -1.0, inf), (True, True, True, True, False, True, False)
    yield (*normal(30, 3.0), -inf), (True,) * 20 + (False,) * 11


_ROWS = tuple(_rows())


def sample(row: Row, **scalars: float | Fraction) -> Sample:
    """Return a row with random numbers for the other letters.

    They are cotangents dy; tangents t, ds and db; a shift a; a query and a key; and relative
    errors theta, phi, psi and omega in units of u, that of float32, and others of κ u and ε.

    Parameters
    ----------
    row
        The row.
    **scalars
        Numbers for letters besides.
    """
    rng = random.Random(repr(row))

    def vector(size: float) -> tuple[float, ...]:
        return tuple(rng.uniform(-size, size) for _ in row.x)

    numbers = {"a": rng.uniform(-9, 9), "ds": rng.uniform(-2, 2), "db": rng.uniform(-2, 2)}
    numbers |= {"omega": rng.uniform(-1, 1), "u": BINARY32.unit_roundoff, "kappa": 8.0}
    numbers |= {"epsilon": rng.uniform(0, 1)}
    sizes = {"dy": 3.0, "t": 2.0, "query": 1.5, "key": 1.5}
    sizes |= {"theta": 1.0, "phi": 1.0, "psi": 1.0}
    vectors = {name: vector(size) for name, size in sizes.items()}
    return Sample(row, vectors, {**numbers, **scalars})


def softmax_samples() -> list[Sample]:
    """Return the rows of softmax."""
    return [sample(Row("softmax", x, where)) for x, where in _ROWS]


def scaled_samples() -> list[Sample]:
    """Return the rows of SSMax, each with two of several scales, biases and counts."""
    return [
        sample(Row("ssmax", x, where, s=s, b=b, n=n))
        for position, (x, where) in enumerate(_ROWS)
        for s, b, n in (_SCALES[position % 7], _SCALES[(3 * position + 2) % 7])
    ]


def attention_samples() -> list[Sample]:
    """Return rows of SSMax in its basic form: s > 0, b = 0, n the number of entries."""
    return [sample(Row("ssmax", x, where, s=s)) for x, where in _ROWS for s in (0.43, 1.0, 0.125)]


def figure_samples() -> list[Sample]:
    """Return rows of one high logit among n − 1 equal ones.

    First those of the first figure of the SSMax paper, −2 and 3 with s = 0.43, for several n.
    """
    lengths = (*range(2, 24), 31, 100)
    rows = [(n, -2.0, 3.0, 0.43) for n in lengths]
    rows += [(7, 10.0, 10.25, 1.0), (31, 0.0, 0.5, 1.0), (2, -300.0, 500.0, 0.125)]
    return [
        sample(Row("ssmax", (*(low,) * (n - 1), high), s=scale)) for n, low, high, scale in rows
    ]


def gated_samples(forms: Sequence[str] = FORMS, *, mirrored: bool = False) -> list[Sample]:
    """Return the rows of SA-Softmax in some of its forms, with the extrema differentiated.

    Parameters
    ----------
    forms
        The forms, each with every row.
    mirrored
        Whether every row comes with the opposite signs as well.
    """
    rows = [*_ROWS]
    if mirrored:
        rows += [(tuple(xi if xi == -inf else -xi for xi in x), where) for x, where in _ROWS]
    return [sample(Row("sa_softmax", x, where, form=form)) for form in forms for x, where in rows]


def detached(samples: Sequence[Sample]) -> list[Sample]:
    """Return the same rows with the extrema taken for constants."""
    return [sample(replace(each.row, detach_extrema=True)) for each in samples]


def equal_samples(forms: Sequence[str]) -> list[Sample]:
    """Return rows of equal logits in some forms; for the ratios, D = 0 in many."""
    rows = [
        Row("sa_softmax", (value,) * length, form=form)
        for form in forms
        for length in (1, 2, 7, 31)
        for value in (0.0, 1.0, 1e-300, 40.0, 0.5, 3.0, -2.0, -1e30, -0.25, -40.0, -1e-300)
    ]
    rows += [
        Row("sa_softmax", (-inf, value, -inf, value, value), form=form)
        for form in forms
        for value in (0.0, 7.0)
    ]
    return [sample(row, epsilon=2.0**-k) for k, row in enumerate(rows)]


def lone_samples() -> list[Sample]:
    """Return rows of one present entry, of every function and form."""
    values = (1.0, -3.0, 0.5, 40.0, -1e30, 1e-300, -0.125)
    rows = [Row("softmax", (value,)) for value in values]
    rows += [Row("ssmax", (-inf, value), s=0.43, b=b) for value in values for b in (0.0, 1.5)]
    rows += [Row("sa_softmax", (value,), form=form) for form in FORMS for value in values]
    return [sample(row) for row in rows]


def family_samples() -> list[Sample]:
    """Return rows of all functions and forms, with the extrema differentiated and detached."""
    gated = gated_samples()
    # Strides without a factor in common with the number of rows: each row comes in some form.
    kept = softmax_samples()[::3] + scaled_samples()[::3]
    kept += gated[::7] + detached(gated)[3::7]
    return [sample(each.row) for each in kept]


def rounded_samples() -> list[Sample]:
    """Return rows of softmax whose logits are float32 numbers, none of them enormous.

    Some of the logits lie so near their maximum, and so far from 0, that differences are exact.
    """
    rng = random.Random("rows of roundings")
    rows = [row for row, _ in _ROWS if all(1e-30 < abs(xi) < 1e4 or xi == 0 for xi in row)]
    rows += [
        tuple(rng.uniform(-1.0, 1.0) * size + centre for _ in range(7))
        for size in (1.0, 90.0, 700.0)
        for centre in (0.0, 1e3, -1e3, 4e4, -60.0, 3e-3)
    ]
    return [sample(Row("softmax", tuple(BINARY32.round(xi) for xi in row))) for row in rows]
