"""Attention is the variant's function of the logits times the values, for every kind of mask."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from attention_support.dense import dense_attention, dense_mask
from attention_support.examples import Example, examples, leaves
from softmax_variants.torch import SASoftmax, Softmax, SSMax, attention, visible_keys
from softmax_variants_backends.torch.attention import _call, _dot_product, _masked

VARIANTS = ["softmax", "ssmax", "sa_softmax"]
by_variant = pytest.mark.parametrize("variant", VARIANTS)


def parameters(variant: str, heads: int) -> dict[str, Tensor]:
    """Return s for each head, and one b, of SSMax."""
    if variant != "ssmax":
        return {}
    s, b = leaves(9, (heads, 1, 1), (1,))
    return {"s": s, "b": b}


def agree(got: Tensor, wanted: Tensor, inputs: list[Tensor], tolerance: float = 1e-12) -> None:
    """Compare results in float64, and their gradients for a cotangent that is not constant."""
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    (cotangent,) = (value.detach() for value in leaves(8, wanted.shape))
    pairs = [(got, wanted)]
    if wanted.requires_grad:
        gradients = (torch.autograd.grad(y, inputs, cotangent) for y in (got, wanted))
        pairs += zip(*gradients, strict=True)
    for one, other in pairs:
        scale = 1.0 + float(other.detach().abs().max()) if other.numel() else 1.0
        assert ((one - other).detach().abs() <= tolerance * scale).all()


def check(example: Example, variant: str, **options: Any) -> None:
    """Compare attention with the dense formula."""
    q, k, v = example.tensors(seed=4)
    learned = parameters(variant, example.heads)
    arguments = example.arguments
    got = attention(q, k, v, variant=variant, **learned, **arguments, **options)
    mask = arguments.get("mask")
    wanted = dense_attention(
        q,
        k,
        v,
        dense_mask(*example.shape, **arguments),
        variant=variant,
        bias=None if mask is None or mask.dtype == torch.bool else mask,
        **learned,
        **options,
    )
    agree(got, wanted, [q, k, v, *learned.values()])


@by_variant
@settings(max_examples=40, deadline=None, derandomize=True)
@given(examples())
def test_combinations(variant: str, example: Example):
    check(example, variant)


LONG = {
    "square": {"causal": True},
    "window": {"causal": True, "window": 10},
    "short window": {"window": 3},
    "two-sided window": {"window": (7, 5)},
    "window on the right": {"window": (None, 11)},
    "window on the left": {"window": (13, None)},
    "window and offset": {"causal": True, "window": 12, "offset": 9},
    "offset": {"causal": True, "offset": -9},
    "later offset": {"causal": True, "offset": 11},
    "documents": {"cu_seqlens": torch.tensor([0, 1, 1, 20, 60]), "causal": True, "window": 9},
    "lengths": {"key_lengths": torch.tensor([60, 0]), "causal": True},
}


@by_variant
@pytest.mark.parametrize("kind", LONG)
def test_sequences_of_several_blocks(kind: str, variant: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_dot_product, "SMALLEST_BLOCK", 8)
    monkeypatch.setattr(_dot_product, "LARGEST_BLOCK", 10)
    check(Example(2, 2, 1, 60, 60, LONG[kind]), variant)


@by_variant
def test_fewer_queries_than_keys_and_more(variant: str):
    check(Example(1, 2, 2, 5, 12, {"causal": True}), variant)
    check(Example(1, 2, 2, 12, 5, {"causal": True}), variant)
    check(Example(1, 2, 2, 1, 9, {"causal": True, "window": 4}), variant)


@by_variant
def test_masks_are_written_for_blocks_of_queries(variant: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_masked, "MASK_ENTRIES", 2 * 40 * 20)
    (bias,) = (value.detach() for value in leaves(11, (2, 1, 100, 40)))
    for arguments in (
        {"causal": True, "mask": torch.arange(40) % 7 > 0},
        {"mask": bias.masked_fill(bias > 1.0, -math.inf), "window": (None, 3), "offset": -5},
        {"mask": bias > 0.5},
        {"causal": True, "key_lengths": torch.tensor([7, 40]), "offset": 0},
    ):
        check(Example(2, 2, 1, 100, 40, arguments), variant)


@by_variant
def test_scale(variant: str):
    check(Example(1, 2, 1, 4, 5, {}), variant, scale=0.7)


@pytest.mark.parametrize("form", ["normalized", "minmax", "shifted", "plain"])
@pytest.mark.parametrize("detach_extrema", [False, True])
def test_forms_of_sa_softmax(form: str, detach_extrema: bool):
    example = Example(2, 2, 1, 5, 6, {"causal": True})
    check(example, "sa_softmax", form=form, detach_extrema=detach_extrema)


def test_modules():
    example = Example(2, 4, 2, 5, 6, {})
    q, k, v = example.tensors(seed=3)
    module = SSMax(4, init=0.43, bias=0.2, dtype=torch.float64)
    with torch.no_grad():
        module.s += torch.arange(4)
    plain: dict[str, Any] = {"variant": "ssmax", "s": module.s[:, None, None], "b": 0.2}
    assert torch.equal(attention(q, k, v, variant=module), attention(q, k, v, **plain))
    attention(q, k, v, variant=module, causal=True).sum().backward()
    assert module.s.grad is not None
    assert module.b is not None
    assert module.b.grad is not None
    assert module.s.grad.ne(0).all()
    for other, options in (
        (Softmax(), {"variant": "softmax"}),
        (Softmax(3), {"variant": "softmax"}),
        (SASoftmax("shifted"), {"variant": "sa_softmax", "form": "shifted"}),
        (SASoftmax(detach_extrema=True), {"variant": "sa_softmax", "detach_extrema": True}),
    ):
        one, same = attention(q, k, v, variant=other), attention(q, k, v, **options)
        agree(one, same, [q, k, v], tolerance=0.0)
    # The number of keys is of the call.
    given = attention(q, k, v, variant=module, n=11)
    assert torch.equal(given, attention(q, k, v, n=11, **plain))


@pytest.mark.parametrize("n", [9, 2.5, torch.tensor([3, 5, 7, 9]).view(4, 1)])
def test_given_number_of_keys(n: Any):
    example = Example(2, 2, 1, 4, 5, {"causal": True})
    q, k, v = example.tensors(seed=5)
    got = attention(q, k, v, variant="ssmax", s=0.7, b=-0.1, n=n, causal=True)
    shown = dense_mask(*example.shape, causal=True)
    wanted = dense_attention(q, k, v, shown, variant="ssmax", s=0.7, b=-0.1, n=n)
    agree(got, wanted, [q, k, v])


def test_given_number_of_keys_beside_queries_that_see_nothing():
    example = Example(1, 1, 1, 3, 2, {"causal": True})
    q, k, v = example.tensors(seed=5)
    n = visible_keys(3, 2, causal=True)
    got = attention(q, k, v, variant="ssmax", s=0.7, b=0.3, n=n, causal=True)
    agree(got, attention(q, k, v, variant="ssmax", s=0.7, b=0.3, causal=True), [q, k, v])


@pytest.mark.parametrize("s", [0.6, 0.0, -0.4])
def test_additive_mask_is_scaled_with_the_logits(s: float):
    example = Example(2, 2, 2, 4, 5, {})
    q, k, v = example.tensors(seed=6)
    (bias,) = leaves(7, (2, 4, 5))
    hidden = torch.zeros(2, 4, 5, dtype=torch.bool)
    hidden[:, :2, 3:] = True
    hidden[1, 3] = True
    values = torch.tensor(s, dtype=torch.float64, requires_grad=True)
    options: dict[str, Any] = {"variant": "ssmax", "s": values, "b": 0.0}
    got = attention(q, k, v, mask=bias.masked_fill(hidden, -math.inf), **options)
    wanted = dense_attention(q, k, v, ~hidden.expand(2, 2, 4, 5), bias=bias, **options)
    agree(got, wanted, [q, k, v, bias, values])


@by_variant
def test_additive_masks_learn(variant: str):
    q, k, v = Example(2, 2, 1, 4, 5, {}).tensors(seed=6)
    (bias,) = leaves(7, (1, 2, 4, 5))
    shown = dense_mask(2, 2, 4, 5, causal=True)
    got = attention(q, k, v, variant=variant, mask=bias, window=(None, 0))
    wanted = dense_attention(q, k, v, shown, variant=variant, bias=bias)
    agree(got, wanted, [q, k, v, bias])


@by_variant
@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (2, 0, 3, 4), (2, 2, 0, 4), (2, 2, 3, 0)])
def test_nothing_to_attend(shape: tuple[int, int, int, int], variant: str):
    batch, heads, queries, keys = shape
    example = Example(batch, heads, heads, queries, keys, {"causal": True})
    q, k, v = example.tensors(seed=1)
    lengths = torch.full((batch,), keys)
    out = attention(q, k, v, variant=variant, causal=True, key_lengths=lengths)
    assert out.shape == (batch, heads, queries, 3)
    assert out.eq(0).all()
    for gradient in torch.autograd.grad(out.sum(), (q, k, v)):
        assert gradient.eq(0).all()


class Kernels:
    """Calls of scaled_dot_product_attention, each with what it was given for a mask."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.shared: list[bool] = []
        self._attention = _call.scaled_dot_product_attention

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        mask = options["attn_mask"]
        self.shared.append(q.shape[1] != k.shape[1])
        self.calls.append(
            "causal" if options["is_causal"] else mask if mask is None else mask.numel()
        )
        return self._attention(q, k, v, **options)


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        ({"causal": True}, ["causal"]),
        ({}, [None]),
        ({"causal": True, "window": 300}, ["causal"]),
        ({"window": (300, 300)}, [None]),
        ({"causal": True, "offset": 299}, [None]),
        (
            {"cu_seqlens": torch.tensor([0, 100, 101, 300]), "causal": True},
            ["causal", None, "causal"],
        ),
        ({"cu_seqlens": torch.tensor([0, 100, 300])}, [None, None]),
        # The first 63 queries see less than the window; 3 blocks of 64, of 127 keys; 45 queries.
        ({"causal": True, "window": 64}, ["causal", 64 * 127, 45 * 108]),
        ({"key_lengths": torch.tensor([20])}, [300]),
        ({"mask": torch.ones(1, 1, 1, 300, dtype=torch.bool)}, [300]),
        ({"causal": True, "cache_position": torch.arange(300)}, [300 * 300]),
    ],
)
def test_masks_are_not_written_where_kernels_have_flags(
    arguments: dict[str, Any], calls: list[Any], monkeypatch: pytest.MonkeyPatch
):
    kernels = Kernels()
    monkeypatch.setattr(_call, "scaled_dot_product_attention", kernels)
    q, k, v = Example(1, 2, 1, 300, 300, {}).tensors(seed=2)
    attention(q, k, v, variant="ssmax", **arguments)
    assert kernels.calls == calls


