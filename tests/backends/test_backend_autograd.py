"""PyTorch's autograd: first gradients are the vjp's, bit for bit, only where asked for."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import torch as backend

SSMAX = Variant("ssmax")
DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str
)


def example(dtype: Any = torch.float64) -> tuple[Any, Any, Any]:
    """Return logits of 2 sequences, 3 heads, 4 queries and 5 keys, a cotangent and a mask."""
    generator = torch.Generator().manual_seed(12)
    x, dy = (4.0 * torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in "xy")
    where = torch.ones(4, 5, dtype=torch.bool).tril(1)
    return x.to(dtype), dy.to(dtype), where


@DTYPES
@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_gradients_are_those_of_the_vjp(variant: Variant, axis: int, dtype: Any) -> None:
    x, dy, where = example(dtype)
    leaf = x.clone().requires_grad_()
    options = {"axis": axis, "where": where, "s": 0.7, "b": -0.2}
    y = variant.weights(backend, leaf, **options)
    assert y.requires_grad
    assert torch.equal(y.detach(), variant.weights(backend, x, **options))
    y.backward(dy)
    wanted = variant.gradients(backend, x, dy, **options)[0]
    assert leaf.grad is not None
    assert leaf.grad.dtype == dtype
    assert torch.equal(leaf.grad, wanted)


@pytest.mark.parametrize("parameter_dtype", [torch.float32, torch.float64], ids=str)
@DTYPES
def test_parameters_of_heads_learn(dtype: Any, parameter_dtype: Any) -> None:
    x, dy, where = example(dtype)
    s = torch.tensor([0.3, 0.5, 0.9], dtype=parameter_dtype).reshape(3, 1, 1)
    b = torch.tensor([0.1, -0.2, 0.0], dtype=parameter_dtype).reshape(3, 1, 1)
    leaves = [value.clone().requires_grad_() for value in (x, s, b)]
    y = backend.ssmax(*leaves, n=None, axis=3, where=where, out=None)
    y.backward(dy)
    wanted = backend.ssmax_vjp(x, dy, s, b, n=None, axis=3, where=where)
    for leaf, gradient in zip(leaves, wanted, strict=True):
        assert leaf.grad is not None
        assert leaf.grad.shape == leaf.shape
        assert leaf.grad.dtype == leaf.dtype
        assert torch.equal(leaf.grad, gradient)
        assert (leaf.grad != 0).any()


@pytest.mark.parametrize("needed", list(product([False, True], repeat=3)), ids=str)
def test_only_what_is_asked_for_has_a_gradient(needed: tuple[bool, bool, bool]) -> None:
    x, dy, where = example()
    s, b = torch.full((3, 1, 1), 0.4), torch.zeros(())
    wanted = backend.ssmax_vjp(x, dy, s, b, n=7, axis=3, where=where)
    leaves = [v.clone().requires_grad_(n) for v, n in zip((x, s, b), needed, strict=True)]
    y = backend.ssmax(*leaves, n=7, axis=3, where=where, out=None)
    assert y.requires_grad == any(needed)
    if any(needed):
        y.backward(dy)
    for leaf, gradient, wants in zip(leaves, wanted, needed, strict=True):
        assert (leaf.grad is not None) == wants
        assert leaf.grad is None or torch.equal(leaf.grad, gradient)


def test_number_beside_a_parameter_that_learns() -> None:
    x, dy, _ = example()
    value = torch.full((), 0.6, dtype=torch.float64)
    for position in (1, 2):
        leaf = value.clone().requires_grad_()
        arguments: list[Any] = [x, 0.25, 0.25]
        arguments[position] = leaf
        y = backend.ssmax(*arguments, n=None, axis=3, where=None, out=None)
        y.backward(dy)
        _, s, b = (value if argument is leaf else argument for argument in arguments)
        wanted = backend.ssmax_vjp(x, dy, s, b, n=None, axis=3, where=None)[position]
        assert leaf.grad is not None
        assert torch.equal(leaf.grad, wanted)


def test_count_that_is_an_array_is_not_differentiated() -> None:
    x, dy, _ = example()
    n = torch.full((2, 1, 4, 1), 9.0)
    leaf = x.clone().requires_grad_()
    y = backend.ssmax(leaf, 0.43, 0.0, n=n, axis=3, where=None, out=None)
    y.backward(dy)
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, backend.ssmax_vjp(x, dy, 0.43, 0.0, n=n, axis=3, where=None)[0])
    assert n.grad is None


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_gradients_that_are_to_be_differentiated_have_the_same_bits(variant: Variant) -> None:
    x, dy, where = example()
    leaf = x.clone().requires_grad_()
    y = variant.weights(backend, leaf, axis=3, where=where)
    (dx,) = torch.autograd.grad(y, leaf, dy, create_graph=True)
    assert dx.requires_grad
    assert torch.equal(dx.detach(), variant.gradients(backend, x, dy, axis=3, where=where)[0])


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_no_graph_where_none_is_wanted(variant: Variant) -> None:
    x, dy, _ = example()
    assert not variant.weights(backend, x, axis=3).requires_grad
    leaf = x.clone().requires_grad_()
    with torch.no_grad():
        assert not variant.weights(backend, leaf, axis=3).requires_grad
    with torch.inference_mode():
        assert not variant.weights(backend, leaf, axis=3).requires_grad
    assert not any(value.requires_grad for value in variant.gradients(backend, x, dy, axis=3))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_inputs_and_cotangents_are_not_changed(variant: Variant) -> None:
    x, dy, where = example()
    kept = [value.clone() for value in (x, dy, where)]
    variant.weights(backend, x, axis=3, where=where).sum()
    variant.gradients(backend, x, dy, axis=3, where=where)
    assert all(torch.equal(one, other) for one, other in zip((x, dy, where), kept, strict=True))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_out(variant: Variant) -> None:
    x, _, where = example()
    wanted = variant.weights(backend, x, axis=3, where=where)
    for out in (
        torch.empty_like(x),
        x.clone(),
        torch.empty(5, 4, 3, 2, dtype=x.dtype).mT.mT.permute(3, 2, 1, 0),
    ):
        source = out if torch.equal(out, x) else x
        assert variant.weights(backend, source, axis=3, where=where, out=out) is out
        assert torch.equal(out, wanted)


@pytest.mark.parametrize("form", ["shifted", "minmax", "normalized"])
def test_detached_extrema_have_gradients_of_their_own(form: str) -> None:
    x, dy, _ = example()
    one, other = (
        Variant("sa_softmax", form, detach).gradients(backend, x, dy, axis=3)[0]
        for detach in (False, True)
    )
    assert not torch.equal(one, other)


def test_expanded_and_transposed_tensors() -> None:
    x, dy, _ = example()
    for variant in VARIANTS:
        transposed = x.mT.contiguous().mT
        assert torch.equal(
            variant.weights(backend, transposed, axis=3), variant.weights(backend, x, axis=3)
        )
        wide = x[:, :1].expand(2, 3, 4, 5)
        got = variant.gradients(backend, wide, dy, axis=3)[0]
        assert torch.equal(got, variant.gradients(backend, wide.contiguous(), dy, axis=3)[0])
