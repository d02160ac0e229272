"""SA-Softmax attention in blocks of queries, against the row function on all logits at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

import softmax_variants as sv
from softmax_variants_backends.torch.attention import _blocks
from softmax_variants_backends.torch.attention._sa_attention import (
    _backward_operator,
    _forward_operator,
    sa_attention,
)
from softmax_variants_backends.torch.attention._visible import Visible

CLOSE = {"rtol": 1e-13, "atol": 1e-13}
"""Some tens of terms of a size of about 1, in binary64."""

FORMS = ["plain", "shifted", "minmax", "normalized"]


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def intervals(batch: int, queries: int, keys: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return intervals of keys, some empty; in the middle, one of a single key."""
    generator = torch.Generator().manual_seed(seed)
    bounds = torch.randint(0, keys + 1, (2, batch, queries), generator=generator)
    start, stop = bounds.to(torch.int32)
    start[:, queries // 2] = 1
    stop[:, queries // 2] = 2
    return start, stop


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Visible, **options: object) -> Tensor:
    settings = {
        "form": "normalized",
        "detach_extrema": False,
        "scale": 0.5,
        "bias": None,
        "dropout_p": 0.0,
    }
    return sa_attention(q, k, v, visible, **(settings | options))


def formula(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    where: Tensor,
    *,
    form: str = "normalized",
    detach_extrema: bool = False,
    bias: Tensor | None = None,
) -> Tensor:
    k, v = (a.repeat_interleave(q.shape[1] // a.shape[1], 1) for a in (k, v))
    x = q @ k.mT * 0.5
    if bias is not None:
        x = x + bias
    return sv.sa_softmax(x, form=form, detach_extrema=detach_extrema, where=where) @ v


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks of queries, of 4 each, the last one incomplete."""
    split = Visible.block_bounds

    def four(visible: Visible, block: int) -> list[tuple[int, int]]:
        del block
        return split(visible, 4)

    def blocks(q: Tensor, k: Tensor, visible: Visible, arguments: object) -> object:
        del k, arguments
        for index, (low, high) in enumerate(four(visible, 4)):
            stop = min(4 * index + 4, q.shape[2])
            yield _blocks._Block(slice(4 * index, stop), slice(low, high), None)

    monkeypatch.setattr(_blocks, "_blocks", blocks)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("detach_extrema", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("masked", [False, True])
def test_values_and_gradients(form: str, detach_extrema: bool, masked: bool) -> None:
    """Grouped heads, intervals, a padding mask, an additive bias with a gradient."""
    q, k, v = draw(2, 4, 10, 5, seed=1), draw(2, 2, 9, 5, seed=2), draw(2, 2, 9, 3, seed=3)
    mask = torch.rand(2, 1, 1, 9, generator=torch.Generator().manual_seed(4)) < 0.7
    bias = draw(1, 4, 1, 9, seed=5) if masked else None
    inputs = [a.requires_grad_() for a in (q, k, v, bias) if a is not None]
    visible = Visible(9, *intervals(2, 10, 9, seed=6), mask if masked else None)
    options = {"form": form, "detach_extrema": detach_extrema, "bias": bias}
    out = attend(q, k, v, visible, **options)
    expected = formula(q, k, v, visible.dense(0, 10, 0, 9), **options)
    torch.testing.assert_close(out, expected, **CLOSE)
    dout = draw(*out.shape, seed=7)
    for got, wanted in zip(
        torch.autograd.grad(out, inputs, dout),
        torch.autograd.grad(expected, inputs, dout),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, **CLOSE)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("form", FORMS)
def test_ties_and_degenerate_rows(form: str) -> None:
    """Equal keys tie the extrema, zero queries make all logits 0: the shares of the row function.

    Integers: the logits are exact, so that ties are ties on both ways.
    """
    generator = torch.Generator().manual_seed(8)
    q = torch.randint(-1, 2, (1, 1, 9, 2), generator=generator).double()
    k = torch.randint(-1, 2, (1, 1, 7, 2), generator=generator).double()
    q[0, 0, 3], v, dout = 0.0, draw(1, 1, 7, 3, seed=9), draw(1, 1, 9, 3, seed=10)
    inputs = [a.requires_grad_() for a in (q, k, v)]
    everything = torch.zeros(1, 9, dtype=torch.int32)
    visible = Visible(7, everything, everything + 7)
    got = torch.autograd.grad(attend(q, k, v, visible, form=form), inputs, dout)
    expected = formula(q, k, v, visible.dense(0, 9, 0, 7), form=form)
    for one, other in zip(got, torch.autograd.grad(expected, inputs, dout), strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def test_block_sizes_change_nothing_but_rounding() -> None:
    """The blocks that the size rule makes, of 16 queries, against one of all."""
    q, k, v = (draw(1, 64, 40, 4, seed=seed) for seed in (11, 12, 13))
    queries = torch.arange(40, dtype=torch.int32)[None]
    visible = Visible(40, torch.zeros_like(queries), queries + 1)
    wide = [a.repeat(1, 16, 1, 1) for a in (q, k, v)]
    out = attend(*wide, visible)
    assert 2**20 // (1024 * 40) < 40  # more than one block
    expected = formula(q, k, v, visible.dense(0, 40, 0, 40)).repeat(1, 16, 1, 1)
    torch.testing.assert_close(out, expected, **CLOSE)


def test_queries_that_see_nothing() -> None:
    q, k, v = (draw(1, 2, 3, 4, seed=seed).requires_grad_() for seed in (14, 15, 16))
    none = torch.full((1, 3), 2, dtype=torch.int32)
    out = attend(q, k, v, Visible(3, none, none))
    assert torch.equal(out, torch.zeros_like(out))
    for gradient in torch.autograd.grad(out.sum(), (q, k, v)):
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_nan_stays_in_its_rows() -> None:
    q, k, v = (draw(1, 1, 4, 4, seed=seed).requires_grad_() for seed in (17, 18, 19))
    with torch.no_grad():
        q[0, 0, 2, 0] = float("nan")
    queries = torch.arange(4, dtype=torch.int32)[None]
    visible = Visible(4, torch.zeros_like(queries), queries + 1)
    out = attend(q, k, v, visible)
    assert torch.equal(out.isnan().any(-1)[0, 0], torch.tensor([False, False, True, False]))
    dv = torch.autograd.grad(out.sum(), v)[0]
    assert torch.equal(dv.isnan().any(-1)[0, 0], torch.tensor([True, True, True, False]))


def test_dropout_is_the_same_backward_and_follows_the_seed() -> None:
    q, k, v = (draw(1, 2, 6, 4, seed=seed).requires_grad_() for seed in (20, 21, 22))
    all_keys = torch.zeros(1, 6, dtype=torch.int32)
    visible = Visible(6, all_keys, all_keys + 6)

    def dropped(*tensors: Tensor) -> Tensor:
        torch.manual_seed(23)
        return attend(*tensors, visible, dropout_p=0.4)

    assert torch.autograd.gradcheck(dropped, (q, k, v))
    assert torch.equal(dropped(q, k, v), dropped(q, k, v))
    ones = torch.ones(1, 2, 6, 1, dtype=torch.float64)
    kept = attend(q, k, ones, visible)
    torch.manual_seed(24)
    mean = sum(attend(q, k, ones, visible, dropout_p=0.4) for _ in range(400)) / 400
    # The standard deviation of the mean of 400 is at most 0.05 of the largest weight of 1.
    torch.testing.assert_close(mean, kept, rtol=0.0, atol=0.2)
    torch.testing.assert_close(
        attend(q, k, v, visible, dropout_p=1.0), torch.zeros_like(q), rtol=0.0, atol=0.0
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_dtypes_lose_one_rounding(dtype: torch.dtype) -> None:
    q, k, v = (draw(1, 2, 33, 16, seed=seed, dtype=dtype).requires_grad_() for seed in (25, 26, 27))
    queries = torch.arange(33, dtype=torch.int32)[None]
    visible = Visible(33, torch.zeros_like(queries), queries + 1)
    out = attend(q, k, v, visible)
    wide = [a.detach().double().requires_grad_() for a in (q, k, v)]
    expected = attend(*wide, visible)
    dout = draw(*out.shape, seed=28, dtype=dtype)
    results = (out, *torch.autograd.grad(out, (q, k, v), dout))
    exact = (expected, *torch.autograd.grad(expected, wide, dout.double()))
    for got, wanted in zip(results, exact, strict=True):
        assert got.dtype == dtype
        # Half a unit of the rounding, and of binary32 what some 100 operations lose.
        bound = torch.finfo(dtype).eps / 2 * wanted.abs() + 100 * 2.0**-24 * wanted.abs().max()
        assert bool(((got.double() - wanted).abs() <= bound).all())


def test_operators_pass_opcheck() -> None:
    q, k, v = (draw(1, 2, 3, 4, seed=seed).requires_grad_() for seed in (29, 30, 31))
    start = torch.zeros(1, 3, dtype=torch.int32)
    interval, seed, options = (start, start + 3), None, ("normalized", False, 0.5, 0.0)
    mask = torch.ones(1, 1, 1, 3, dtype=torch.bool)
    arguments = (q, k, v, *interval, mask, None, seed, *options, False)
    checks = torch.library.opcheck(_forward_operator, arguments)
    assert set(checks.values()) == {"SUCCESS"}
    out, statistics = _forward_operator(*arguments)
    backward = (out.detach(), *arguments[:8], out.detach(), statistics, False, *options)
    # Its own derivative raises, so that it is not differentiated here.
    checks = torch.library.opcheck(
        _backward_operator,
        tuple(a.detach() if isinstance(a, torch.Tensor) else a for a in backward),
    )
    assert set(checks.values()) == {"SUCCESS"}


class TestDerivatives:
    """First ones, of any kind of asking, eager and compiled; others raise."""

    @staticmethod
    def function(q: Tensor) -> Tensor:
        keys = torch.zeros(1, 3, dtype=torch.int32)
        k, v = q.detach() * 2.0, q.detach() + 1.0
        return attend(q, k, v, Visible(3, keys, keys + 3)).sum()

    def test_compiled(self) -> None:
        q = draw(1, 2, 3, 4, seed=32).requires_grad_()
        compiled = torch.compile(self.function, fullgraph=True, backend="aot_eager")
        (eager,) = torch.autograd.grad(self.function(q), q)
        assert torch.equal(torch.autograd.grad(compiled(q), q)[0], eager)
        assert torch.equal(torch.func.grad(self.function)(q.detach()), eager)

    def test_vmap(self) -> None:
        q = draw(2, 1, 2, 3, 4, seed=33)
        one_by_one = torch.stack([torch.func.grad(self.function)(row) for row in q])
        assert torch.equal(torch.vmap(torch.func.grad(self.function))(q), one_by_one)

    def test_second_derivatives_raise(self) -> None:
        q = draw(1, 2, 3, 4, seed=34).requires_grad_()
        (first,) = torch.autograd.grad(self.function(q), q, create_graph=True)
        with pytest.raises(NotImplementedError, match="first derivatives only"):
            torch.autograd.grad(first.sum(), q)
        with pytest.raises(NotImplementedError, match="first derivatives only"):
            torch.func.grad(lambda a: torch.func.grad(self.function)(a).sum())(q.detach())

    @pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
    def test_forward_mode_raises(self) -> None:
        q = draw(1, 2, 3, 4, seed=35)
        with pytest.raises(NotImplementedError, match="first derivatives only"):
            torch.func.jvp(self.function, (q,), (q,))


def test_block_bounds_hold_all_intervals() -> None:
    start, stop = intervals(2, 10, 9, seed=36)
    visible = Visible(9, start, stop)
    edges = [*range(0, 10, 4), 10]
    for (low, high), (first, last) in zip(visible.block_bounds(4), pairwise(edges), strict=True):
        seen = visible.dense(first, last, 0, 9).any((0, 1, 2)).nonzero().ravel()
        assert (low, high) == ((int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, 0))
