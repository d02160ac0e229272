"""The formulas of the variants: known values, Jacobians against differentiation, and theorems."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
import sympy
from mpmath import mp, mpf

from softmax_variants_spec.variants import sa_softmax, softmax, ssmax
from softmax_variants_spec.variants.sa_softmax import FORMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# SymPy, which computes with mpmath, calls a function that mpmath 1.4 deprecates.
symbolic = pytest.mark.filterwarnings("ignore:bitcount function is deprecated:DeprecationWarning")
every_form = pytest.mark.parametrize("form", FORMS)
extrema = pytest.mark.parametrize("detached", [False, True], ids=["through", "detached"])


@pytest.fixture(autouse=True)
def _sixty_digits() -> Iterator[None]:
    with mp.workdps(60):
        yield


def sa_weights(x: list[Any], form: str) -> list[Any]:
    return sa_softmax.weights(x, softmax.weights(x), sa_softmax.gate(x, form))


def assert_close(got: list[Any], expected: list[Any], tolerance: Any) -> None:
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert abs(a - b) <= tolerance


def flat(matrix: list[list[Any]]) -> list[Any]:
    return [entry for row in matrix for entry in row]


def differentiate(function: Callable[[list[Any]], list[Any]], x: list[Any]) -> list[list[Any]]:
    """Return the Jacobian of a function by high-precision numerical differentiation."""

    def component(i: int, j: int) -> Any:
        return mp.diff(lambda t: function([*x[:j], t, *x[j + 1 :]])[i], x[j])

    return [[component(i, j) for j in range(len(x))] for i in range(len(x))]


def rows_without_ties(seed: str) -> list[list[Any]]:
    rng = random.Random(seed)
    lengths = (1, 2, 3, 5)
    return [
        [mpf(v) for v in rng.sample([k / 8 + centre for k in range(-40, 41) if k], length)]
        for length in lengths
        for centre in (0.0, 20.0625, -20.0625)
    ]


GOLDEN = {
    "softmax": (
        "0.2242078180482011404406798",
        "0.6094600375988771187543288",
        "0.03034322855941622435452706",
        "0.1359889157935055164504644",
    ),
    "plain": (
        "0.2242078180482011404406798",
        "1.218920075197754237508658",
        "-0.03034322855941622435452706",
        "0.0679944578967527582252322",
    ),
    "shifted": (
        "0.4484156360964022808813596",
        "1.828380112796631356262986",
        "0",
        "0.2039833736902582746756966",
    ),
    "minmax": (
        "0.1494718786988007602937865",
        "0.6094600375988771187543288",
        "0",
        "0.0679944578967527582252322",
    ),
}
GOLDEN["normalized"] = GOLDEN["minmax"]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_row(name: str) -> None:
    x = [mpf(1), mpf(2), mpf(-1), mpf("0.5")]
    got = softmax.weights(x) if name == "softmax" else sa_weights(x, name)
    assert_close(got, [mpf(digits) for digits in GOLDEN[name]], mpf(10) ** -24)


def test_the_golden_row_of_ssmax() -> None:
    x = [mpf(1), mpf(2), mpf(-1), mpf("0.5")]
    got = ssmax.weights(x, ssmax.factor(mpf("0.43"), 0, 4))
    digits = (
        "0.2590104009212928",
        "0.4701138005249017",
        "0.0786222759509360",
        "0.1922535226028696",
    )
    assert_close(got, [mpf(d) for d in digits], mpf(10) ** -16)
    # s = 1 makes them the powers 4^x, up to their sum.
    got = ssmax.weights(x, ssmax.factor(1, 0, 4))
    assert_close(got, [mpf(k) / 89 for k in (16, 64, 1, 8)], mpf(10) ** -58)


@pytest.mark.parametrize(
    ("n", "of_softmax", "of_ssmax"),
    [
        (10, "0.942826", "0.940101"),
        (100, "0.599860", "0.995063"),
        (10**3, "0.129346", "0.999646"),
        (10**4, "0.0146257", "0.99997488"),
        (10**5, "0.00148195", "0.99999822"),
        (10**6, "0.000148391", "0.99999987"),
    ],
)
def test_one_high_logit_among_n(n: int, of_softmax: str, of_ssmax: str) -> None:
    # The setting of the SSMax paper's first figure: n − 1 logits −2, one 3, s = 0.43. The equal
    # ones stand together here, so that a million of them costs no more than two.
    def largest(c: Any) -> Any:
        low, high = softmax.weights([mpf(-2), mpf(3)], c)
        return high / (high + (n - 1) * low)

    for got, digits in (
        (largest(1), of_softmax),
        (largest(ssmax.factor(mpf("0.43"), 0, n)), of_ssmax),
    ):
        places = len(digits) - 2
        assert abs(got - mpf(digits)) <= mpf(10) ** -places / 2
    if n <= 100:
        x = [mpf(-2)] * (n - 1) + [mpf(3)]
        assert abs(softmax.weights(x)[-1] - largest(1)) < mpf(10) ** -58


@pytest.mark.parametrize("c", ["1", "-2.5", "0.75"])
def test_the_jacobian_of_softmax_is_its_derivative(c: str) -> None:
    for x in rows_without_ties(f"softmax {c}"):
        factor = mpf(c)
        expected = differentiate(lambda x, c=factor: softmax.weights(x, c), x)
        got = softmax.jacobian(softmax.weights(x, factor), factor)
        assert_close(flat(got), flat(expected), mpf(10) ** -40)
        assert ssmax.jacobian(ssmax.weights(x, factor), factor) == got


@every_form
def test_the_jacobian_of_sa_softmax_is_its_derivative(form: str) -> None:
    for x in rows_without_ties(form):
        gate = sa_softmax.gate(x, form)
        if gate.denominator == 0:
            # One entry of minmax.
            assert sa_softmax.jacobian(x, [mpf(1)], gate) == [[0]]
            continue
        expected = differentiate(lambda x: sa_weights(x, form), x)
        got = sa_softmax.jacobian(x, softmax.weights(x), gate)
        assert_close(flat(got), flat(expected), mpf(10) ** -40)


@every_form
def test_the_detached_jacobian_holds_the_gate_constant(form: str) -> None:
    for x in rows_without_ties(f"detached {form}"):
        gate = sa_softmax.gate(x, form, detach_extrema=True)
        if gate.denominator == 0:
            continue

        def of_constant_extrema(x: list[Any], gate: sa_softmax.Gate = gate) -> list[Any]:
            return sa_softmax.weights(x, softmax.weights(x), gate)

        expected = differentiate(of_constant_extrema, x)
        got = sa_softmax.jacobian(x, softmax.weights(x), gate)
        assert_close(flat(got), flat(expected), mpf(10) ** -40)


def test_derivatives_by_the_parameters_of_ssmax() -> None:
    rng = random.Random(7)
    for n in (1, 2, 5, mpf("0.3"), 10**6):
        x = [mpf(rng.gauss(0, 3)) for _ in range(4)]
        s, b = mpf(rng.gauss(0, 1)), mpf(rng.gauss(0, 1))
        y = ssmax.weights(x, ssmax.factor(s, b, n))

        def weight(parameters: list[Any], i: int, n: Any = n, x: list[Any] = x) -> Any:
            return ssmax.weights(x, ssmax.factor(*parameters, n))[i]

        by_s = [mp.diff(lambda t, i=i, b=b: weight([t, b], i), s) for i in range(4)]
        by_b = [mp.diff(lambda t, i=i, s=s: weight([s, t], i), b) for i in range(4)]
        assert_close(ssmax.by_scale(x, y, n), by_s, mpf(10) ** -40)
        assert_close(ssmax.by_factor(x, y), by_b, mpf(10) ** -40)
        dy = [mpf(rng.gauss(0, 1)) for _ in range(4)]
        db = sum(d * slope for d, slope in zip(dy, by_b, strict=True))
        assert abs(ssmax.vjp_factor(x, y, dy) - db) <= mpf(10) ** -40


def symbolic_gate(x: list[sympy.Symbol], order: list[int], form: str) -> list[Any]:
    """Return the gates of a row whose extrema are its first and last entries in `order`."""
    m, largest = x[order[0]], x[order[-1]]
    if form == "plain":
        return list(x)
    if form == "shifted":
        return [xi - m for xi in x]
    # Normalized is minmax where m < 0 < M, as in the rows below.
    return [(xi - m) / (largest - m) for xi in x]


@symbolic
@every_form
def test_jacobians_agree_with_symbolic_differentiation(form: str) -> None:
    symbols = list(sympy.symbols("x0 x1 x2", real=True))
    total = sum(sympy.exp(xi) for xi in symbols)
    for values in ((1, -2, Fraction(1, 2)), (Fraction(-3, 4), Fraction(1, 4), 2)):
        order = sorted(range(3), key=values.__getitem__)
        gates = symbolic_gate(symbols, order, form)
        weights = [r * sympy.exp(xi) / total for r, xi in zip(gates, symbols, strict=True)]
        at = {
            symbol: sympy.Rational(Fraction(value).numerator, Fraction(value).denominator)
            for symbol, value in zip(symbols, values, strict=True)
        }
        expected = [
            mpf(str(sympy.diff(weights[i], symbols[j]).subs(at).evalf(50)))
            for i in range(3)
            for j in range(3)
        ]
        x = [mpf(Fraction(v).numerator) / Fraction(v).denominator for v in values]
        got = sa_softmax.jacobian(x, softmax.weights(x), sa_softmax.gate(x, form))
        assert_close(flat(got), expected, mpf(10) ** -45)


@symbolic
def test_softmax_and_ssmax_agree_with_symbolic_differentiation() -> None:
    symbols = list(sympy.symbols("x0 x1 x2", real=True))
    s, b = sympy.symbols("s b", real=True)
    c = s * sympy.log(3) + b
    total = sum(sympy.exp(c * xi) for xi in symbols)
    weights = [sympy.exp(c * xi) / total for xi in symbols]
    values = (Fraction(1), Fraction(-2), Fraction(1, 2))
    at: dict[Any, Any] = {s: sympy.Rational(3, 4), b: sympy.Rational(-1, 8)}
    at |= {
        symbol: sympy.Rational(v.numerator, v.denominator)
        for symbol, v in zip(symbols, values, strict=True)
    }

    def value(expression: Any) -> Any:
        return mpf(str(expression.subs(at).evalf(50)))

    x = [mpf(v.numerator) / v.denominator for v in values]
    factor = ssmax.factor(mpf("0.75"), mpf("-0.125"), 3)
    y = ssmax.weights(x, factor)
    expected = [value(sympy.diff(w, xj)) for w in weights for xj in symbols]
    assert_close(flat(ssmax.jacobian(y, factor)), expected, mpf(10) ** -45)
    by_s = [value(sympy.diff(w, s)) for w in weights]
    by_b = [value(sympy.diff(w, b)) for w in weights]
    assert_close(ssmax.by_scale(x, y, 3), by_s, mpf(10) ** -45)
    assert_close(ssmax.by_factor(x, y), by_b, mpf(10) ** -45)


def rows_with_ties(seed: str) -> list[list[Any]]:
    rng = random.Random(seed)
    pools = ([-2, -1, 0, 0, 1], [0, 0, 1], [-1, 0, 0], [3, 3, 1], [-3, -3, -1], [0.5, 7, -0.25])
    return [
        [mpf(rng.choice(pool)) for _ in range(rng.randint(1, 6))]
        for pool in pools
        for _ in range(8)
    ]


@every_form
@extrema
def test_products_are_those_with_the_jacobian(form: str, *, detached: bool) -> None:
    rng = random.Random(f"products {form}")
    for x in rows_with_ties(form) + rows_without_ties(form):
        p, gate = softmax.weights(x), sa_softmax.gate(x, form, detach_extrema=detached)
        y = sa_softmax.weights(x, p, gate)
        jacobian = sa_softmax.jacobian(x, p, gate)
        v = [mpf(rng.gauss(0, 2)) for _ in x]
        indices = range(len(x))
        assert_close(
            sa_softmax.vjp(p, y, gate, v),
            [sum(v[i] * jacobian[i][j] for i in indices) for j in indices],
            mpf(10) ** -55,
        )
        assert_close(
            sa_softmax.jvp(x, p, gate, v),
            [sum(jacobian[i][j] * v[j] for j in indices) for i in indices],
            mpf(10) ** -55,
        )


@pytest.mark.parametrize("c", ["1", "-3.25"])
def test_products_of_softmax_are_those_with_the_jacobian(c: str) -> None:
    rng = random.Random(f"products {c}")
    for x in rows_with_ties(c):
        factor = mpf(c)
        p = softmax.weights(x, factor)
        jacobian = softmax.jacobian(p, factor)
        v = [mpf(rng.gauss(0, 2)) for _ in x]
        expected = [sum(v[i] * jacobian[i][j] for i in range(len(x))) for j in range(len(x))]
        for product in (softmax.vjp, softmax.jvp, ssmax.vjp, ssmax.jvp):
            assert_close(product(p, v, factor), expected, mpf(10) ** -55)


@every_form
def test_a_tie_splits_the_derivative_evenly(form: str) -> None:
    # An even split is the mean of the Jacobians at the rows where one of the tied entries is
    # moved away from the tie, outwards, as it goes to 0; and so is the derivative along a tangent
    # that moves all of them together, tie or no tie.
    step = mpf(10) ** -25
    for x in ([2, 2, -1], [-1, -1, 3, 0.5], [4, 4, 4, -2, -2]):
        row = [mpf(v) for v in x]
        gate = sa_softmax.gate(row, form)
        got = sa_softmax.jacobian(row, softmax.weights(row), gate)
        low = [i for i, v in enumerate(row) if v == min(row)]
        high = [i for i, v in enumerate(row) if v == max(row)]
        total = [[mpf(0)] * len(row) for _ in row]
        for k in low:
            for j in high:
                moved = list(row)
                moved[k] -= step
                moved[j] += step
                jacobian = sa_softmax.jacobian(
                    moved, softmax.weights(moved), sa_softmax.gate(moved, form)
                )
                for i, entries in enumerate(jacobian):
                    total[i] = [a + b for a, b in zip(total[i], entries, strict=True)]
        mean = [[entry / (len(low) * len(high)) for entry in entries] for entries in total]
        assert_close(flat(got), flat(mean), 1000 * step)


def test_the_appended_zero_takes_a_share() -> None:
    half, third = Fraction(1, 2), Fraction(1, 3)
    zeros = [Fraction(0), Fraction(0), Fraction(1)]
    gate = sa_softmax.gate(zeros, "normalized")
    assert (gate.minimizers, gate.minimum_shared_by) == ((0, 1), 3)
    assert (gate.maximizers, gate.maximum_shared_by) == ((2,), 1)
    # ∂y_2/∂x_0 with p = (1/3, 1/3, 1/3): r_2 = 1, λ'_0 = 1/3, D'_0 = −1/3, D = 1.
    jacobian = sa_softmax.jacobian(zeros, [third] * 3, gate)
    assert jacobian[2][0] == third * (-third + third - third)
    # ∂y_1/∂x_0: r_1 = 0.
    assert jacobian[1][0] == third * -third
    gate = sa_softmax.gate([Fraction(0), Fraction(-1)], "normalized")
    assert (gate.maximizers, gate.maximum_shared_by) == ((0,), 2)
    jacobian = sa_softmax.jacobian([Fraction(0), Fraction(-1)], [half, half], gate)
    assert jacobian[0][0] == half * (1 - half + half)


def test_the_diagonal_at_an_only_positive_maximum_is_that_of_softmax() -> None:
    for x in rows_without_ties("theorem"):
        if max(x) <= 0:
            continue
        top = x.index(max(x))
        p = softmax.weights(x)
        through = sa_softmax.jacobian(x, p, sa_softmax.gate(x))[top][top]
        detached = sa_softmax.gate(x, detach_extrema=True)
        assert abs(through - p[top] * (1 - p[top])) <= mpf(10) ** -57
        expected = p[top] * (1 / detached.denominator + 1 - p[top])
        assert abs(sa_softmax.jacobian(x, p, detached)[top][top] - expected) <= mpf(10) ** -57


def test_the_diagonal_of_the_known_row() -> None:
    x = [mpf(12), mpf(0), mpf(-3)]
    p = softmax.weights(x)
    for form, detached, expected in (
        ("normalized", False, "6.45e-6"),
        ("normalized", True, "0.0667"),
        ("plain", False, "1.0001"),
    ):
        gate = sa_softmax.gate(x, form, detach_extrema=detached)
        digits = len(expected.split("e")[0].replace(".", "").lstrip("0"))
        got = sa_softmax.jacobian(x, p, gate)[0][0]
        assert mp.nstr(got, digits) == mp.nstr(mpf(expected), digits)


def test_two_maxima_are_no_exception_to_the_theorem_but_outside_it() -> None:
    x = [mpf(2), mpf(2), mpf(-1)]
    p = softmax.weights(x)
    assert mp.nstr(sa_softmax.jacobian(x, p, sa_softmax.gate(x))[0][0], 3) == "0.331"
    assert mp.nstr(p[0] * (1 - p[0]), 3) == "0.25"


def test_zero_denominators_give_zeros() -> None:
    for form, x in (("minmax", [mpf(3)] * 2), ("normalized", [mpf(0)] * 2)):
        p, v = [mpf(1) / 2] * 2, [mpf(1), mpf(2)]
        for detached in (False, True):
            gate = sa_softmax.gate(x, form, detach_extrema=detached)
            assert sa_softmax.weights(x, p, gate) == [0, 0]
            assert sa_softmax.jacobian(x, p, gate) == [[0, 0], [0, 0]]
            assert sa_softmax.vjp(p, [0, 0], gate, v) == [0, 0]
            assert sa_softmax.jvp(x, p, gate, v) == [0, 0]


def test_the_limit_of_an_epsilon_in_a_zero_denominator_is_zero() -> None:
    for form, x in (("minmax", [mpf(3)] * 2), ("normalized", [mpf(0)] * 2)):
        gate = sa_softmax.gate(x, form)
        for epsilon in (mpf(10) ** -10, mpf(10) ** -40):
            assert [(xi - gate.offset) / (gate.denominator + epsilon) for xi in x] == [0, 0]


def test_unknown_forms_are_named() -> None:
    with pytest.raises(ValueError, match=r"form must be one of .*'normalised'"):
        sa_softmax.gate([mpf(1)], "normalised")


def test_provenance_says_what_is_not_confirmed() -> None:
    assert "arXiv:1909.03469" in softmax.PROVENANCE
    assert "arXiv:2501.19399" in ssmax.PROVENANCE
    assert "arXiv:2502.18277" in sa_softmax.PROVENANCE
    assert "secondary sources and are not confirmed" in sa_softmax.PROVENANCE