def test_one_query_that_sees_all_keys_needs_no_mask(monkeypatch: pytest.MonkeyPatch):
    kernels = Kernels()
    monkeypatch.setattr(_call, "scaled_dot_product_attention", kernels)
    q, k, v = Example(1, 2, 1, 1, 30, {}).tensors(seed=2)
    attention(q, k, v, causal=True)
    attention(q, k, v, causal=True, window=10)
    assert kernels.calls == [None, None]


@pytest.mark.parametrize("kind", ["no mask", "causal", "mask"])
def test_heads_are_repeated_where_no_kernel_shares_them(kind: str, monkeypatch: pytest.MonkeyPatch):
    kernels = Kernels()
    monkeypatch.setattr(_call, "scaled_dot_product_attention", kernels)
    monkeypatch.setattr(_call, "_kernel_shares_heads", lambda q, mask: False)
    mask = torch.arange(5) % 2 == 0
    arguments = {"no mask": {}, "causal": {"causal": True}, "mask": {"mask": mask}}[kind]
    check(Example(2, 4, 2, 5, 5, arguments), "ssmax")
    assert kernels.shared == [False]


def test_kernels_with_a_flag_for_fewer_queries_than_keys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_call.Call, "has_lower_right", lambda *_: True)
    check(Example(2, 4, 2, 5, 9, {"causal": True}), "ssmax")
    check(Example(2, 4, 2, 5, 9, {"causal": True, "offset": 2}), "ssmax")
    check(Example(2, 4, 2, 5, 9, {"causal": True, "offset": 7}), "ssmax")


def test_dropout():
    q, k, v = (value.detach() for value in Example(1, 1, 1, 1, 4096, {}).tensors(seed=2))
    k *= 0.01
    for variant in VARIANTS:
        torch.manual_seed(5)
        first = attention(q, k, torch.ones_like(v), variant=variant, dropout_p=0.25)
        second = attention(q, k, torch.ones_like(v), variant=variant, dropout_p=0.25)
        torch.manual_seed(5)
        again = attention(q, k, torch.ones_like(v), variant=variant, dropout_p=0.25)
        whole = attention(q, k, torch.ones_like(v), variant=variant)
        assert torch.equal(first, again)
        assert not torch.equal(first, second)
        # The mean of 4096 weights, a quarter of them dropped, within 5 standard deviations.
        assert (first - whole).abs().max() < 0.2 * whole.max()
