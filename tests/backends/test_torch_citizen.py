"""The functions among PyTorch's own: autocast, grad modes, checkpoints, vmap, subclasses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.autograd import forward_ad as untyped_forward_ad
from torch.utils.checkpoint import checkpoint

import softmax_variants as sv
from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import torch as backend

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

func: Any = torch.func
forward_ad: Any = untyped_forward_ad
_generator = torch.Generator().manual_seed(6)
X = torch.randn(2, 3, 4, 5, generator=_generator)
DY = torch.randn(2, 3, 4, 5, generator=_generator)
S = torch.rand(3, 1, 1, generator=_generator)
WHERE = torch.ones(4, 5, dtype=torch.bool).tril(1)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def call(variant: Variant, x: Any, s: Any = S, where: Any = WHERE) -> Any:
    return variant.weights(backend, x, s=s, b=0.25, axis=3, where=where)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@every_variant
def test_autocast_leaves_results_alone(variant: Variant, dtype: Any) -> None:
    x = X.detach().to(dtype).requires_grad_()

    def everything() -> tuple[Any, ...]:
        y = call(variant, x)
        (dx,) = torch.autograd.grad(y, x, DY.to(dtype), create_graph=True)
        (ddx,) = torch.autograd.grad(dx, x, DY.to(dtype))
        tangent = func.jvp(lambda x: call(variant, x), (x,), (DY.to(dtype),))[1]
        return y, dx, ddx, tangent

    wanted = everything()
    with torch.autocast("cpu", torch.bfloat16):
        for got, other in zip(everything(), wanted, strict=True):
            assert got.dtype == dtype
            assert torch.equal(got, other)


def test_autocast_in_a_compiled_program() -> None:
    def scores(x: Any) -> Any:
        return sv.ssmax(x @ x.mT, S)

    x = X.clone().requires_grad_()
    torch.compiler.reset()
    program = torch.compile(scores, backend="aot_eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16):
        got, wanted = program(x), scores(x)
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, wanted)
    gradients = [torch.autograd.grad(y, x, torch.ones_like(y) / 3)[0] for y in (got, wanted)]
    torch.testing.assert_close(*gradients, rtol=2e-2, atol=1e-3)


@every_variant
def test_bits_are_the_same_however_they_are_asked_for(variant: Variant) -> None:
    for x, dy in ((X, DY), (X.double(), DY.double())):
        wanted = call(variant, x)
        dx = variant.gradients(backend, x, dy, s=S, b=0.25, axis=3, where=WHERE)[0]
        batch = torch.vmap(lambda x: call(variant, x, S))(torch.stack([x, -x]))
        assert torch.equal(batch[0], wanted)
        rows = torch.vmap(lambda x: variant.weights(backend, x, s=0.5), in_dims=2, out_dims=2)
        alone = variant.weights(backend, x[1, 2], s=0.5, axis=1)
        assert torch.equal(rows(x[1, 2].mT.reshape(5, 1, 4))[:, 0], alone.mT)
        value, pullback = func.vjp(lambda x: call(variant, x), x)
        assert torch.equal(value, wanted)
        assert torch.equal(pullback(dy)[0], dx)
        primal, _ = func.jvp(lambda x: call(variant, x), (x,), (dy,))
        assert torch.equal(primal, wanted)
        leaf = x.clone().requires_grad_()
        (recorded,) = torch.autograd.grad(call(variant, leaf), leaf, dy, create_graph=True)
        assert torch.equal(recorded, dx)


def test_gradients_of_parameters_in_a_batch() -> None:
    """Each element of a batch has gradients of its own, of Python numbers too."""
    x, dy = torch.stack([X, 2.0 * X, -X], 1), torch.stack([DY, DY, 3.0 * DY], 1)
    s = torch.stack([S, 2.0 * S, -S], 3)
    n = torch.tensor([7, 8, 9])

    def gradients(x: Any, dy: Any, s: Any, n: Any, b: Any = 0.25) -> Any:
        return sv.ssmax_vjp(x, dy, s, b, n=n)

    cases: tuple[tuple[Any, Any, Any], ...] = (
        (s, (1, 1, 3, None), 11),
        (S, (1, 1, None, 0), n),
        (0.5, (1, 1, None, None), 7),
        (s, (None, 1, 3, 0), n),
    )
    for parameter, axes, count in cases:
        data = X if axes[0] is None else x
        got = torch.vmap(gradients, in_dims=axes)(data, dy, parameter, count)
        for i in range(3):
            wanted = gradients(
                data if axes[0] is None else data[:, i],
                dy[:, i],
                parameter if axes[2] is None else parameter[..., i],
                count if axes[3] is None else count[i],
            )
            for one, other in zip(got, wanted, strict=True):
                assert one[i].dtype == other.dtype
                assert torch.equal(one[i], other)


def test_masks_in_a_batch() -> None:
    masks = torch.rand(3, 4, 5, generator=_generator) > 0.3
    got = torch.vmap(lambda where: sv.sa_softmax(X, where=where))(masks)
    for one, where in zip(got, masks, strict=True):
        assert torch.equal(one, sv.sa_softmax(X, where=where))


def test_nested_batches() -> None:
    got = torch.vmap(torch.vmap(func.grad(lambda x: (sv.ssmax(x, 0.5) * DY[0, 0]).sum())))(X)
    for i in range(2):
        for j in range(3):
            assert torch.equal(got[i, j], sv.ssmax_vjp(X[i, j], DY[0, 0], 0.5)[0])


@every_variant
def test_batched_gradients(variant: Variant) -> None:
    x = X.clone().requires_grad_()
    s = S.clone().requires_grad_()
    y = call(variant, x, s)
    rows = torch.stack([DY, -2.0 * DY])
    leaves = (x, s) if variant.function == "ssmax" else (x,)
    got = torch.autograd.grad(y, leaves, rows, is_grads_batched=True, retain_graph=True)
    for i, dy in enumerate(rows):
        wanted = torch.autograd.grad(y, leaves, dy, retain_graph=True)
        for one, other in zip(got, wanted, strict=True):
            assert torch.equal(one[i], other)


@every_variant
def test_checkpoint(variant: Variant) -> None:
    x = X.clone().requires_grad_()
    wanted = torch.autograd.grad(call(variant, x), x, DY)[0]
    for reentrant in (True, False):
        y: Any = checkpoint(lambda x: call(variant, x), x, use_reentrant=reentrant)
        y.backward(DY)
        assert x.grad is not None
        assert torch.equal(x.grad, wanted)
        x.grad = None


@pytest.mark.parametrize("changed", ["x", "s", "where"])
def test_changes_in_place_before_the_backward_pass_raise(changed: str) -> None:
    tensors = {"x": X.clone(), "s": S.clone(), "where": WHERE.clone()}
    leaf = torch.zeros((), requires_grad=True)
    y = call(Variant("ssmax"), tensors["x"] + leaf * 0.0, tensors["s"], tensors["where"])
    if changed == "x":
        held = tensors["x"] + leaf
        y = call(Variant("ssmax"), held)
        held.mul_(2.0)
    else:
        tensors[changed].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_the_result_may_be_changed_in_place() -> None:
    x = X.clone().requires_grad_()
    y = sv.softmax(x)
    y.mul_(2.0)
    y.backward(DY)
    assert x.grad is not None
    assert torch.equal(x.grad, sv.softmax_vjp(X, 2.0 * DY))


@every_variant
def test_grad_modes(variant: Variant) -> None:
    x = X.clone().requires_grad_()
    wanted = call(variant, X)
    with torch.no_grad():
        y = call(variant, x)
        assert not y.requires_grad
        assert torch.equal(y, wanted)
        # Transforms record for themselves.
        total = func.grad(lambda x: (call(variant, x) * DY).sum())(X)
        tangent = func.jvp(lambda x: call(variant, x), (X,), (DY,))[1]
    with torch.inference_mode():
        inference = X.clone()
        y = call(variant, inference)
        assert y.is_inference()
        assert torch.equal(y, wanted)
    assert torch.equal(
        total, variant.gradients(backend, X, DY, s=S, b=0.25, axis=3, where=WHERE)[0]
    )
    assert (tangent != 0.0).any()
    (dx,) = torch.autograd.grad(call(variant, x), x, DY, create_graph=True)
    with torch.no_grad():
        (ddx,) = torch.autograd.grad(dx, x, DY)
    assert not ddx.requires_grad
    assert (ddx != 0.0).any()


@every_variant
def test_forward_mode_of_a_backward_pass_that_records_nothing(variant: Variant) -> None:
    x, dy = X.double(), DY.double()

    def gradient(x: Any, *, create_graph: bool) -> Any:
        with forward_ad.dual_level():
            leaf = forward_ad.make_dual(x.clone().requires_grad_(), dy)
            y = call(variant, leaf)
            (dx,) = torch.autograd.grad(y, leaf, dy, create_graph=create_graph)
            return forward_ad.unpack_dual(dx).tangent.clone()

    got, wanted = (gradient(x, create_graph=create_graph) for create_graph in (False, True))
    assert (got != 0.0).any()
    assert torch.equal(got, wanted)


def test_batches_followed_in_forward_mode_where_nothing_is_recorded() -> None:
    x, dy = X.double(), DY.double()
    with torch.no_grad():
        got = func.jvp(lambda x: torch.vmap(sv.softmax_vjp)(x, dy), (x,), (dy,))[1]
    assert torch.equal(got, func.jvp(lambda x: sv.softmax_vjp(x, dy), (x,), (dy,))[1])


@pytest.mark.parametrize("variant", [Variant("softmax"), Variant("ssmax")], ids=str)
def test_zero_sizes(variant: Variant) -> None:
    for shape in ((0, 3, 4, 5), (2, 3, 4, 0)):
        x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        s = S.double().requires_grad_()
        leaves = (x, s) if variant.function == "ssmax" else (x,)
        y = call(variant, x, s, None)
        first = torch.autograd.grad(y, leaves, torch.ones_like(y), create_graph=True)
        second = torch.autograd.grad([value.sum() for value in first], leaves)
        tangent = func.jvp(lambda x: call(variant, x, S, None), (x,), (torch.ones_like(x),))[1]
        for got, leaf in zip((*second, tangent), (*leaves, x), strict=True):
            assert got.shape == leaf.shape
            assert (got == 0.0).all()


def test_subclasses_keep_their_type() -> None:
    class Logits(torch.Tensor):
        pass

    y = sv.sa_softmax(X.as_subclass(Logits))
    assert type(y) is Logits
    assert torch.equal(y.as_subclass(torch.Tensor), sv.sa_softmax(X))
    parameter = torch.nn.Parameter(X)
    assert type(sv.sa_softmax(parameter)) is torch.Tensor
    assert sv.sa_softmax(parameter).requires_grad


def test_threads() -> None:
    """The backward pass runs in a thread of its own where autograd decides so."""
    x = X.clone().requires_grad_()
    y = sv.softmax(x)
    with torch.autograd.set_multithreading_enabled(False):
        y.backward(DY)
    assert x.grad is not None
    assert torch.equal(x.grad, sv.softmax_vjp(X, DY))
