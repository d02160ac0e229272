"""Expression trees: what they render reads as what they evaluate, and slopes are derivatives."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from mpmath import mp, mpf

from derivation_support.latex_reader import READABLE, read
from derivation_support.trees import nodes
from softmax_variants_spec.derivations import DERIVATIONS
from softmax_variants_spec.derivations.entries import maximum, minimum, over
from softmax_variants_spec.derivations.expression import Direction, Index, lift
from softmax_variants_spec.derivations.functions import Detached, absolute, bracket, exp, ln
from softmax_variants_spec.derivations.letters import Number, Rate, Vector
from softmax_variants_spec.derivations.place import Place, Sample
from softmax_variants_spec.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from softmax_variants_spec.derivations.expression import Expression

i, j, k = Index("i"), Index("j"), Index("k")
x, t, n, s = Vector("x"), Vector("t"), Number("n"), Number("s")
THIRD = Fraction(1, 3)
every_derivation = pytest.mark.parametrize("key", DERIVATIONS)


@pytest.fixture(autouse=True)
def _seventy_five_digits() -> Iterator[None]:
    with mp.workdps(75):
        yield


def sides_of(key: str) -> list[Expression]:
    equations = DERIVATIONS[key].equations()
    return [side for equation in equations for side in (equation.left, equation.right)]


def is_readable(side: Expression) -> bool:
    return bool(READABLE.match(side.latex()))


def test_most_of_the_latex_can_be_read_back() -> None:
    # All but derivatives, limits and values at 0, whose bodies occur elsewhere.
    sides = [side for key in DERIVATIONS for side in sides_of(key)]
    assert sum(map(is_readable, sides)) > 0.8 * len(sides)


@every_derivation
def test_latex_reads_as_what_is_evaluated(key: str) -> None:
    derivation = DERIVATIONS[key]
    few = [sample for sample in derivation.samples if len(sample.row.present) in (3, 4, 7)]
    for place in map(Place, few[:15:5] or derivation.samples[:2]):
        for side in filter(is_readable, sides_of(key)):
            meaning = read(side.latex(), side, place)
            last = len(place.indices) - 1
            for values in ([0] * len(side.free), [min(v, last) for v in range(len(side.free))]):
                bound = dict(zip(side.free, values, strict=True))
                try:
                    value = side.value(place, bound)
                except ZeroDivisionError:
                    continue  # where the condition of the step does not hold
                shown = meaning({index.name: number for index, number in bound.items()})
                assert abs(value - shown) <= mpf(10) ** -40 * max(1, abs(value)), side.latex()


@every_derivation
def test_no_index_is_bound_twice_on_the_way_down(key: str) -> None:
    for side in sides_of(key):
        for node in nodes(side):
            for below in nodes(node):
                assert below is node or not {*node._own()} & {*below._own()}, side.latex()


def at(logits: tuple[float, ...], **scalars: float) -> Place:
    tangents = tuple(range(1, len(logits) + 1))
    row = Row("ssmax", logits, s=0.5)
    return Place(Sample(row, {"t": tangents}, {"ds": 3.0, "db": -1.0, **scalars}))


TREES = {
    "quotient": exp(x[i]) / over(k, exp(x[k])),
    "power": n ** (s * x[i]) + x[i] ** 3,
    "logarithm": ln(over(k, exp(s * x[k]), without=i)) - 2 * x[i],
    "extrema": (x[i] - minimum(k, x[k]))
    / (maximum(k, x[k]) - minimum(k, x[k], appended_zero=True)),
    "negative": -(s * x[i]) * (1 - x[i]),
    "detached": Detached(lift(2)) * x[i],
}


@pytest.mark.parametrize("name", TREES)
def test_slopes_are_derivatives(name: str) -> None:
    logits = (0.5, -1.25, 2.0)
    tree = TREES[name]
    for entry in range(3):
        for by in range(3):

            def shifted(v: Any, entry: int = entry, by: int = by) -> Any:
                place = at(logits)
                place.vector("x")[by] = v
                return tree.value(place, {i: entry})

            got = tree.slope(at(logits), {i: entry}, Direction("x", by))
            assert abs(got - mp.diff(shifted, mpf(logits[by]))) < mpf(10) ** -30

        def scaled(v: Any, entry: int = entry) -> Any:
            return tree.value(at(logits).replacing("s", v), {i: entry})

        got = tree.slope(at(logits), {i: entry}, Direction("s"))
        assert abs(got - mp.diff(scaled, mpf("0.5"))) < mpf(10) ** -30


def test_a_rate_is_the_slope_along_the_tangents() -> None:
    tree = s * x[i] ** 2 + Number("b")
    # s x², along t = 2, ds = 3 and db = −1: 3·4 + 0.5·2·2·2 − 1.
    assert Rate(tree).value(at((1.0, 2.0)), {i: 1}) == 15


@pytest.mark.parametrize(
    ("logits", "tree", "slopes"),
    [
        ((1.0, 1.0, 3.0), minimum(k, x[k]), (0.5, 0.5, 0)),
        ((1.0, 3.0, 3.0, 3.0), maximum(k, x[k]), (0, THIRD, THIRD, THIRD)),
        ((0.0, 0.0, 3.0), minimum(k, x[k], appended_zero=True), (THIRD, THIRD, 0)),
        ((1.0, 2.0), minimum(k, x[k], appended_zero=True), (0, 0)),
        ((1.0, 1.0), Detached(minimum(k, x[k])), (0, 0)),
    ],
    ids=["minimum", "maximum", "appended", "appended-only", "detached"],
)
def test_extrema_share_their_slope(
    logits: tuple[float, ...], tree: Expression, slopes: tuple[Any, ...]
) -> None:
    place = at(logits)
    got = [tree.slope(place, {}, Direction("x", by)) for by in range(len(logits))]
    assert all(abs(a - mp.convert(b)) < mpf(10) ** -70 for a, b in zip(got, slopes, strict=True))


def test_what_has_no_slope_says_so() -> None:
    for tree in (absolute(x[i]), bracket(x[i], "=", 0), Rate(x[i])):
        with pytest.raises(TypeError, match="is not differentiated"):
            tree.slope(at((1.0,)), {i: 0}, Direction("x", 0))


@pytest.mark.parametrize(
    ("tree", "latex"),
    [
        (x[i] - (x[j] - 1), r"x_{i} - \left(x_{j} - 1\right)"),
        (x[i] + x[j] - 1, r"x_{i} + x_{j} - 1"),
        (-s * (x[i] + 1), r"-s \, \left(x_{i} + 1\right)"),
        ((x[i] + 1) ** 2, r"\left(x_{i} + 1\right)^{2}"),
        (over(k, x[k]) * s, r"\left(\sum_{k} x_{k}\right) \, s"),
        (over(k, x[k] + 1), r"\sum_{k} \left(x_{k} + 1\right)"),
        (ln(s * n), r"\ln \, \left(s \, n\right)"),
        (lift(-2), "-2"),
        (1 - lift(-2), r"1 - \left(-2\right)"),
    ],
)
def test_brackets(tree: Expression, latex: str) -> None:
    assert tree.latex() == latex
