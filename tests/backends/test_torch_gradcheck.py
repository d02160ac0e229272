"""PyTorch's own checks of derivatives, in both modes and in batches, for every function and form.

Logits have no near ties: differences step over an extremum there. Where extrema are detached, the
derivatives are not those of the function that differences see; those are checked where they are
compared with exact ones, and here by what PyTorch's ``detach`` makes of the formula.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import torch as backend

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

DIFFERENTIATED = [variant for variant in VARIANTS if not variant.detach_extrema]
DETACHED = [variant for variant in VARIANTS if variant.detach_extrema]
WHERE = torch.tensor([[True, True, True], [True, False, True]])


def example(variant: Variant) -> tuple[Any, ...]:
    """Return logits, and of SSMax s of rows and b of all, to differentiate by."""
    x = torch.tensor([[2.5, -1.25, 0.5], [-2.0, 7.0, -0.75]], dtype=torch.float64)
    parameters = (torch.tensor([[0.7], [1.3]]).double(), torch.tensor(0.2).double())
    wanted = (x, *parameters) if variant.function == "ssmax" else (x,)
    return tuple(value.requires_grad_() for value in wanted)


def weights(variant: Variant) -> Any:
    def function(x: Any, s: Any = 1.0, b: Any = 0.0) -> Any:
        return variant.weights(backend, x, s=s, b=b, axis=1, where=WHERE)

    return function


def gradients(variant: Variant) -> Any:
    def function(x: Any, dy: Any, s: Any = 1.0, b: Any = 0.0) -> Any:
        return variant.gradients(backend, x, dy, s=s, b=b, axis=1, where=WHERE)

    return function


@pytest.mark.parametrize("variant", DIFFERENTIATED, ids=str)
def test_weights(variant: Variant) -> None:
    assert torch.autograd.gradcheck(
        weights(variant),
        example(variant),
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )
    assert torch.autograd.gradgradcheck(
        weights(variant),
        example(variant),
        check_fwd_over_rev=True,
        check_rev_over_rev=True,
        check_batched_grad=True,
        fast_mode=True,
    )


@pytest.mark.parametrize("variant", DIFFERENTIATED, ids=str)
def test_gradients(variant: Variant) -> None:
    x, *parameters = example(variant)
    dy = torch.tensor([[0.5, -1.0, 2.0], [1.5, 3.0, -0.5]]).double().requires_grad_()
    assert torch.autograd.gradcheck(
        gradients(variant),
        (x, dy, *parameters),
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
        fast_mode=True,
    )
    assert torch.autograd.gradgradcheck(
        gradients(variant), (x, dy, *parameters), check_fwd_over_rev=True, fast_mode=True
    )


def detached(variant: Variant, x: Any) -> Any:
    """Return the weights of whole rows by the formula, with PyTorch's detach at the extrema."""
    low, high = x.amin(1, keepdim=True).detach(), x.amax(1, keepdim=True).detach()
    p = torch.softmax(x, 1)
    if variant.form == "shifted":
        return (x - low) * p
    if variant.form == "normalized":
        low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    return (x - low) / (high - low) * p


@pytest.mark.parametrize("variant", DETACHED, ids=str)
def test_detached_extrema(variant: Variant) -> None:
    x = example(variant)[0].detach()
    dy = torch.tensor([[0.5, -1.0, 2.0], [1.5, 3.0, -0.5]]).double()
    func: Any = torch.func
    functions = (
        lambda x: (variant.weights(backend, x, axis=1) * dy).sum(),
        lambda x: (detached(variant, x) * dy).sum(),
    )
    for take in (func.grad, func.jacfwd, func.hessian, lambda f: func.jacrev(func.hessian(f))):
        got, wanted = (take(function)(x) for function in functions)
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-13)
