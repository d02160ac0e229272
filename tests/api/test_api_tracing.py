"""The checks and the dispatch trace: nothing in them stops ``torch.compile`` or ``torch.func``.

What each derivative does under a transform is the backend's matter.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import torch

import softmax_variants as sv

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def backend() -> Any:
    """Return a backend of PyTorch's own functions, which trace."""
    module: Any = ModuleType("own")
    module.NAMESPACE = "torch"

    def softmax(x: Any, *, axis: int, where: Any, out: Any) -> Any:
        y = torch.softmax(x if where is None else torch.where(where, x, -torch.inf), axis)
        return y if out is None else out.copy_(y)

    def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any) -> Any:
        return softmax(x * s + b + n, axis=axis, where=where, out=out)

    module.softmax, module.ssmax = softmax, ssmax
    return module


def traced(function: Callable[..., Any], *args: Any, dynamic: bool = False) -> Any:
    torch.compiler.reset()
    return torch.compile(function, backend="eager", fullgraph=True, dynamic=dynamic)(*args)


def test_compiles_in_one_graph(backend: Any) -> None:
    x, where = torch.randn(3, 4), torch.ones(3, 4, dtype=torch.bool)
    got = traced(lambda x, where: sv.softmax(x, where=where, axis=0, backend=backend), x, where)
    assert torch.equal(got, torch.softmax(x, 0))


def test_compiles_with_numbers_that_vary(backend: Any) -> None:
    x = torch.randn(3, 4)

    def call(x: Any, s: float) -> Any:
        return sv.ssmax(x, s, n=x.shape[0] + 1, backend=backend)

    assert torch.equal(traced(call, x, 0.43, dynamic=True), call(x, 0.43))


def test_compiles_with_parameters_that_learn(backend: Any) -> None:
    x, s = torch.randn(3, 4), torch.nn.Parameter(torch.ones(3, 1))

    def call(x: Any, s: Any) -> Any:
        return sv.ssmax(x, s, n=4, backend=backend)

    assert torch.equal(traced(call, x, s), call(x, s))


def test_compiles_with_out(backend: Any) -> None:
    x, out = torch.randn(3, 4), torch.empty(3, 4)
    assert traced(lambda x, out: sv.softmax(x, out=out, backend=backend), x, out) is out
    assert torch.equal(out, torch.softmax(x, -1))


def test_dispatch_finds_the_backend_while_tracing(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import softmax_variants_backends
    from softmax_variants import _dispatch

    monkeypatch.setattr(_dispatch, "_loaded", {})
    monkeypatch.setattr(softmax_variants_backends.torch, "softmax", backend.softmax)
    x = torch.randn(3, 4)
    assert torch.equal(traced(sv.softmax, x), torch.softmax(x, -1))


def test_transforms(backend: Any) -> None:
    x = torch.randn(3, 4)

    def call(x: Any) -> Any:
        return sv.softmax(x, backend=backend)

    assert torch.allclose(torch.vmap(call)(x), torch.softmax(x, -1))
    assert torch.func.grad(lambda x: call(x).sum())(x).shape == x.shape
