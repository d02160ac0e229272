"""Attention in every mode of PyTorch: kernels, autocast, compiled, transformed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.func import jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from attention_support.dense import dense_attention, dense_mask
from attention_support.examples import leaves
from softmax_variants.torch import SSMax, attention
from softmax_variants_backends.torch.attention import _call

if TYPE_CHECKING:
    from collections.abc import Callable

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
VARIANTS = ["softmax", "ssmax", "sa_softmax"]
by_variant = pytest.mark.parametrize("variant", VARIANTS)
forward_mode = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


def tensors(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return leaves(41, (2, 4, 7, 8), (2, 2, 7, 8), (2, 2, 7, 8), dtype=dtype)


LEFT_PADDING = torch.arange(7) >= torch.tensor([3, 7])[:, None, None, None]
MASKS: dict[str, dict[str, Any]] = {
    "causal": {"causal": True, "offset": -2},
    "left padding": {"causal": True, "mask": LEFT_PADDING},
    "key lengths": {"key_lengths": torch.tensor([0, 4])},
    "additive": {"mask": torch.zeros(2, 1, 7, 7).masked_fill(~LEFT_PADDING, -math.inf)},
    "smallest": {"mask": torch.zeros(2, 1, 1, 7).masked_fill(~LEFT_PADDING, -3.4e38)},
    "packed": {"cu_seqlens": torch.tensor([0, 3, 7]), "key_lengths": torch.tensor([2, 5])},
    "window": {"window": (1, 1), "offset": 5},
}


def empty_rows_are_zero(dtype: torch.dtype, kind: str, variant: str) -> None:
    q, k, v = tensors(dtype)
    arguments = MASKS[kind]
    out = attention(q, k, v, variant=variant, **arguments)
    shown = dense_mask(2, 4, 7, 7, **arguments)
    empty = ~shown.any(-1)
    assert empty.any()
    assert not empty.all()
    assert out[empty].eq(0).all()
    # SA-Softmax of one negative logit is 0.
    assert out[~empty].ne(0).all() or variant == "sa_softmax"
    gradients = torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert gradients[0][empty].eq(0).all()
    unseen = ~shown.any(2).unflatten(1, (2, 2)).any(2)
    assert gradients[1][unseen].eq(0).all()
    assert gradients[2][unseen].eq(0).all()


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("kernel", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_queries_that_see_nothing(dtype: torch.dtype, kernel: SDPBackend, kind: str):
    with sdpa_kernel([kernel]):
        empty_rows_are_zero(dtype, kind, "softmax")
        empty_rows_are_zero(dtype, kind, "ssmax")


@pytest.mark.parametrize("kind", MASKS)
def test_queries_that_see_nothing_in_sa_softmax(kind: str):
    empty_rows_are_zero(torch.float32, kind, "sa_softmax")


@pytest.mark.parametrize("kind", MASKS)
def test_queries_that_see_nothing_where_a_kernel_makes_nan_of_them(
    kind: str, monkeypatch: pytest.MonkeyPatch
):
    def unsafe(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        group = q.shape[1] // k.shape[1]
        x = options["scale"] * q @ k.repeat_interleave(group, 1).mT
        mask = options["attn_mask"]
        if options["is_causal"]:
            mask = torch.ones(x.shape[-2:], dtype=torch.bool).tril()
        if mask is not None:
            mask = mask if mask.dtype != torch.bool else torch.where(mask, 0.0, -math.inf)
            x = x + mask
        e = x.exp()
        return e / e.sum(-1, keepdim=True) @ v.repeat_interleave(group, 1)

    monkeypatch.setattr(_call, "scaled_dot_product_attention", unsafe)
    empty_rows_are_zero(torch.float64, kind, "ssmax")


@by_variant
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast(dtype: torch.dtype, variant: str):
    q, k, v = tensors(torch.float32)
    parameters = {"s": torch.tensor(0.7, requires_grad=True)} if variant == "ssmax" else {}
    with torch.autocast("cpu", dtype=dtype):
        out = attention(q, k, v, variant=variant, causal=True, **parameters)
        mixed = attention(q.to(dtype), k, v, variant="softmax")
        double = attention(q.double(), k.double(), v.double(), variant=variant)
    assert out.dtype == mixed.dtype == dtype
    assert double.dtype == torch.float64
    gradients = torch.autograd.grad(out.float().sum(), (q, k, v, *parameters.values()))
    assert all(gradient.dtype == torch.float32 for gradient in gradients)
    # k and v are rounded, and q: with SSMax after it is scaled.
    rounded = [k.detach().to(dtype), v.detach().to(dtype)]
    if variant == "ssmax":
        n = torch.arange(1, 8, dtype=torch.float64).view(7, 1)
        scaled = (q.detach() * (0.7 * n.log()).float()).to(dtype)
        wanted = attention(scaled, *rounded, causal=True)
        assert (out - wanted).abs().max() <= 2 * torch.finfo(dtype).eps
    else:
        wanted = attention(q.detach().to(dtype), *rounded, variant=variant, causal=True)
        assert torch.equal(out, wanted)


COMPILED: dict[str, dict[str, Any]] = {
    "all": {},
    "causal": {"causal": True},
    "window": {"causal": True, "window": 3},
    "padding": {"causal": True, "mask": LEFT_PADDING},
    "additive": {"mask": torch.linspace(-1, 1, 49, dtype=torch.float64).view(7, 7)},
    "decoding": {"causal": True, "cache_position": torch.arange(7)},
    "lengths": {"key_lengths": torch.tensor([3, 7]), "causal": True},
}


def compare_compiled(
    function: Callable[..., Tensor], backend: str, inputs: list[Tensor], tolerance: float
) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, backend=backend)
    got, wanted = compiled(*inputs), function(*inputs)
    (cotangent,) = (value.detach() for value in leaves(42, wanted.shape, dtype=wanted.dtype))
    pairs = [(got, wanted)]
    pairs += zip(*(torch.autograd.grad(y, inputs, cotangent) for y in (got, wanted)), strict=True)
    for one, other in pairs:
        assert torch.allclose(one, other, rtol=tolerance, atol=tolerance)


@by_variant
@pytest.mark.parametrize("kind", COMPILED)
def test_compiled(kind: str, variant: str):
    inputs, parameters = tensors(), leaves(43, (4, 1, 1)) if variant == "ssmax" else []

    def function(q: Tensor, k: Tensor, v: Tensor, *s: Tensor) -> Tensor:
        options = {"s": s[0]} if s else {}
        return attention(q, k, v, variant=variant, **options, **COMPILED[kind])

    compare_compiled(function, "aot_eager", inputs + parameters, 1e-12)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_compiled_by_inductor():
    inputs, module = tensors(torch.float32), SSMax(4)

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attention(q, k, v, variant=module, causal=True)

    compare_compiled(function, "inductor", inputs, 1e-5)


def test_compiled_for_lengths_that_vary():
    function = torch.compile(
        lambda q, k, v: attention(q, k, v, variant="ssmax", causal=True),
        fullgraph=True,
        backend="aot_eager",
        dynamic=True,
    )
    for length in (5, 9, 12):
        q, k, v = leaves(length, *[(1, 2, length, 4)] * 3)
        wanted = attention(q, k, v, variant="ssmax", causal=True)
        assert torch.allclose(function(q, k, v), wanted, rtol=0.0, atol=1e-14)


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@by_variant
def test_vmap(variant: str):
    q, k, v = (value.detach() for value in tensors())
    many = [torch.stack([value, value.flip(2), 2 * value]) for value in (q, k, v)]

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attention(q, k, v, variant=variant, causal=True)

    wanted = torch.stack([function(*one) for one in zip(*many, strict=True)])
    assert torch.allclose(vmap(function)(*many), wanted, rtol=0.0, atol=1e-14)


@forward_mode
@by_variant
def test_forward_mode_works_or_raises(variant: str):
    q, k, v = (value.detach() for value in tensors())
    shown = dense_mask(2, 4, 7, 7, causal=True)

    def function(q: Tensor) -> Tensor:
        return attention(q, k, v, variant=variant, causal=True)

    try:
        _, tangent = jvp(function, (q,), (torch.ones_like(q),))
    except (NotImplementedError, RuntimeError):
        return
    _, wanted = jvp(
        lambda q: dense_attention(q, k, v, shown, variant=variant), (q,), (torch.ones_like(q),)
    )
    assert torch.allclose(tangent, wanted, rtol=0.0, atol=1e-12)


@by_variant
def test_second_derivatives_work_or_raise(variant: str):
    q, k, v = tensors()
    out = attention(q, k, v, variant=variant, causal=True)
    try:
        (dq,) = torch.autograd.grad((out**2).sum(), q, create_graph=True)
        (second,) = torch.autograd.grad(dq.sum(), q)
    except (NotImplementedError, RuntimeError):
        return
    exact = dense_attention(q, k, v, dense_mask(2, 4, 7, 7, causal=True), variant=variant)
    (dq,) = torch.autograd.grad((exact**2).sum(), q, create_graph=True)
    (wanted,) = torch.autograd.grad(dq.sum(), q)
    assert torch.allclose(second, wanted, rtol=0.0, atol=1e-11)


@pytest.mark.parametrize("variant", ["softmax", "ssmax"])
def test_second_derivatives_by_the_kernel_that_has_them(variant: str):
    q, k, v = leaves(44, (1, 2, 3, 2), (1, 1, 3, 2), (1, 1, 3, 2))
    (s,) = leaves(45, (2, 1, 1))
    parameters = [s] if variant == "ssmax" else []

    def function(q: Tensor, k: Tensor, v: Tensor, *s: Tensor) -> Tensor:
        options = {"s": s[0]} if s else {}
        return attention(q, k, v, variant=variant, causal=True, **options)

    with sdpa_kernel([SDPBackend.MATH]):
        assert torch.autograd.gradcheck(function, (q, k, v, *parameters))
        assert torch.autograd.gradgradcheck(function, (q, k, v, *parameters))


@by_variant
def test_layouts(variant: str):
    q, k, v = (value.detach() for value in tensors())
    wanted = attention(q, k, v, variant=variant, causal=True)
    turned = [value.transpose(1, 2).contiguous().transpose(1, 2) for value in (q, k, v)]
    got = attention(*turned, variant=variant, causal=True)
    assert torch.allclose(got, wanted, rtol=0.0, atol=1e-14)
    spread = [value.mT.contiguous().mT for value in (q, k, v)]
    got = attention(*spread, variant=variant, causal=True)
    assert torch.allclose(got, wanted, rtol=0.0, atol=1e-14)
