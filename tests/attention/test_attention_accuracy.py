"""In 16 bits, attention is off by at most twice what the formula in 16 bits is off by.

The rule of FlashAttention's tests: both are compared with float64 on the same 16-bit inputs, by the
largest absolute error, and one rounding of the largest value is allowed beside.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from attention_support.dense import dense_attention, dense_mask
from attention_support.examples import leaves
from softmax_variants.torch import attention


def by_formula(
    variant: str, q: Tensor, k: Tensor, v: Tensor, shown: Tensor, s: Tensor | float = 1.0
) -> Tensor:
    """Return attention by PyTorch's operations, each rounded to the dtype of its operands."""
    group = q.shape[1] // k.shape[1]
    x = q @ k.repeat_interleave(group, 1).mT / math.sqrt(q.shape[3])
    seen = shown.any(-1, keepdim=True)
    if variant == "ssmax":
        n = shown.sum(-1, keepdim=True).clamp(min=1)
        x = (s * n.log()).to(x.dtype) * x
    p = x.masked_fill(~(shown | ~seen), -math.inf).softmax(-1)
    if variant == "sa_softmax":
        low = x.masked_fill(~shown, math.inf).amin(-1, keepdim=True).clamp(max=0)
        high = x.masked_fill(~shown, -math.inf).amax(-1, keepdim=True).clamp(min=0)
        p = p * ((x - low) / torch.where(high > low, high - low, 1.0))
    p = torch.where(shown, p, 0.0)
    return p @ v.repeat_interleave(group, 1)


by_dtype = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
by_lengths = pytest.mark.parametrize("lengths", [(113, 203), (239, 1), (64, 64), (1, 97)], ids=str)


def tensors(lengths: tuple[int, int], dtype: torch.dtype) -> list[Tensor]:
    """Return q, k, v in 12 heads, 6 of keys and values; s of each; a cotangent."""
    queries, keys = lengths
    shapes = (1, 12, queries, 32), (1, 6, keys, 32), (1, 6, keys, 32)
    return [
        *leaves(31, *shapes, dtype=dtype),
        *leaves(32, (12, 1, 1), dtype=torch.float32),
        leaves(33, shapes[0], dtype=dtype)[0].detach(),
    ]


@by_lengths
@by_dtype
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("variant", ["ssmax", "sa_softmax"])
def test_errors_are_at_most_twice_those_of_the_formula(
    variant: str, causal: bool, dtype: torch.dtype, lengths: tuple[int, int]
):
    *inputs, cotangent = tensors(lengths, dtype)
    shown = dense_mask(1, 12, *lengths, causal=causal)
    names = ["out", "dq", "dk", "dv", "ds"]
    if variant != "ssmax":
        del inputs[3], names[4]
    doubles = [value.detach().double().requires_grad_() for value in inputs]
    s, exact_s = ({"s": learned[0]} if learned else {} for learned in (inputs[3:], doubles[3:]))
    results = {
        "exact": dense_attention(*doubles[:3], shown, variant=variant, **exact_s),
        "formula": by_formula(variant, *inputs[:3], shown, **s),
        "own": attention(*inputs[:3], variant=variant, causal=causal, **s),
    }
    values = {
        kind: [y, *torch.autograd.grad(y, doubles if kind == "exact" else inputs, cotangent.to(y))]
        for kind, y in results.items()
    }
    for name, own, formula, exact in zip(
        names, values["own"], values["formula"], values["exact"], strict=True
    ):
        assert own.dtype == formula.dtype
        error, allowed = ((value.double() - exact).detach() for value in (own, formula))
        # The largest of 12 errors is a matter of luck: of ds, they are squared and added.
        norm = math.inf if name != "ds" else 2
        rounding = torch.finfo(own.dtype).eps / 2 * exact.detach().abs().max()
        error, allowed = (torch.linalg.vector_norm(value, norm) for value in (error, allowed))
        assert error <= 2 * allowed + rounding, name


@by_lengths
@by_dtype
def test_softmax_is_that_of_pytorch(dtype: torch.dtype, lengths: tuple[int, int]):
    q, k, v, _, cotangent = tensors(lengths, dtype)
    results = [
        attention(q, k, v),
        torch.nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True),
    ]
    gradients = (torch.autograd.grad(out, (q, k, v), cotangent) for out in results)
    assert torch.equal(*results)
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
