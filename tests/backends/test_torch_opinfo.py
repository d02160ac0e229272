"""PyTorch's own samples for its softmaxes, run through ours: values and derivatives.

Where semantics agree: no conversion of the dtype on the way, and at least one dimension. Of rows
without a present entry PyTorch's masked functions make NaN; those are left out.

The samples are part of PyTorch's test suite, which changes settings of the process that imports it
and wants a package that is not needed for the samples. So they run in a process of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import types
import unittest
import warnings
from typing import Any

NAMES = (
    "softmax",
    "nn.functional.softmin",
    "torch.ops.aten._safe_softmax.default",
    "masked.softmax",
    "masked.softmin",
)


def test_samples_of_pytorch() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    counts = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert set(counts) == set(NAMES)
    assert all(int(count) >= 24 for count in counts.values())


def main() -> None:
    """Compare, and print how many samples of each function there were."""
    stand_in: Any = types.ModuleType("expecttest")
    stand_in.TestCase = unittest.TestCase
    sys.modules.setdefault("expecttest", stand_in)
    warnings.simplefilter("ignore")
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    torch.set_num_threads(1)
    for name in NAMES:
        (operator,) = (o for o in op_db if o.name == name and not o.variant_test_name)
        count = 0
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            for sample in operator.sample_inputs("cpu", dtype):
                if sample.input.ndim:
                    compare(operator.op, sample, flipped="softmin" in name)
                    count += 1
        print(name, count)


def compare(theirs: Any, sample: Any, *, flipped: bool) -> None:
    """Compare a sample's weights, and in float64 its derivatives."""
    import torch

    import softmax_variants as sv

    x, mask = sample.input.detach(), sample.kwargs.get("mask")
    axis = sample.kwargs.get("dim", *sample.args[:1])
    present = x != -torch.inf
    if mask is not None:
        present = present & mask
    rows = present.any(axis, keepdim=True).expand(x.shape)

    def ours(x: Any) -> Any:
        return sv.softmax(-x if flipped else x, where=mask, axis=axis)

    def other(x: Any) -> Any:
        return theirs(x, *sample.args, **sample.kwargs)

    def close(got: Any, wanted: Any, eps: float) -> None:
        zero = torch.zeros_like(wanted)
        got, wanted = torch.where(rows, got, zero), torch.where(rows, wanted, zero)
        torch.testing.assert_close(got, wanted, rtol=eps, atol=eps, check_dtype=False)

    y = ours(x)
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert (y[~present] == 0.0).all()
    # Theirs in float64 has errors of its own, far below a rounding of the narrow dtypes.
    eps = torch.finfo(x.dtype).eps
    close(y.double(), other(x.double()), eps if x.dtype != torch.float64 else 16 * eps)
    if x.dtype == torch.float64:
        dy, u = torch.cos(torch.arange(2.0 * x.numel()).double()).reshape(2, *x.shape)
        found = derivatives(ours, x, dy, u), derivatives(other, x, dy, u)
        for got, wanted in zip(*found, strict=True):
            close(got, wanted, 1e-13)


def derivatives(function: Any, x: Any, dy: Any, u: Any) -> tuple[Any, ...]:
    """Return first and second derivatives in both modes."""
    import torch

    func: Any = torch.func

    def gradient(x: Any) -> Any:
        return func.vjp(function, x)[1](dy)[0]

    leaf = x.clone().requires_grad_()
    (dx,) = torch.autograd.grad(function(leaf), leaf, dy, create_graph=True)
    (ddx,) = torch.autograd.grad(dx, leaf, u)
    tangent = func.jvp(function, (x,), (u,))[1]
    return dx.detach(), ddx, tangent, func.jvp(gradient, (x,), (u,))[1]


if __name__ == "__main__":
    main()
