"""ssmax_query_scale: one rounding, exact gradients, every way of differentiating."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, jacrev, jvp, vmap

from attention_support.examples import leaves
from softmax_variants.torch import ssmax_query_scale
from softmax_variants_backends.torch.attention import _query_scale, _triton_launch

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
by_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
# PyTorch's own, when forward mode is first used.
forward_mode = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
COUNTS = torch.tensor([1, 2, 7, 1000]).view(4, 1)


def example(dtype: torch.dtype, parameters: torch.dtype = torch.float64) -> list[Tensor]:
    """Return queries of 2 sequences, 3 heads, 4 queries; s per head, b per sequence and head."""
    (q,) = leaves(1, (2, 3, 4, 5), dtype=dtype)
    return [q, *leaves(2, (3, 1, 1), (2, 3, 1, 1), dtype=parameters)]


def exact(q: Tensor, s: Tensor, b: Tensor, n: Tensor) -> Tensor:
    """Return (s ln n + b) q in float64."""
    return (s.double() * n.double().log() + b.double()) * q.double()


def ulps(got: Tensor, wanted: Tensor) -> float:
    """Return the largest error in units in the last place of got's dtype."""
    info = torch.finfo(got.dtype)
    _, exponent = torch.frexp(wanted.abs().clamp(min=info.tiny))
    unit = info.eps * (exponent - 1).double().exp2()
    return float(((got.double() - wanted).abs() / unit).max())


@by_dtype
def test_one_rounding(dtype: torch.dtype):
    (q,) = (value.detach() for value in leaves(3, (64, 3, 4, 16), dtype=dtype))
    _, s, b = (value.detach() for value in example(dtype))
    scaled = ssmax_query_scale(q, s, b[0], n=COUNTS)
    assert scaled.dtype == dtype
    assert scaled.shape == q.shape
    # Beside half a unit: c and the product in float32, 13 and 16 bits wider than the results; in
    # float64 for float32. In float64 itself c's roundings are seen: of ln n, s ln n, c, c q.
    slack = {torch.float16: 2**-11, torch.bfloat16: 2**-14, torch.float32: 2**-26}
    assert ulps(scaled, exact(q, s, b[0], COUNTS)) <= 0.5 + slack.get(dtype, 3.0)


def test_counts_are_exact():
    q = torch.ones(2, 1, dtype=torch.float64)
    n = torch.tensor([[2**24], [2**24 + 1]])
    scaled = ssmax_query_scale(q, n=n)
    assert scaled.flatten().tolist() == [math.log(2**24), math.log(2**24 + 1)]
    half = ssmax_query_scale(q.half(), n=65521)  # infinity in float16
    assert half.flatten().tolist() == [float(torch.tensor(math.log(65521)).half())] * 2
    assert (
        ssmax_query_scale(q, 0.5, 2.0, n=0.25).flatten().tolist() == [0.5 * math.log(0.25) + 2] * 2
    )


