"""Derivatives beyond the first, against exact ones: Ω, n and the shares of extrema held fixed."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import mpmath
import pytest
import torch

from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import torch as backend

# PyTorch's own, where it first loads its rules of forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

S, B = 0.7, -0.25
ROWS = {
    "signs": (1.5, -2.0, 0.25, 3.0),
    "positive": (0.5, 2.0, 1.0),
    "negative": (-0.5, -2.0, -1.0),
    "tied maxima": (2.0, -1.0, 2.0, 0.5),
    "tied minima": (-1.0, 2.0, -1.0, -1.0, 0.5),
    "ties with 0": (0.0, 2.0, 0.0, 1.0),
    "ties with 0 above": (0.0, -2.0, 0.0),
    "one entry": (1.5,),
    "equal": (2.0, 2.0, 2.0),
    "zeros": (0.0, 0.0),
    "far apart": (-30.0, 20.0, 19.0),
}

# Softmax and SSMax have no extrema.
CASES = [
    (variant, row)
    for variant in VARIANTS
    for row in ROWS
    if variant.function == "sa_softmax" or row in ("signs", "one entry", "zeros", "far apart")
]


def exact_function(variant: Variant, row: tuple[float, ...], dy: list[float]) -> Any:
    """Return sum dy y as a function of x, s and b near the row, at which shares are taken."""
    x0 = [mpmath.mpf(xi) for xi in row]
    count = len(row)
    appended = [0] if variant.form == "normalized" else []
    low, high = min([*x0, *appended]), max([*x0, *appended])
    at_low = [i for i in range(count) if x0[i] == low]
    at_high = [i for i in range(count) if x0[i] == high]
    low_sharers = sum(value == low for value in [*x0, *appended])
    high_sharers = sum(value == high for value in [*x0, *appended])
    ratio = variant.form in ("minmax", "normalized")

    def function(*variables: Any) -> Any:
        x, s, b = variables[:count], variables[count], variables[count + 1]
        c = s * mpmath.log(count) + b if variant.function == "ssmax" else 1
        e = [mpmath.exp(c * xi) for xi in x]
        p = [ei / sum(e) for ei in e]
        if variant.function == "sa_softmax" and variant.form != "plain":
            if ratio and low == high:
                return mpmath.mpf(0)
            lower, upper = low, high
            if not variant.detach_extrema:
                lower = low + sum(x[i] - x0[i] for i in at_low) / low_sharers
                upper = high + sum(x[i] - x0[i] for i in at_high) / high_sharers
            below = upper - lower if ratio else 1
            p = [pi * (xi - lower) / below for pi, xi in zip(p, x, strict=True)]
        elif variant.function == "sa_softmax":
            p = [pi * xi for pi, xi in zip(p, x, strict=True)]
        return sum(g * pi for g, pi in zip(dy, p, strict=True))

    return function


def exact_derivatives(
    function: Any, point: list[float], direction: list[float], order: int
) -> list[float]:
    """Return the derivatives by each variable of the one of ``order - 1`` in the direction."""
    found = []
    with mpmath.workdps(50):
        for k in range(len(point)):

            def moved(a: Any, t: Any, k: int = k) -> Any:
                return function(
                    *(
                        mpmath.mpf(value) + t * u + (a if i == k else 0)
                        for i, (value, u) in enumerate(zip(point, direction, strict=True))
                    )
                )

            found.append(float(mpmath.diff(moved, (0, 0), (1, order - 1))))
    return found


def arguments(row: tuple[float, ...]) -> tuple[Any, Any, Any, Any, list[float]]:
    """Return x, s, b, dy and a direction."""
    generator = torch.Generator().manual_seed(len(row))
    draw = torch.randn(2 * len(row) + 2, generator=generator, dtype=torch.float64)
    x = torch.tensor(row, dtype=torch.float64)
    s, b = torch.tensor([S], dtype=torch.float64), torch.tensor(B, dtype=torch.float64)
    return x, s, b, draw[: len(row)], draw[len(row) :].tolist()


def call(variant: Variant, dy: Any) -> Any:
    def function(x: Any, s: Any, b: Any) -> Any:
        return (variant.weights(backend, x, s=s, b=b) * dy).sum()

    return function


def hessian_vector_products(function: Any, point: tuple[Any, ...], moves: Any) -> dict[str, Any]:
    """Return the Hessian times a direction, by each way of asking for it."""
    func: Any = torch.func
    every = (0, 1, 2)
    gradient = func.grad(function, every)

    def slope(*point: Any) -> Any:
        return sum((a * u).sum() for a, u in zip(gradient(*point), moves, strict=True))

    leaves = [value.clone().requires_grad_() for value in point]
    first = torch.autograd.grad(function(*leaves), leaves, create_graph=True, allow_unused=True)
    total = sum((a * u).sum() for a, u in zip(first, moves, strict=True) if a is not None)
    twice = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
    return {
        "backward twice": twice,
        "forward over backward": func.jvp(gradient, point, moves)[1],
        "backward over forward": func.grad(
            lambda *point: func.jvp(function, point, moves)[1], every
        )(*point),
        "grad of grad": func.grad(slope, every)(*point),
    }


@pytest.mark.parametrize(("variant", "row"), CASES, ids=str)
def test_second_derivatives_are_exact(variant: Variant, row: str) -> None:
    x, s, b, dy, direction = arguments(ROWS[row])
    count = len(ROWS[row])
    function = exact_function(variant, ROWS[row], dy.tolist())
    wanted = torch.tensor(
        exact_derivatives(function, [*ROWS[row], S, B], direction, 2), dtype=torch.float64
    )
    moves = (torch.tensor(direction[:count], dtype=torch.float64),)
    moves += (torch.tensor(direction[count:-1], dtype=torch.float64),)
    moves += (torch.tensor(direction[-1], dtype=torch.float64),)
    for way, got in hessian_vector_products(call(variant, dy), (x, s, b), moves).items():
        flat = torch.cat([value.reshape(-1) for value in got])
        torch.testing.assert_close(flat, wanted, rtol=1e-12, atol=1e-13, msg=lambda m, w=way: w + m)


@pytest.mark.parametrize("row", ["tied minima", "ties with 0"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_third_derivatives_are_exact(variant: Variant, row: str) -> None:
    x, s, b, dy, direction = arguments(ROWS[row])
    count = len(ROWS[row])
    direction[count:] = [0.0, 0.0]
    function = exact_function(variant, ROWS[row], dy.tolist())
    wanted = exact_derivatives(function, [*ROWS[row], S, B], direction, 3)[:count]
    u = torch.tensor(direction[:count], dtype=torch.float64)
    func: Any = torch.func

    def along(inner: Any, mode: str) -> Any:
        if mode == "forward":
            return lambda x: func.jvp(inner, (x,), (u,))[1]
        return lambda x: (func.grad(inner)(x) * u).sum()

    def function_of_x(x: Any) -> Any:
        return call(variant, dy)(x, s, b)

    exact = torch.tensor(wanted, dtype=torch.float64)
    for one, other in product(["forward", "backward"], repeat=2):
        got = func.grad(along(along(function_of_x, one), other))(x)
        torch.testing.assert_close(got, exact, rtol=1e-11, atol=1e-12)
    # The gradient innermost, followed twice in forward mode.
    first = func.grad(function_of_x)
    got = func.jvp(lambda x: func.jvp(first, (x,), (u,))[1], (x,), (u,))[1]
    torch.testing.assert_close(got, exact, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_narrow_dtypes_are_evaluated_in_float64(variant: Variant, dtype: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    x, dy, u = (torch.randn(3, 6, generator=generator).to(dtype) for _ in "xyu")

    def twice(x: Any, dy: Any, u: Any) -> Any:
        x.requires_grad_()
        y = variant.weights(backend, x, s=S, b=B, axis=1)
        (dx,) = torch.autograd.grad(y, x, dy, create_graph=True)
        (result,) = torch.autograd.grad(dx, x, u)
        return result

    got = twice(x.clone(), dy, u)
    wanted = twice(x.double(), dy.double(), u.double())
    assert got.dtype == dtype
    # One rounding, where it is to 16 bits by way of float32 a second one.
    error = (got.double() - wanted).abs()
    assert (error <= torch.finfo(dtype).eps * (0.5 + 2.0**-10) * wanted.abs() + 1e-7).all()


@pytest.mark.parametrize("n", [7, 7.0, 2**53 + 1, torch.tensor([[7], [70]])], ids=str)
def test_given_counts(n: Any) -> None:
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    log_n = n.double().log() if isinstance(n, torch.Tensor) else math.log(n)

    def ours(x: Any) -> Any:
        return backend.ssmax(x, S, B, n=n, axis=1, where=None, out=None).square().sum()

    def plain(x: Any) -> Any:
        return torch.softmax((S * log_n + B) * x, 1).square().sum()

    func: Any = torch.func
    got, wanted = func.hessian(ours)(x), func.hessian(plain)(x)
    torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-12)


def test_parameters_of_heads_have_second_derivatives() -> None:
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    where = torch.ones(4, 5, dtype=torch.bool).tril(1)
    s = torch.rand(3, 1, 1, generator=generator, dtype=torch.float64)
    b = torch.rand(2, 1, 1, 1, generator=generator, dtype=torch.float64)

    def whole(s: Any, b: Any) -> Any:
        return backend.ssmax(x, s, b, n=None, axis=3, where=where, out=None).square().sum()

    def plain(s: Any, b: Any) -> Any:
        log_n = where.sum(-1, keepdim=True).double().log()
        logits = torch.where(where, (s * log_n + b) * x, -math.inf)
        return torch.softmax(logits, -1).square().sum()

    got = torch.autograd.functional.hessian(whole, (s, b))
    wanted = torch.autograd.functional.hessian(plain, (s, b))
    for row, other in zip(got, wanted, strict=True):
        for one, another in zip(row, other, strict=True):
            torch.testing.assert_close(one, another, rtol=1e-11, atol=1e-12)
