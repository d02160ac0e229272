"""The operators of compiled programs, by PyTorch's own checks, compiled, and called directly."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import softmax_variants as sv
from softmax_variants_backends.torch._operators import operators

func: Any = torch.func

_generator = torch.Generator().manual_seed(4)


def leaf(*shape: int, dtype: Any = torch.float32) -> Any:
    return torch.randn(shape, generator=_generator, dtype=dtype).requires_grad_()


X, DY = leaf(2, 3, 4), leaf(2, 3, 4)
S, B = leaf(3, 1), leaf(2, 1, 1, dtype=torch.float64)
N = torch.tensor([[[9]], [[70]]])
WHERE = torch.rand(3, 4, generator=_generator) > 0.3
CALLS = {
    "softmax": (operators.softmax, (X,)),
    "softmax, transposed": (operators.softmax, (X.detach().mT.requires_grad_(), 1, WHERE.mT)),
    "softmax_vjp": (operators.softmax_vjp, (X, DY, 2, WHERE)),
    "ssmax, tensors": (operators.ssmax, (X, S, B, N, 1.0, 0.0, None, 2, WHERE)),
    "ssmax, numbers": (operators.ssmax, (X, None, None, None, 0.5, 0.1, 7, 0)),
    "ssmax_vjp, tensors": (operators.ssmax_vjp, (X, DY, S, B, N, 1.0, 0.0, None, 2, WHERE)),
    "ssmax_vjp, numbers": (operators.ssmax_vjp, (X, DY)),
    "sa_softmax": (operators.sa_softmax, (X, "normalized", False, 2, WHERE)),
    "sa_softmax_vjp": (operators.sa_softmax_vjp, (X, DY, "minmax", True, 1)),
}


@pytest.mark.parametrize("call", CALLS)
def test_operators_pass_pytorchs_check(call: str) -> None:
    operator, arguments = CALLS[call]
    results: Any = torch.library.opcheck(operator.default, arguments)
    assert set(results.values()) == {"SUCCESS"}


def test_direct_calls_give_what_the_functions_give() -> None:
    where = WHERE.expand(2, 3, 4)
    pairs = [
        (operators.softmax(X), sv.softmax(X)),
        (operators.softmax(X, -2, where), sv.softmax(X, axis=1, where=where)),
        (operators.ssmax(X), sv.ssmax(X)),
        (operators.ssmax(X, S, None, N, 1.0, 0.5), sv.ssmax(X, S, 0.5, n=N)),
        (operators.ssmax(X, None, B, None, 0.43, 9.0, 5), sv.ssmax(X, 0.43, B, n=5)),
        (operators.sa_softmax(X, "plain"), sv.sa_softmax(X, form="plain")),
        (operators.softmax_vjp(X, DY), sv.softmax_vjp(X, DY)),
        (operators.sa_softmax_vjp(X, DY), sv.sa_softmax_vjp(X, DY)),
        *zip(
            operators.ssmax_vjp(X, DY, S, B, N),
            sv.ssmax_vjp(X, DY, S, B, n=N),
            strict=True,
        ),
        *zip(
            operators.ssmax_vjp(X, DY, None, None, None, 0.5, 0.25, 3),
            sv.ssmax_vjp(X, DY, 0.5, 0.25, n=3),
            strict=True,
        ),
    ]
    for got, wanted in pairs:
        assert got.requires_grad
        assert torch.equal(got, wanted)


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_derivatives_of_direct_calls() -> None:
    x, dy = X.detach().double(), DY.detach().double()
    s = S.detach().double()

    def by_operator(x: Any, s: Any) -> Any:
        return (operators.ssmax(x, s, None, None, 1.0, 0.25) * dy).sum()

    def by_function(x: Any, s: Any) -> Any:
        return (sv.ssmax(x, s, 0.25) * dy).sum()

    both = (0, 1)
    for take in (
        lambda f: func.grad(f, both)(x, s),
        lambda f: func.jvp(f, (x, s), (dy, s))[1:],
        lambda f: func.jacfwd(func.jacfwd(f), both)(x, s),
        lambda f: func.grad(lambda x, s: (func.grad(f)(x, s) * dy).sum(), both)(x, s),
        lambda f: [part for row in func.hessian(f, both)(x, s) for part in row],
        lambda f: torch.vmap(func.grad(f, both), (0, None))(x.unsqueeze(1), s),
        lambda f: torch.vmap(func.grad(f, both), (2, 0))(
            torch.stack([x, dy], 2), torch.stack([s, 2 * s])
        ),
    ):
        for got, wanted in zip(take(by_operator), take(by_function), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-14, atol=1e-14)


def every_function(x: Any, s: Any, b: Any, where: Any) -> Any:
    y = sv.softmax(x, where=where) + sv.sa_softmax(x, where=where, form="shifted", axis=0)
    dx, ds, db = sv.ssmax_vjp(x, y, s, b, where=where)
    return y + sv.ssmax(x, s, b, n=9) + dx + ds.sum() + db.sum()


def compiled(function: Any, **options: Any) -> Any:
    torch.compiler.reset()
    options = {"backend": "aot_eager", "fullgraph": True, **options}
    return torch.compile(function, **options)


def loss_and_gradients(function: Any, *arguments: Any) -> tuple[Any, ...]:
    y = function(*arguments)
    leaves = [value for value in arguments if getattr(value, "requires_grad", False)]
    return (y, *torch.autograd.grad(y, leaves, torch.cos(torch.arange(y.numel())).view_as(y)))


@pytest.mark.parametrize("name", ["eager", "aot_eager"])
def test_one_graph_forward_and_backward(name: str) -> None:
    arguments = (X, S, B, WHERE)
    wanted = loss_and_gradients(every_function, *arguments)
    got = loss_and_gradients(compiled(every_function, backend=name), *arguments)
    for one, other in zip(got, wanted, strict=True):
        assert torch.equal(one, other)


# Inductor's modules use what PyTorch itself calls deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inductor() -> None:
    def doubled(x: Any, s: Any) -> Any:
        return 2.0 * sv.ssmax(x, s, n=7) + 1.0

    wanted = loss_and_gradients(doubled, X, S)
    for got, other in zip(
        loss_and_gradients(compiled(doubled, backend="inductor"), X, S), wanted, strict=True
    ):
        torch.testing.assert_close(got, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dynamic", [None, True])
def test_lengths_and_numbers_that_vary(dynamic: Any) -> None:
    program = compiled(lambda x, s: sv.ssmax(x, s, n=x.shape[0] + 4), dynamic=dynamic)
    for rows, length, s in ((2, 5, 0.5), (3, 8, 0.25), (1, 1, 1.5), (4, 7, 2.5)):
        x = torch.randn(rows, length, generator=_generator).requires_grad_()
        wanted = loss_and_gradients(lambda x, s: sv.ssmax(x, s, n=x.shape[0] + 4), x, s)
        for got, other in zip(loss_and_gradients(program, x, s), wanted, strict=True):
            assert torch.equal(got, other)


def test_parameters_beside_lengths_that_vary() -> None:
    program = compiled(sv.ssmax, dynamic=True)
    for heads, length in ((3, 5), (4, 6)):
        x = torch.randn(2, heads, length, generator=_generator)
        s = torch.rand(heads, 1, generator=_generator)
        where = torch.rand(heads, length, generator=_generator) > 0.2
        assert torch.equal(program(x, s, where=where), sv.ssmax(x, s, where=where))


def test_compiled_and_eager_bits_are_the_same() -> None:
    plain = X.detach()
    for x in (plain, plain.double(), plain.bfloat16(), plain.mT):
        for function in (sv.softmax, sv.ssmax, sv.sa_softmax):
            assert torch.equal(compiled(function)(x), function(x))


def test_out_in_a_compiled_program() -> None:
    x, out = X.detach(), torch.empty(2, 3, 4)
    assert compiled(lambda x, out: sv.ssmax(x, out=out))(x, out) is out
    assert torch.equal(out, sv.ssmax(x))


def test_long_integers_in_a_compiled_program() -> None:
    n = 2**53 + 1
    assert torch.equal(compiled(lambda x: sv.ssmax(x, n=n))(X), sv.ssmax(X, n=n))
    with pytest.raises(RuntimeError, match="int of 71 bits: pass float"):
        compiled(lambda x: sv.ssmax(x, n=2**70 + 1))(X)


def test_export() -> None:
    class Weights(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return sv.sa_softmax(x)

    program = torch.export.export(Weights(), (X.detach(),))
    assert "softmax_variants.sa_softmax" in str(program.graph)
    exported: Any = program.module()
    assert torch.equal(exported(X.detach()), sv.sa_softmax(X.detach()))


def test_meta_tensors_have_shapes() -> None:
    x = torch.empty(2, 3, 4, device="meta", requires_grad=True)
    for weights in (sv.softmax(x), operators.softmax(x), operators.sa_softmax(x)):
        assert weights.device.type == "meta"
        assert weights.shape == x.shape
        weights.sum().backward()
    assert x.grad is not None
