"""The table of docs/pytorch.md: every way to a derivative, eager and compiled, works or raises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.autograd import forward_ad as untyped_forward_ad

import softmax_variants as sv

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

COLUMNS = ("eager", "inside a compiled function", "of a compiled function")
WORKS, RAISES = "works", "raises"
TABLE = {
    "backward": (WORKS, RAISES, WORKS),
    "backward of backward": (WORKS, RAISES, RAISES),
    "forward mode": (WORKS, WORKS, WORKS),
    "forward mode of backward": (WORKS, RAISES, RAISES),
    "backward of forward mode": (WORKS, RAISES, RAISES),
    "torch.vmap": (WORKS, WORKS, RAISES),
    "torch.func.grad": (WORKS, WORKS, RAISES),
    "torch.func.vjp": (WORKS, WORKS, RAISES),
    "torch.func.jvp": (WORKS, WORKS, RAISES),
    "torch.func.jacrev": (WORKS, WORKS, RAISES),
    "torch.func.jacfwd": (WORKS, WORKS, RAISES),
    "torch.func.hessian": (WORKS, WORKS, RAISES),
}

_generator = torch.Generator().manual_seed(3)
X, U, DY, FIXED = (torch.randn(3, 4, generator=_generator, dtype=torch.float64) for _ in range(4))
S = torch.tensor([[0.5], [0.75], [1.25]], dtype=torch.float64)
WHERE = torch.ones(3, 4, dtype=torch.bool).tril(2)
func: Any = torch.func
forward_ad: Any = untyped_forward_ad


def ours(x: Any) -> Any:
    """Return the sum of the three functions, the parameter of one a function of the logits."""
    y = sv.softmax(x, where=WHERE) + 2.0 * sv.sa_softmax(x, where=WHERE)
    return y + 3.0 * sv.ssmax(x, S * x.mean(), 0.25, where=WHERE)


def plain(x: Any) -> Any:
    """Return the same by PyTorch's operations."""
    shown = torch.where(WHERE, x, -torch.inf)
    low = torch.where(WHERE, x, torch.inf).amin(-1, keepdim=True).clamp(max=0.0)
    high = shown.amax(-1, keepdim=True).clamp(min=0.0)
    p = shown.exp() / shown.exp().sum(-1, keepdim=True)
    gated = torch.where(WHERE, (x - low) / (high - low), 0.0) * p
    scaled = (S * x.mean() * WHERE.sum(-1, keepdim=True).double().log() + 0.25) * x
    e = torch.where(WHERE, scaled.exp(), 0.0)
    return p + 2.0 * gated + 3.0 * e / e.sum(-1, keepdim=True)


def total(function: Any) -> Any:
    return lambda x: (function(x) * DY).sum()


def backward(function: Any) -> Any:
    def found(x: Any) -> Any:
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(total(function)(leaf), leaf)[0]

    return found


def backward_of_backward(function: Any) -> Any:
    def found(x: Any) -> Any:
        leaf = x.detach().requires_grad_()
        (dx,) = torch.autograd.grad(total(function)(leaf), leaf, create_graph=True)
        return torch.autograd.grad((dx * U).sum(), leaf)[0]

    return found


def forward_mode(function: Any) -> Any:
    def found(x: Any) -> Any:
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(function(forward_ad.make_dual(x, U))).tangent.clone()

    return found


def forward_mode_of_backward(function: Any) -> Any:
    def found(x: Any) -> Any:
        with forward_ad.dual_level():
            leaf = forward_ad.make_dual(x.detach().requires_grad_(), U)
            (dx,) = torch.autograd.grad(total(function)(leaf), leaf, create_graph=True)
            return forward_ad.unpack_dual(dx).tangent.clone()

    return found


def backward_of_forward_mode(function: Any) -> Any:
    def found(x: Any) -> Any:
        leaf = x.detach().requires_grad_()
        with forward_ad.dual_level():
            y = forward_ad.unpack_dual(function(forward_ad.make_dual(leaf, U))).tangent
            return torch.autograd.grad((y * DY).sum(), leaf)[0].clone()

    return found


WAYS: dict[str, Callable[[Any], Any]] = {
    "backward": backward,
    "backward of backward": backward_of_backward,
    "forward mode": forward_mode,
    "forward mode of backward": forward_mode_of_backward,
    "backward of forward mode": backward_of_forward_mode,
    "torch.vmap": lambda f: lambda x: torch.vmap(f)(torch.stack([x, 2.0 * x])),
    "torch.func.grad": lambda f: func.grad(total(f)),
    "torch.func.vjp": lambda f: lambda x: func.vjp(f, x)[1](DY)[0],
    "torch.func.jvp": lambda f: lambda x: func.jvp(f, (x,), (U,))[1],
    "torch.func.jacrev": lambda f: func.jacrev(f),
    "torch.func.jacfwd": lambda f: func.jacfwd(f),
    "torch.func.hessian": lambda f: func.hessian(total(f)),
}


def compiled(function: Any) -> Any:
    torch.compiler.reset()
    return torch.compile(function, backend="aot_eager", fullgraph=True)


def asked_for(way: str, column: str) -> Any:
    if column == COLUMNS[0]:
        return WAYS[way](ours)
    if column == COLUMNS[1]:
        return compiled(WAYS[way](ours))
    return WAYS[way](compiled(ours))


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("way", TABLE)
def test_works_or_raises(way: str, column: str) -> None:
    wanted = WAYS[way](plain)(X)
    assert wanted.abs().max() > 0.1
    outcome = TABLE[way][COLUMNS.index(column)]
    try:
        got = asked_for(way, column)(X)
    except RuntimeError:  # all of PyTorch's refusals are
        assert outcome == RAISES
    else:
        assert outcome == WORKS
        torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-12)


NESTED = {
    "jacfwd of jacfwd": lambda f: func.jacfwd(func.jacfwd(total(f))),
    "jacrev of jacrev": lambda f: func.jacrev(func.jacrev(total(f))),
    "grad of grad": lambda f: func.grad(lambda x: (func.grad(total(f))(x) * U).sum()),
    "jacrev of jacfwd": lambda f: func.jacrev(func.jacfwd(total(f))),
    "jvp of jvp of grad": lambda f: (
        lambda x: func.jvp(lambda x: func.jvp(func.grad(total(f)), (x,), (U,))[1], (x,), (U,))[1]
    ),
    "grad of jvp of grad": lambda f: func.grad(
        lambda x: (func.jvp(func.grad(total(f)), (x,), (U,))[1] * FIXED).sum()
    ),
}


@pytest.mark.parametrize("way", NESTED)
def test_nested_transforms(way: str) -> None:
    got, wanted = (NESTED[way](function)(X) for function in (ours, plain))
    torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("way", ["jacfwd of jacfwd", "grad of grad"])
def test_nested_transforms_inside_a_compiled_function(way: str) -> None:
    twice = NESTED[way](sv.sa_softmax)
    got = compiled(twice)(X)
    assert got.abs().max() > 0.1
    torch.testing.assert_close(got, twice(X), rtol=1e-11, atol=1e-12)


def test_documented_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "pytorch.md"
    lines = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][1:] == list(COLUMNS)
    assert {way: tuple(outcomes) for way, *outcomes in cells[1 : len(TABLE) + 1]} == TABLE
