"""The bulk reference against the exact one, and against ball arithmetic."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb, ctx

from softmax_variants_spec import bulk, exact
from softmax_variants_spec.bulk._rows import evaluate
from softmax_variants_spec.bulk._scale import scale_words
from softmax_variants_spec.formats import FORMATS

FORMS = ("normalized", "minmax", "shifted", "plain")
FUNCTIONS = [
    ("softmax", "normalized"),
    ("ssmax", "normalized"),
    *(("sa_softmax", f) for f in FORMS),
]
functions = pytest.mark.parametrize(("function", "form"), FUNCTIONS)
formats = pytest.mark.parametrize("fmt", FORMATS.values(), ids=list(FORMATS))


def rounded_to(fmt, x):
    """Round logits to a format, without infinities."""
    values = [fmt.round(v) for v in x.ravel().tolist()]
    return np.clip(np.array(values).reshape(x.shape), -fmt.max, fmt.max)


def cell(parameter, i):
    return parameter[i, 0].item() if isinstance(parameter, np.ndarray) else parameter


def check(result, function, x, fmt, *, where=None, s=1.0, b=0.0, n=None, form="normalized"):
    """Compare every entry with the exact reference."""
    for i, logits in enumerate(x.tolist()):
        mask = None if where is None else tuple(where[i].tolist())
        row = exact.Row(function, tuple(logits), mask, cell(s, i), cell(b, i), cell(n, i), form)
        for j, entry in enumerate(exact.weights(row, fmt)):
            at = (row, j)
            rounded, residual = result.rounded[i, j], result.residual[i, j]
            assert rounded == entry.rounded or (rounded != rounded and np.isnan(entry.rounded)), at
            assert result.ulp_exponent[i, j] == entry.ulp_exponent, at
            assert result.exact[i, j] == entry.exact, at
            np.testing.assert_allclose(residual, entry.residual, rtol=0, atol=2.0**-20, err_msg=at)
            if np.isfinite(rounded):
                assert (residual == 0) == entry.exact
                assert residual * entry.residual >= 0


def compare(function, x, fmt, **arguments):
    result = bulk.weights(function, x, fmt, **arguments)
    check(result, function, x, fmt, **arguments)
    return result


def logits(kind, shape, fmt, rng):
    """Return rows of one kind."""
    match kind:
        case "normal":
            return rng.normal(0, 8, shape)
        case "wide":
            return rng.normal(0, 300, shape)
        case "small":
            return rng.normal(0, 1e-3, shape)
        case "ties":
            return rng.integers(-3, 4, shape).astype(float)
        case "one-hot":
            x = rng.normal(0, 8, shape)
            x[:, 0] += 200
            return x
        case "equal":
            return np.repeat(rng.normal(0, 8, (shape[0], 1)), shape[1], axis=1)
        case "powers":
            return 2.0 ** rng.integers(-20, 12, shape) * rng.choice([-1.0, 1.0], shape)
        case "subnormal":
            return rng.integers(-9, 10, shape) * fmt.min_subnormal
        case "any":
            exponents = rng.integers(max(fmt.emin - 9, -1074), min(fmt.emax, 1019), shape)
            return np.ldexp(rng.normal(0, 1, shape), exponents)
    raise AssertionError(kind)


KINDS = ("normal", "wide", "small", "ties", "one-hot", "equal", "powers", "subnormal", "any")


@functions
@formats
def test_equals_the_exact_reference(function, form, fmt):
    rng = np.random.default_rng(11)
    for kind in KINDS:
        for n in (1, 2, 5, 8):
            shape = (2, n)
            x = rounded_to(fmt, logits(kind, shape, fmt, rng))
            where = rng.random(shape) < 0.85
            x[rng.random(shape) < 0.05] = -math.inf
            x = np.where(where, x, rng.choice([math.nan, math.inf, -math.inf, 7.0], shape))
            compare(function, x, fmt, where=where, form=form)


def ln_10():
    with mpmath.workprec(400):
        value = mpmath.ln(10)
        return Fraction(int(value * 2**390), 2**390)


@formats
@pytest.mark.parametrize(
    "parameters",
    [
        {"s": 0.43},
        {"s": -1.5, "b": 0.25},
        {"s": 0.0, "b": -3.0},
        {"s": 0, "b": 0},
        {"s": 1, "n": 3},
        {"s": 40.0},
        {"s": 1e-9},
        {"s": 2, "n": 0.375},
        {"s": 1.0, "b": -math.log(10), "n": 10},  # c = -2.2e-16, where binary64 gives 0
        {"s": 10**60, "b": -round(10**60 * ln_10()), "n": 10},  # 200 bits cancel
        {"s": 3e300},
        {"s": 1e-290},
        {"s": 2.0**-1074, "n": 1.25},  # c is not 0, yet rounds to it
    ],
    ids=str,
)
def test_parameters_of_ssmax(parameters, fmt):
    rng = np.random.default_rng(12)
    for kind in ("normal", "ties", "powers"):
        x = rounded_to(fmt, logits(kind, (2, 6), fmt, rng))
        compare("ssmax", x, fmt, where=rng.random(x.shape) < 0.9, **parameters)


def test_parameters_of_each_row():
    rng = np.random.default_rng(13)
    x = rng.normal(0, 4, (12, 5))
    parameters = {
        "s": rng.normal(0, 1, (12, 1)),
        "b": rng.normal(0, 1, (12, 1)).astype(np.float32),
        "n": rng.integers(1, 100, (12, 1)),
    }
    result = compare("ssmax", x, FORMATS["float64"], **parameters)
    assert result.undecided == 0


@functions
@formats
def test_the_claimed_bound_holds(function, form, fmt):
    rng = np.random.default_rng(14)
    worst = 0.0
    for kind in ("normal", "wide", "any"):
        x = rounded_to(fmt, logits(kind, (6, 40), fmt, rng))
        present = rng.random(x.shape) < 0.9
        words = np.array([scale_words(0.43, -0.7, n) for n in present.sum(axis=1).tolist()])
        scale = (words[:, :1], words[:, 1:]) if function == "ssmax" else None
        rows = evaluate(function, form, x, present, scale)
        previous, ctx.prec = ctx.prec, 400
        try:
            for i in range(x.shape[0]):
                worst = max(worst, worst_error(function, form, x[i], present[i], rows, i))
        finally:
            ctx.prec = previous
    # Between the bound and what one rounding of the result costs: the pairs are not better.
    assert 2.0**-107 < worst <= bulk.ERROR


def worst_error(function, form, x, present, rows, i):
    """Return the largest relative error of a row, weights below 2^-2000 left out."""
    index = np.flatnonzero(present)
    terms = [arb(float(x[j])) for j in index]
    lowest, highest = min(x[index]), max(x[index])
    c = arb(1)
    if function == "ssmax":
        c = arb(0.43) * arb(len(terms)).log() + arb(-0.7)
    low, width = arb(0), arb(1)
    if form in ("shifted", "minmax"):
        low = arb(float(lowest))
    if form == "normalized":
        low = arb(float(min(lowest, 0.0)))
    if form == "minmax":
        width = arb(float(highest)) - low
    if form == "normalized":
        width = arb(float(max(highest, 0.0))) - low
    top = arb(float(highest if c > 0 else lowest))
    powers = [(c * (term - top)).exp() for term in terms]
    total = sum(powers, arb(0))
    worst = 0.0
    for j, term, power in zip(index, terms, powers, strict=True):
        value = power / total
        if function == "sa_softmax":
            value *= (term - low) / width
        if abs(value) < arb(2) ** -2000:
            assert rows.zero[i, j] == (value == 0)
            continue
        words = arb(float(rows.value[0][i, j])) + arb(float(rows.value[1][i, j]))
        error = words * arb(2) ** int(rows.exponent[i, j]) / value - 1
        worst = max(worst, float(abs(error).upper()))
    return worst


def test_ties_that_go_to_the_exact_reference():
    fmt = FORMATS["float16"]
    # Powers of 3 and of 4095: numbers of the format and a midpoint that no bound tells from others.
    quarters = compare("ssmax", np.array([[1.0, 0.0]]), fmt, n=3)
    assert quarters.rounded.tolist() == [[0.75, 0.25]]
    assert quarters.exact.all()
    assert quarters.undecided == 2
    midpoint = compare("ssmax", np.array([[1.0, 0.0]]), fmt, n=4095)
    assert midpoint.rounded.tolist() == [[1.0, 2.0**-12]]
    assert midpoint.residual.tolist() == [[-0.5, 0.0]]
    assert midpoint.exact.tolist() == [[False, True]]
    assert midpoint.undecided == 2


@pytest.mark.parametrize(
    ("form", "x", "expected"),
    [
        # x − m = 2^24 + 1 is a midpoint in binary32, and the weight e^-(2^24) below it.
        ("shifted", (2.0**24, -1.0), (2.0**24, 0.0)),
        ("shifted", (2.0**24 + 2, -1.0), (2.0**24 + 2, 0.0)),
        ("shifted", (2.0**24, 2.0**24, -1.0, -1.0), (2.0**23, 2.0**23, 0.0, 0.0)),
        # Midpoints of subnormals: halves of odd ones, moved by the difference of the logits.
        ("plain", (2.0**-149, 2.0**-149), (0.0, 0.0)),
        ("plain", (2.0**-149, 2.0**-148), (0.0, 2.0**-149)),
        ("plain", (3 * 2.0**-149, 2.0**-149), (2 * 2.0**-149, 0.0)),
        ("plain", (2.0**-149, -(2.0**-149)), (2.0**-149, 0.0)),
        ("plain", (6 * 2.0**-149, 7 * 2.0**-149), (3 * 2.0**-149, 4 * 2.0**-149)),
        ("plain", (3.0, 3.0, 3.0), (1.0, 1.0, 1.0)),
        ("plain", (3 * 2.0**-149, 3 * 2.0**-149, 3 * 2.0**-149), (2.0**-149,) * 3),
        ("normalized", (-64.0, -128.0), (0.5, 0.0)),
        ("minmax", (200.0, 0.0, 1.0), None),
        ("normalized", (200.0, 0.0, 1.0), None),
    ],
)
def test_neighbours_of_ties_are_settled_here(form, x, expected):
    result = compare("sa_softmax", np.array([x]), FORMATS["float32"], form=form)
    assert result.undecided == 0
    if expected is not None:
        assert result.rounded[0].tolist() == list(expected)


@formats
@pytest.mark.parametrize("s", [1.0, -1.0])
def test_tiny_logits_settle_by_the_side_of_their_mean(fmt, s):
    # y = (1/4)(1 ± 10^-40): the side decides the ULP, and a negative scale turns it round.
    x = np.array([[0.0, 5.0, 3.0, 1.0], [4.0, -2.0, 0.0, 9.0]]) * FORMATS["float32"].min_subnormal
    result = compare("ssmax", x, fmt, s=s)
    assert result.undecided == 0
    assert len(np.unique(result.ulp_exponent)) == 2


def test_a_tiny_logit_at_the_mean_is_left_to_the_exact_reference():
    # 6/4 is a midpoint; at the mean, squares of 2^-149 decide: below.
    x = np.array([[5.0, 6.0, 7.0, 6.0]]) * 2.0**-149
    result = compare("sa_softmax", x, FORMATS["float32"], form="plain")
    assert (result.rounded[0] * 2.0**149).tolist() == [1.0, 1.0, 2.0, 1.0]
    assert result.undecided == 2


def test_quotients_that_are_representable_but_computed():
    # r = w/(2w) = 1/2: no word says so, and entries at the mean leave the order to the squares.
    rng = np.random.default_rng(18)
    width = rng.integers(1, 2**20, (60, 1)) * 2.0 + 1
    x = np.hstack([0 * width, width, 2 * width, rng.integers(0, 3, (60, 1)) * width])
    fmt = FORMATS["float32"]
    result = compare("sa_softmax", x * fmt.min_subnormal, fmt, form="minmax")
    assert result.undecided > 0


@formats
def test_common_regimes_need_no_exact_row(fmt):
    rng = np.random.default_rng(15)
    for kind in ("normal", "wide", "one-hot", "ties", "equal"):
        x = rounded_to(fmt, logits(kind, (64, 16), fmt, rng))
        for function, form in FUNCTIONS:
            result = bulk.weights(function, x, fmt, form=form, s=0.43)
            assert result.undecided == 0


def test_one_hot_rows_are_below_one():
    # 1 − e^-8191 rounds to 1, yet has the ULP of the binade below, and is not 1.
    result = bulk.weights("softmax", np.array([[8191.0, 0.0]]), FORMATS["float64"])
    assert result.rounded.tolist() == [[1.0, 0.0]]
    assert result.ulp_exponent.tolist() == [[-53, -1074]]
    assert not result.exact.any()
    assert result.undecided == 0


@pytest.mark.parametrize("form", FORMS)
def test_rows_outside_of_the_domain_are_exact_rows(form):
    inf, nan = math.inf, math.nan
    x = np.array([
        [1.7e308, -1.7e308, 1.0],
        [1.0, nan, -inf],
        [inf, 2.0, inf],
        [-inf, -inf, -inf],
        [1.0, 2.0, 3.0],
    ])  # fmt: skip
    result = compare("sa_softmax", x, FORMATS["float64"], form=form)
    assert result.undecided == 8
    assert not np.isnan(result.rounded[[0, 3, 4]]).any()


def test_parameters_outside_of_the_domain_are_exact_rows():
    x = np.tile([1.0, -math.inf, 3.0], (9, 1))
    x[8] = -math.inf
    inside, inf, nan = 1.0, math.inf, math.nan
    s = np.array([[inside], [nan], [inf], [1e308], [1e-300], [0.0], [1.0], [1.0], [nan]])
    n = np.array([[2.0], [2.0], [2.0], [1e300], [2.0], [nan], [0.0], [-1.0], [2.0]])
    result = compare("ssmax", x, FORMATS["float32"], s=s, n=n)
    assert result.undecided == 14
    assert result.rounded[8].tolist() == [0.0, 0.0, 0.0]
    assert compare("ssmax", x[:1], FORMATS["float32"], n=10**400).undecided == 2


def test_overflow_of_the_shifted_form():
    for name in ("float16", "bfloat16", "float32"):
        fmt = FORMATS[name]
        compare("sa_softmax", np.array([[fmt.max, -fmt.max, 0.0]]), fmt, form="shifted")


def test_rows_do_not_depend_on_their_block():
    rng = np.random.default_rng(16)
    x = rng.normal(0, 8, (700, 33))
    where = rng.random(x.shape) < 0.8
    fmt = FORMATS["float64"]
    whole = bulk.weights("ssmax", x, fmt, where=where, s=0.43)
    for i in (0, 247, 248, 249, 699):
        alone = bulk.weights("ssmax", x[i : i + 1], fmt, where=where[i : i + 1], s=0.43)
        assert alone.rounded[0].tolist() == whole.rounded[i].tolist()
        assert alone.residual[0].tolist() == whole.residual[i].tolist()
    check(
        bulk.weights("ssmax", x[:3], fmt, where=where[:3], s=0.43),
        "ssmax", x[:3], fmt, where=where[:3], s=0.43,
    )  # fmt: skip


def test_long_row():
    x = np.random.default_rng(17).normal(0, 8, (1, 20011))
    result = bulk.weights("softmax", x, FORMATS["float64"])
    assert result.undecided == 0
    total = math.fsum(result.rounded[0]) + math.fsum(
        np.ldexp(result.residual[0], result.ulp_exponent[0])
    )
    assert abs(total - 1) < 1e-17 + 2.0**-53


def test_inputs_stay_and_empty_arrays_are_empty():
    x = np.array([[1.0, math.nan, -math.inf, 3.0]])
    where = np.array([[True, False, True, True]])
    before = (x.tobytes(), where.tobytes())
    bulk.weights("sa_softmax", x, FORMATS["float16"], where=where)
    assert (x.tobytes(), where.tobytes()) == before
    for shape in ((0, 4), (3, 0), (0, 0)):
        for function in ("softmax", "ssmax"):
            result = bulk.weights(function, np.zeros(shape), FORMATS["float16"])
            assert result.rounded.shape == result.exact.shape == shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"function": "softmin"}, "function must be one of .* got 'softmin'"),
        ({"function": "sa_softmax", "form": "v2"}, "form must be one of .* got 'v2'"),
        ({"x": np.zeros((2, 3), dtype=np.float32)}, "x must be a float64 array .* float32"),
        ({"x": np.zeros(3)}, r"x must be .* shape \(rows, n\), got .* \(3,\)"),
        ({"x": [[1.0]]}, "x must be a float64 array"),
        (
            {"where": np.ones((2, 3))},
            r"where must be a bool array of shape \(2, 3\), got a float64",
        ),
        ({"where": np.ones((1, 3), dtype=bool)}, "where must be a bool array"),
        ({"s": np.zeros(2)}, r"s must be a number or a real array of shape \(2, 1\)"),
        ({"b": np.zeros((2, 1), dtype=complex)}, "b must be a number or a real array"),
        ({"n": np.ones((2, 1), dtype=np.longdouble)}, "n must be a number or a real array"),
        ({"s": "1"}, "s must be a number or a real array .* got '1'"),
    ],
)
def test_arguments_are_checked(arguments, message):
    call = {"function": "ssmax", "x": np.zeros((2, 3)), "fmt": FORMATS["float32"], **arguments}
    with pytest.raises(ValueError, match=message):
        bulk.weights(**call)