@by_dtype
@pytest.mark.parametrize("parameters", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_gradients(dtype: torch.dtype, parameters: torch.dtype):
    q, s, b = example(dtype, parameters)
    scaled = ssmax_query_scale(q, s, b, n=COUNTS)
    (cotangent,) = leaves(4, scaled.shape, dtype=dtype)
    gradients = torch.autograd.grad(scaled, (q, s, b), cotangent.detach())
    doubles = [value.detach().double().requires_grad_() for value in (q, s, b)]
    wanted = torch.autograd.grad(exact(*doubles, COUNTS), doubles, cotangent.detach().double())
    for got, exactly, leaf in zip(gradients, wanted, (q, s, b), strict=True):
        assert got.dtype == leaf.dtype
        assert got.shape == leaf.shape
        # One rounding to the leaf's dtype, and float32 sums of terms below 30.
        eps = max(torch.finfo(got.dtype).eps, 2**-22 if dtype != torch.float64 else 2**-50)
        assert (got.double() - exactly).abs().max() <= eps * 30


@forward_mode
def test_derivatives_of_every_kind():
    q, s, b = example(torch.float64)
    n = torch.tensor([0, 1, 5, 9]).view(4, 1)

    def function(q: Tensor, s: Tensor, b: Tensor) -> Tensor:
        return ssmax_query_scale(q, s, b, n=n)

    assert torch.autograd.gradcheck(
        function,
        (q, s, b),
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )
    assert torch.autograd.gradgradcheck(
        function, (q, s, b), check_fwd_over_rev=True, check_batched_grad=True
    )


@forward_mode
@by_dtype
def test_transforms(dtype: torch.dtype):
    q, s, _ = (value.detach() for value in example(dtype))

    def function(q: Tensor, s: Tensor) -> Tensor:
        return ssmax_query_scale(q, s, n=COUNTS)

    wanted = function(q, s)
    assert torch.equal(vmap(function, (0, None))(q, s), wanted)
    many = torch.stack([s, 2 * s])
    assert torch.equal(vmap(function, (None, 0))(q, many)[1], function(q, 2 * s))
    jacobian = jacrev(function, argnums=1)(q, s)
    assert jacobian.shape == (*q.shape, 3, 1, 1)
    assert jacobian.ne(0).any()
    per_sequence = vmap(grad(lambda q, s: function(q, s).sum(), argnums=1), (0, None))(q, s)
    leaf = s.clone().requires_grad_()
    (total,) = torch.autograd.grad(function(q, leaf).sum(), leaf)
    assert torch.allclose(per_sequence.sum(0), total, rtol=float(torch.finfo(dtype).eps))
    _, tangent = jvp(function, (q, s), (torch.ones_like(q), torch.zeros_like(s)))
    assert torch.equal(tangent, function(torch.ones_like(q), s))


@pytest.mark.parametrize("counts", [[0, 3], [0.0, 3.0]])
@pytest.mark.parametrize("b", [0.5, math.nan])
def test_queries_that_see_nothing(counts: list[float], b: float):
    q, s = leaves(5, (2, 3), (2, 1))
    bias = torch.tensor([[b], [0.5]], dtype=torch.float64, requires_grad=True)
    n = torch.tensor(counts).view(2, 1)
    scaled = ssmax_query_scale(q, s, bias, n=n)
    assert scaled[0].tolist() == [0.0] * 3
    gradients = torch.autograd.grad(scaled, (q, s, bias), torch.ones_like(scaled))
    assert all(gradient[0].eq(0).all() and gradient[1].ne(0).all() for gradient in gradients)


@pytest.mark.parametrize("changed", ["s", "b", "n"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_gives_nan_in_its_rows(changed: str, value: float):
    arguments = {name: torch.tensor([[0.5], [2.0]], requires_grad=name != "n") for name in "sbn"}
    arguments[changed] = torch.tensor([[value], [2.0]], requires_grad=changed != "n")
    q = torch.ones(2, 3, requires_grad=True)
    scaled = ssmax_query_scale(q, **arguments)
    assert scaled[0].isnan().all()
    assert scaled[1].isfinite().all()
    (dq,) = torch.autograd.grad(scaled.sum(), q)
    assert dq[0].isnan().all()
    assert dq[1].isfinite().all()


def test_negative_counts_give_nan():
    assert ssmax_query_scale(torch.ones(1, 2), n=torch.tensor(-3)).isnan().all()


def test_counts_are_not_differentiated():
    n = torch.tensor([[3.0]], requires_grad=True)
    scaled = ssmax_query_scale(torch.ones(1, 2, requires_grad=True), n=n)
    scaled.sum().backward()
    assert n.grad is None


@pytest.mark.parametrize("learned", [False, True])
def test_queries_are_kept_only_for_parameters_that_learn(learned: bool):
    q, s, _ = example(torch.float32)
    q = q * 1.0
    held = weakref.ref(q)
    scaled = ssmax_query_scale(q, s.detach().requires_grad_(learned), n=COUNTS)
    assert scaled.requires_grad
    del q
    gc.collect()
    assert (held() is not None) == learned


def test_no_graph_where_none_is_wanted():
    q, s, b = example(torch.float32)
    with torch.no_grad():
        assert not ssmax_query_scale(q, s, b, n=COUNTS).requires_grad
    with torch.inference_mode():
        assert not ssmax_query_scale(q, s, b, n=COUNTS).requires_grad


def test_any_layout():
    q, s, b = example(torch.bfloat16)
    wanted = ssmax_query_scale(q, s, b, n=COUNTS)
    turned = q.detach().transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(ssmax_query_scale(turned, s, b, n=COUNTS), wanted)
    wide = q.detach()[:, :, :1].expand(2, 3, 4, 5)
    assert torch.equal(
        ssmax_query_scale(wide, s, b, n=COUNTS),
        ssmax_query_scale(wide.contiguous(), s, b, n=COUNTS),
    )
    assert ssmax_query_scale(q[:0], s, n=3).shape == (0, 3, 4, 5)
    flat = ssmax_query_scale(torch.ones(5), n=torch.tensor(3.0))
    assert flat.tolist() == [float(torch.tensor(math.log(3)))] * 5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_compiled(dtype: torch.dtype):
    q, s, b = example(dtype, torch.float32)

    def function(q: Tensor, s: Tensor, b: Tensor) -> Tensor:
        return ssmax_query_scale(q, s, b, n=COUNTS)

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    wanted, got = function(q, s, b), compiled(q, s, b)
    assert torch.equal(got, wanted)
    (cotangent,) = (value.detach() for value in leaves(6, q.shape, dtype=dtype))
    pairs = zip(
        torch.autograd.grad(got, (q, s, b), cotangent),
        torch.autograd.grad(wanted, (q, s, b), cotangent),
        strict=True,
    )
    assert all(torch.allclose(one, other, rtol=1e-6) for one, other in pairs)


@pytest.mark.parametrize("needed", ["q", "s", "qs"])
def test_kernels_are_given_what_they_take(needed: str, monkeypatch: pytest.MonkeyPatch):
    """Stand-ins for the kernels of a GPU, with their promises about shapes and dtypes."""
    calls = []

    def scale_queries(q: Tensor, c: Tensor) -> Tensor:
        assert c.dtype in (torch.float32, torch.float64)
        assert torch.broadcast_shapes(c.shape, (*q.shape[:-1], 1)) == (*q.shape[:-1], 1)
        calls.append("forward")
        return (q.float() * c.float()).to(q.dtype)

    def backward(q: Tensor, dq: Tensor, c: Tensor, *, need_dq: bool) -> tuple[Any, Tensor]:
        calls.append("backward")
        rows = (q.float() * dq.float()).sum(-1, keepdim=True)
        return scale_queries(dq, c) if need_dq else None, rows

    q, s, b = example(torch.bfloat16)
    for name, leaf in (("q", q), ("s", s), ("s", b)):
        leaf.requires_grad_(name in needed)
    learned = [leaf for leaf in (q, s, b) if leaf.requires_grad]
    (cotangent,) = (value.detach() for value in leaves(7, q.shape, dtype=q.dtype))
    without = ssmax_query_scale(q, s, b, n=COUNTS)
    wanted = torch.autograd.grad(without, learned, cotangent)
    monkeypatch.setattr(_triton_launch, "scale_queries", scale_queries)
    monkeypatch.setattr(_triton_launch, "scale_queries_backward", backward)
    monkeypatch.setattr(_query_scale, "_has_kernel", lambda q, dtype: q.dtype == dtype)
    scaled = ssmax_query_scale(q, s, b, n=COUNTS)
    assert torch.equal(scaled, without)
    gradients = torch.autograd.grad(scaled, learned, cotangent)
    for got, without_kernel in zip(gradients, wanted, strict=True):
        assert torch.allclose(got, without_kernel, rtol=1e-6)
    assert (
        calls
        == {
            "q": ["forward", "forward"],
            "s": ["forward", "backward"],
            "qs": ["forward", "backward", "forward"],
        }[needed]
    )


Q = torch.ones(2, 4, 3, 8)
WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (ValueError, "n must be positive and finite, got int 0", {"n": 0}),
    (ValueError, "n must be positive and finite, got float inf", {"n": math.inf}),
    (ValueError, "s must be finite, got float nan", {"s": math.nan}),
    (TypeError, "b must be a number or a tensor, got None", {"b": None}),
    (TypeError, "n must be a number or a tensor, got True", {"n": True}),
    (TypeError, "s must have a floating dtype, got torch.int64", {"s": torch.tensor(1)}),
    (TypeError, "n must have a floating or integer dtype", {"n": torch.tensor(True)}),
    (
        ValueError,
        r"s must be .* broadcast to \(2, 4, 3, 1\).* \(4, 1, 1\), a value for each head.* \(4,\)",
        {"s": torch.ones(4)},
    ),
    (ValueError, "b must be on q's device cpu", {"b": torch.ones((), device="meta")}),
    (TypeError, "q must have one of the dtypes .* got torch.int64: convert", {"q": Q.long()}),
    (TypeError, "q must have one of the dtypes .* got torch.complex64", {"q": Q.cfloat()}),
    (TypeError, "q must be a dense tensor", {"q": Q.to_sparse()}),
    (ValueError, "q must have shape .* without dimensions", {"q": torch.tensor(1.0)}),
    (TypeError, "q must be a tensor of shape .*, got list", {"q": [1.0]}),
]


@pytest.mark.parametrize(("error", "message", "arguments"), WRONG, ids=[m for _, m, _ in WRONG])
def test_wrong_arguments(error: type[Exception], message: str, arguments: dict[str, Any]):
    with pytest.raises(error, match=message):
        ssmax_query_scale(**{"q": Q, "n": 5, **arguments})
