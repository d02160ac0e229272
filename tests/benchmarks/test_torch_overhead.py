"""What PyTorch users pay for dispatch, checks and autograd on small tensors.

The numerics are replaced by PyTorch's own, so that what remains is our machinery: it is to take at
most 3 times as long as ``torch.softmax``, forward and backward. The total with the numerics in
place is timed as well. Run ``pytest tests/benchmarks --benchmark-enable
--benchmark-group-by=group``.
"""

from __future__ import annotations

import pytest
import torch

import softmax_variants as sv
from softmax_variants_backends.array_api import _functions

X = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)).requires_grad_()
DY = torch.ones(64, 128)
FUNCTIONS = {
    "torch.softmax": lambda: torch.softmax(X, -1),
    "sv.softmax": lambda: sv.softmax(X),
    "sv.ssmax": lambda: sv.ssmax(X, 0.43),
    "sv.sa_softmax": lambda: sv.sa_softmax(X),
}


def forward_and_backward(name):
    return torch.autograd.grad(FUNCTIONS[name](), X, DY)[0]


@pytest.fixture
def numerics_of_torch(monkeypatch):
    y = torch.softmax(X.detach(), -1)

    def softmax(x, *, axis, where, out):
        return torch.softmax(x, axis)

    def softmax_vjp(x, dy, *, axis, where):
        return torch._softmax_backward_data(dy, y, axis, x.dtype)

    monkeypatch.setattr(_functions, "softmax", softmax)
    monkeypatch.setattr(_functions, "softmax_vjp", softmax_vjp)


@pytest.mark.parametrize("name", ["torch.softmax", "sv.softmax"])
def test_machinery(benchmark, numerics_of_torch, name):
    benchmark.group = "64x128 float32, forward and backward, PyTorch's numerics"
    assert benchmark(forward_and_backward, name).shape == X.shape


@pytest.mark.parametrize("name", FUNCTIONS)
def test_total(benchmark, name):
    benchmark.group = "64x128 float32, forward and backward"
    assert benchmark(forward_and_backward, name).shape == X.shape
