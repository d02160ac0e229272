"""The Triton kernels, run by Triton's interpreter on the CPU, against float64.

Triton must be told to interpret before it is imported, so that all cases run in a process of their
own, which is this file run as a program. Inputs are multiples of 1/4, so that float32 dot products
are exact and ties are many.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import softmax_variants

FORMS = ("plain", "shifted", "minmax", "normalized")
# 32 roundings to float32, relative to the largest element: what a row of 23 keys may cost.
TOLERANCE = 2.0**-19

CASES: dict[str, dict[str, Any]] = {
    **{form: {"form": form} for form in FORMS},
    **{f"{form}-detached": {"form": form, "detach": True} for form in FORMS[1:]},
    **{pattern: {"pattern": pattern} for pattern in ("causal", "window", "packed", "any")},
    "any-shifted": {"pattern": "any", "form": "shifted"},
    "any-minmax": {"pattern": "any", "form": "minmax"},
    "mask": {"pattern": "causal", "mask": (1, 2, 19, 23)},
    "key-mask": {"mask": (2, 1, 1, 23), "batch": 2},
    "grouped": {"heads": 4, "pattern": "causal"},
    "padded-dims": {"dims": (24, 40)},
    "negative-scale": {"scale": -0.3, "pattern": "causal"},
    "zero-scale": {"scale": 0.0},
    "equal-logits": {"zero": True, "form": "minmax"},
    "equal-logits-shifted": {"zero": True, "form": "shifted"},
    "strided": {"strided": True, "batch": 2},
    "hidden-nan": {"hidden": math.nan, "pattern": "short"},
    "hidden-nan-mask": {"hidden": math.nan, "pattern": "short", "mask": (1, 1, 1, 23)},
    "float16": {"dtype": "float16", "pattern": "causal", "tolerance": 2.0**-10},
    # With one key or two, gradients through the extrema cancel against others, all of them larger
    # by 1 / spread than what is left: 2^-11 of them would be seen.
    "narrow": {
        "dtype": "float16",
        "pattern": "pairs",
        "form": "minmax",
        "scale": 0.02,
        "tolerance": 2.0**-9,
    },
    "narrow-mask": {
        "dtype": "float16",
        "pattern": "causal",
        "mask": (1, 2, 19, 23),
        "scale": 0.02,
        "tolerance": 2.0**-10,
    },
    # Largest logits of 0, which the normalized form's appended 0 ties with.
    "tie-with-0": {"sign": -1.0},
    "lower-tie-with-0": {"sign": 1.0},
}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", str(Path(__file__))]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tensor", ["out", "dq", "dk", "dv"])
def test_error(results: dict[str, Any], case: str, tensor: str) -> None:
    # A NaN is not below it either.
    assert results[case][tensor] <= CASES[case].get("tolerance", TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_rows_that_see_nothing_are_exactly_zero(results: dict[str, Any], case: str) -> None:
    assert results[case]["blind"] == 0.0


def test_query_scale(results: dict[str, Any]) -> None:
    assert results["query scale"] == {"out": 0.0, "dq": 0.0, "rows": True}


def test_query_scale_walks_from_the_last_row(results: dict[str, Any]) -> None:
    # Onto rows of its own input further back: a walk from the first would overwrite what it reads.
    assert results["query scale in place"] == {"scale": True, "backward": True}


def _intervals(pattern: str, queries: int, keys: int) -> tuple[torch.Tensor, torch.Tensor]:
    position = torch.arange(queries) + keys - queries
    zero = torch.zeros_like(position)
    anywhere = torch.randint(0, keys, (queries,))
    start, stop = {
        "full": (zero, zero + keys),
        "short": (zero, zero + 18),
        "causal": (zero, position + 1),
        "window": ((position - 4).clamp(min=0), (position + 2).clamp(max=keys)),
        "packed": (torch.where(position < 9, 0, 9), position + 1),
        "pairs": (position // 2 * 2, position + 1),
        # In no order, and some are empty.
        "any": (anywhere, (anywhere + torch.randint(0, 12, (queries,))).clamp(max=keys)),
    }[pattern]
    return start[None].int(), stop[None].int()


def _run(
    *,
    form: str = "normalized",
    detach: bool = False,
    pattern: str = "full",
    mask: tuple[int, ...] | None = None,
    batch: int = 1,
    heads: int = 2,
    dims: tuple[int, int] = (16, 16),
    scale: float = 0.3,
    dtype: str = "float32",
    zero: bool = False,
    sign: float = 0.0,
    strided: bool = False,
    hidden: float | None = None,
    tolerance: float = 0.0,
) -> dict[str, float]:
    """Return the error of each result over its largest element."""
    from softmax_variants_backends.torch.attention import _triton_launch as launch
    from softmax_variants_backends.torch.attention._triton_configs import Config

    torch.manual_seed(0)
    queries, keys, kv_heads = 19, 23, heads // 2
    dim, dim_v = dims

    def draw(*shape: int) -> torch.Tensor:
        if strided:
            batch, heads, length, width = shape
            values = torch.randint(-4, 5, (batch, length, heads, width)).transpose(1, 2)
        else:
            values = torch.randint(-4, 5, shape)
        return (values / 4).to(getattr(torch, dtype))

    q, k = draw(batch, heads, queries, dim), draw(batch, kv_heads, keys, dim)
    v, dout = draw(batch, kv_heads, keys, dim_v), draw(batch, heads, queries, dim_v)
    if zero:
        q = q * 0
    if sign:
        # Dot products of one sign, a quarter of them 0.
        q, k = q.abs() * (torch.arange(dim) < 2), sign * k.abs() * (torch.rand(k.shape) < 0.5)
    start, stop = _intervals(pattern, queries, keys)
    position = torch.arange(keys)
    visible = (position >= start[:, None, :, None]) & (position < stop[:, None, :, None])
    shown = None
    if mask is not None:
        shown = torch.rand(mask) < 0.6
        visible = visible & shown
    # The definition, in float64, on inputs with nothing in the hidden keys.
    exact = [x.double().requires_grad_() for x in (q, k, v)]
    keys_for_all, values_for_all = (x.repeat_interleave(2, 1) for x in exact[1:])
    logits = exact[0] @ keys_for_all.mT * scale
    seen = visible.expand(logits.shape)
    weights = softmax_variants.sa_softmax(logits, form=form, detach_extrema=detach, where=seen)
    want_out = weights @ values_for_all
    want = [want_out, *torch.autograd.grad(want_out, exact, dout.double())]
    if hidden is not None:
        nowhere = ~seen.any(dim=(1, 2))
        for x in (k, v):
            x.mT.masked_fill_(nowhere[:, None, None, :], hidden)
    bounds = (start, stop, shown)
    small = Config(16, 16, 4, 1)
    out, statistics = launch.forward(
        q, k, v, *bounds, form=form, scale=scale, extrema=not detach, config=small
    )
    gradients = launch.backward(
        q,
        k,
        v,
        out,
        dout,
        statistics,
        *bounds,
        form=form,
        detach_extrema=detach,
        scale=scale,
        queries_configuration=small,
        keys_configuration=small,
    )
    errors = {
        name: float((a - b).abs().max() / b.abs().max().clamp(min=1e-30))
        for name, a, b in zip(("out", "dq", "dk", "dv"), (out, *gradients), want, strict=True)
    }
    blind = ~seen.any(-1, keepdim=True)
    errors["blind"] = float(((out * blind).abs().sum() + (gradients[0] * blind).abs().sum()).item())
    return errors


def _query_scale() -> dict[str, Any]:
    from softmax_variants_backends.torch.attention import _triton_launch as launch

    torch.manual_seed(0)
    differences = {"out": 0.0, "dq": 0.0, "rows": True}
    for shape, order, dtype in (
        ((2, 3, 7, 24), (0, 1, 2, 3), torch.float32),
        ((2, 7, 3, 32), (0, 2, 1, 3), torch.float64),
    ):
        q = torch.randn(shape).half().permute(order)
        dout = torch.randn(q.shape).half()
        c = torch.rand(1, q.shape[1], 1, 1, dtype=dtype)
        out = launch.scale_queries(q, c)
        dq, rows = launch.scale_queries_backward(q, dout, c)
        assert dq is not None
        assert rows is not None
        differences["out"] += float((out - (q * c.float()).half()).abs().max())
        differences["dq"] += float((dq - (dout * c.float()).half()).abs().max())
        sums = (q.double() * dout.double()).sum(-1, keepdim=True)
        differences["rows"] &= torch.allclose(rows.double(), sums, rtol=0, atol=2.0**-20)
        # Infinite factors make rows NaN, not infinite: those would count as hidden.
        c[0, 1] = float("inf")
        wrong = [launch.scale_queries(q, c), launch.scale_queries_backward(q, dout, c)[0]]
        differences["rows"] &= all(bool(t[:, 1].isnan().all()) for t in wrong)
    return differences


def _query_scale_in_place() -> dict[str, bool]:
    """Run the kernels on rows whose results go to rows that follow in the same memory."""
    from softmax_variants_backends.torch.attention import _triton_query_scale as kernels

    torch.manual_seed(0)
    rows, block, dim = 14, 4, 16
    c = torch.rand(rows)
    strides = (0, 0, dim)
    common: dict[str, Any] = {"dim": dim, "block_dim": dim, "block": block}
    grid, shape = (-(-rows // block),), (1, rows, rows)
    moved = {}
    for name in ("scale", "backward"):
        memory = torch.randn(rows + block, dim).half()
        want = (memory[:rows].float() * c[:, None]).half()
        read, written = memory[:rows], memory[block:]
        if name == "scale":
            kernels.scale_kernel[grid](
                read, c, written, shape, strides, (0, 0, 1), strides, **common
            )
        else:
            kernels.scale_backward_kernel[grid](
                read,
                read,
                c,
                written,
                c,
                shape,
                strides,
                strides,
                (0, 0, 1),
                strides,
                need_dq=True,
                need_sums=False,
                **common,
            )
        moved[name] = torch.equal(written, want)
    return moved


def _main() -> None:
    from triton.runtime import interpreter

    patch = interpreter._patch_lang_tensor

    def patched(tensor: Any, scope: Any) -> None:
        # NumPy 2.4 makes no int of an array of one element, which the bounds of loops are here.
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patched
    torch.set_num_threads(1)
    results: dict[str, Any] = {name: _run(**case) for name, case in CASES.items()}
    results["query scale"] = _query_scale()
    results["query scale in place"] = _query_scale_in_place()
    print(json.dumps(results))


if __name__ == "__main__":
    _main()
