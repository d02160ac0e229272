"""Tensors whose derivatives nobody records go to the CPU's kernels without an autograd function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad as untyped_forward_ad

import softmax_variants as sv
from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import torch as backend
from softmax_variants_backends._cpu import _torch_arrays
from softmax_variants_backends.torch import _autograd

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

forward_ad: Any = untyped_forward_ad
_generator = torch.Generator().manual_seed(9)
X, DY = (torch.randn(3, 4, generator=_generator) for _ in range(2))
S = torch.rand(3, 1, generator=_generator)
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


class Applied:
    """Counts calls of autograd functions."""

    def __init__(self) -> None:
        self.count = 0
        self._apply = _autograd._apply

    def __call__(self, *arguments: Any) -> Any:
        self.count += 1
        return self._apply(*arguments)


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> Applied:
    own = Applied()
    monkeypatch.setattr(_autograd, "_apply", own)
    return own


def weights(variant: Variant, x: Any, s: Any = S) -> Any:
    return variant.weights(backend, x, s=s, b=0.25, axis=1)


def gradients(variant: Variant, x: Any, dy: Any, s: Any = S) -> Any:
    return variant.gradients(backend, x, dy, s=s, b=0.25, axis=1)


@every_variant
def test_nothing_to_record(variant: Variant, applied: Applied) -> None:
    y, found = weights(variant, X), gradients(variant, X, DY)
    leaf = X.clone().requires_grad_()
    with torch.no_grad():
        assert torch.equal(weights(variant, leaf), y)
        assert not weights(variant, leaf).requires_grad
        gradients(variant, leaf, DY)
    with torch.inference_mode():
        assert torch.equal(weights(variant, X), y)
    assert not applied.count
    # The bits are those of the way with derivatives.
    recorded = weights(variant, leaf)
    assert applied.count == 1
    assert torch.equal(recorded, y)
    assert torch.equal(torch.autograd.grad(recorded, leaf, DY)[0], found[0])
    # The backward pass records nothing itself.
    assert applied.count == 1


@every_variant
def test_whoever_requires_grad_is_seen(variant: Variant, applied: Applied) -> None:
    assert weights(variant, X.clone().requires_grad_()).requires_grad
    for given in ((X.clone().requires_grad_(), DY), (X, DY.clone().requires_grad_())):
        assert gradients(variant, *given)[0].requires_grad
    assert applied.count == 3
    if variant.function == "ssmax":
        s = S.clone().requires_grad_()
        assert weights(variant, X, s).requires_grad
        assert all(value.requires_grad for value in gradients(variant, X, DY, s))
        assert applied.count == 5


@every_variant
def test_tangents_are_seen(variant: Variant, applied: Applied) -> None:
    with forward_ad.dual_level(), torch.no_grad():
        dual = forward_ad.make_dual(X, DY)
        moves = forward_ad.unpack_dual(weights(variant, dual)).tangent
        assert forward_ad.unpack_dual(gradients(variant, dual, DY)[0]).tangent is not None
        assert forward_ad.unpack_dual(gradients(variant, X, dual)[0]).tangent is not None
    assert applied.count >= 3
    assert torch.equal(moves, torch.func.jvp(lambda x: weights(variant, x), (X,), (DY,))[1])


@every_variant
def test_tensors_that_have_left_their_transform(variant: Variant) -> None:
    left = []

    def leave(x: Any) -> Any:
        left.append(x)
        return x.sum()

    torch.func.grad(leave)(X)
    (wrapper,) = left
    assert torch.equal(weights(variant, wrapper), weights(variant, X))
    with torch.no_grad():
        assert torch.equal(weights(variant, wrapper), weights(variant, X))
        for got, wanted in zip(
            gradients(variant, wrapper, DY), gradients(variant, X, DY), strict=True
        ):
            assert torch.equal(got, wanted)


def test_gradients_of_numbers_are_ordinary_tensors_wherever_the_first_ones_were_made() -> None:
    _torch_arrays._number.cache_clear()
    with torch.inference_mode():
        assert all(value.is_inference() for value in sv.ssmax_vjp(X, DY, 0.5))
    _, ds, db = sv.ssmax_vjp(X, DY, 0.5)
    assert ds.data_ptr() != db.data_ptr()
    weight = torch.ones((), requires_grad=True)
    (gradient,) = torch.autograd.grad(ds * weight + db, weight)
    assert torch.equal(gradient, ds)


def test_what_pytorch_computes_itself_is_still_an_autograd_function(applied: Applied) -> None:
    x = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64).reshape(3, 4)
    y = sv.ssmax(x, 2**53 + 1, -(2**53))
    assert applied.count == 1
    wanted = sv.ssmax(x.numpy(), 2**53 + 1, -(2**53))
    np.testing.assert_array_equal(y.numpy(), wanted)
