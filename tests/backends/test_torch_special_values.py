"""Special values in derivatives of every order: what leaks nowhere, what is 0 and what is NaN."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import torch as backend

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

func: Any = torch.func
NAN, INF = math.nan, math.inf
GATED = [variant for variant in VARIANTS if variant.function == "sa_softmax"]
RATIO = [variant for variant in GATED if variant.form in ("minmax", "normalized")]


def tensor(*values: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64)


def derivatives(
    variant: Variant, x: Any, dy: Any, u: Any, where: Any = None, s: Any = None
) -> dict[str, Any]:
    """Return derivatives of each kind, by x and, as rows of one value, by s."""
    s = torch.full((x.shape[0], 1), 0.7, dtype=torch.float64) if s is None else s
    s_moves = torch.full_like(s, 0.5)

    def weights(x: Any, s: Any) -> Any:
        return variant.weights(backend, x, s=s, b=-0.25, axis=1, where=where)

    def gradients(x: Any, s: Any) -> Any:
        return func.vjp(weights, x, s)[1](dy)

    def tangent(x: Any, s: Any) -> Any:
        return func.jvp(weights, (x, s), (u, s_moves))[1]

    dx, ds = gradients(x, s)
    ddx, dds = func.jvp(gradients, (x, s), (u, s_moves))[1]
    other_ddx, other_dds = func.vjp(gradients, x, s)[1]((u, s_moves))
    third, third_s = func.vjp(tangent, x, s)[1](dy)
    return {
        "tangent": tangent(x, s),
        "dx": dx,
        "ds": ds,
        "forward over backward": ddx,
        "of s": dds,
        "backward over backward": other_ddx,
        "of s again": other_dds,
        "backward over forward": third,
        "of s once more": third_s,
    }


X = tensor([1.5, -2.0, 0.25, 3.0], [0.5, -1.0, 2.0, -0.75])
DY = tensor([1.0, -0.5, 2.0, 0.25], [0.5, 1.5, -1.0, 2.0])
U = tensor([0.5, 1.0, -1.5, 2.0], [2.0, -0.25, 1.0, 0.5])


@pytest.mark.parametrize("hidden", [NAN, INF], ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_nothing_leaks_from_absent_entries(variant: Variant, hidden: float) -> None:
    where = torch.tensor([[True, True, False, True], [True, False, True, True]])
    kept = [torch.where(where, value, 0.0) for value in (X, DY, U)]
    spoiled = [torch.where(where, value, hidden) for value in (X, DY, U)]
    wanted = derivatives(variant, *kept, where=where)
    got = derivatives(variant, *spoiled, where=where)
    for kind, value in wanted.items():
        assert torch.equal(got[kind], value), kind
        assert value.isfinite().all()
        if value.shape == X.shape:
            assert (value[~where] == 0.0).all()
    masked = derivatives(variant, torch.where(where, X, -INF), *spoiled[1:])
    for kind, value in wanted.items():
        assert torch.equal(masked[kind], value), kind


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_rows_without_entries_have_derivatives_of_zero(variant: Variant) -> None:
    x, dy, u = X.clone(), DY.clone(), U.clone()
    x[1], dy[1], u[1] = -INF, NAN, INF
    s = tensor([0.7], [NAN])
    alone = derivatives(variant, x[:1], dy[:1], u[:1], s=s[:1])
    for kind, value in derivatives(variant, x, dy, u, s=s).items():
        assert (value[1] == 0.0).all(), kind
        torch.testing.assert_close(value[:1], alone[kind], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("spoiled", ["x NaN", "x inf", "dy", "u", "s"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_what_is_not_finite_makes_its_row_nan(variant: Variant, spoiled: str) -> None:
    x, dy, u, s = X.clone(), DY.clone(), U.clone(), tensor([0.7], [0.7])
    x[:, 1] = -INF
    if spoiled == "s" and variant.function != "ssmax":
        return
    if spoiled == "x inf":
        s[0] = -0.7  # so that it is not the infinity that rules the row
    if spoiled == "s":
        s[0] = INF
    else:
        target = {"x": x, "d": dy, "u": u}[spoiled[0]]
        target[0, 2] = INF if spoiled == "x inf" else NAN
    clean = derivatives(variant, *(value[1:] for value in (x, dy, u)), s=s[1:])
    for kind, value in derivatives(variant, x, dy, u, s=s).items():
        torch.testing.assert_close(value[1:], clean[kind], rtol=1e-14, atol=1e-15)
        if kind in ("dx", "ds") and spoiled == "u":
            continue
        if kind == "tangent" and spoiled == "dy":
            continue
        if variant.function != "ssmax" and value.shape == s.shape:
            assert (value == 0.0).all()
        elif value.shape == s.shape:
            assert value[0].isnan().all(), kind
        else:
            assert value[0, [0, 2, 3]].isnan().all(), kind
            assert value[0, 1] == 0.0


@pytest.mark.parametrize("variant", RATIO, ids=str)
def test_rows_without_denominator_have_derivatives_of_zero(variant: Variant) -> None:
    x = X.clone()
    x[0] = 0.0
    for kind, value in derivatives(variant, x, DY, U).items():
        assert (value[0] == 0.0).all(), kind
    x[0, 0] = NAN  # invalid before it is without denominator
    assert derivatives(variant, x, DY, U)["forward over backward"][0].isnan().all()


@pytest.mark.parametrize("function", ["softmax", "ssmax"])
def test_logits_near_the_end_of_the_range(function: str) -> None:
    variant = Variant(function)
    x = tensor([1.7e308, -1.7e308, 1.7e308, 0.0], [2.0, 2.0, 1.0, -1e308])
    for kind, value in derivatives(variant, x, DY, U).items():
        assert value.isfinite().all(), kind
    near = derivatives(variant, tensor([0.0, -INF, 0.0, -INF]), DY[:1, :], U[:1, :])
    far = derivatives(variant, x[:1], DY[:1], U[:1])
    if function == "softmax":  # of SSMax, n would not be the same
        for kind, value in near.items():
            torch.testing.assert_close(far[kind], value, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("variant", GATED, ids=str)
def test_gates_at_large_logits(variant: Variant) -> None:
    x = tensor([1e120, 1e120, 2e119, -3e119])
    for kind, value in derivatives(variant, x.reshape(1, 4), DY[:1], U[:1]).items():
        assert value.isfinite().all(), kind


@pytest.mark.parametrize("n", [0, -1, INF, NAN])
def test_n_that_is_not_allowed_makes_rows_nan(n: float) -> None:
    counts = tensor([n], [4.0])

    def gradient(x: Any) -> Any:
        return func.vjp(
            lambda x: backend.ssmax(x, 0.7, 0.1, n=counts, axis=1, where=None, out=None), x
        )[1](DY)[0]

    got = func.jvp(gradient, (X,), (U,))[1]
    assert got[0].isnan().all()
    assert got[1].isfinite().all()


def test_n_is_not_differentiated() -> None:
    n = tensor([5.0], [6.0]).requires_grad_()
    x = X.clone().requires_grad_()
    y = backend.ssmax(x, 0.7, 0.1, n=n, axis=1, where=None, out=None)
    (dx,) = torch.autograd.grad(y, x, DY, create_graph=True)
    (ddx,) = torch.autograd.grad((dx * U).sum(), x, create_graph=True)
    (ddx * U).sum().backward()
    assert n.grad is None
    assert x.grad is not None
    moved = func.jvp(
        lambda n: backend.ssmax(X, 0.7, 0.1, n=n, axis=1, where=None, out=None),
        (n.detach(),),
        (torch.ones_like(n),),
    )
    assert (moved[1] == 0.0).all()
