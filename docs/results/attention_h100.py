"""Attention on an NVIDIA GPU: errors of the Triton kernels, and the speed of both variants.

``python docs/results/attention_h100.py --check --configs --time --out FILE`` with a CUDA build of
PyTorch, Triton and this repository on the path. ``--check`` compares with float64, by
FlashAttention's rule; ``--configs`` times block shapes; ``--time`` times the public functions
beside PyTorch's own attention and the compiled formula. ``attention_table.py`` prints the times.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

import softmax_variants
from softmax_variants_backends.torch.attention import _triton_launch
from softmax_variants_backends.torch.attention._triton_configs import Config

launch: Any = _triton_launch
cudnn: Any = torch.backends.cudnn

SHAPES = [(4, 16, 4096, 128), (4, 32, 4096, 64), (1, 16, 16384, 128)]
GATES = [
    ("plain", False),
    ("shifted", False),
    ("shifted", True),
    ("minmax", False),
    ("minmax", True),
    ("normalized", False),
    ("normalized", True),
]
PATTERNS = ["full", "causal", "offset", "window", "packed", "mask", "key_mask"]
WORKERS = 16
# Of two functions timed in turns.
ROUNDS = 7
ERROR_COLUMNS = ("out", "dq", "dk", "dv", "softmax")


def bench(function: Any) -> float:
    """Return the median time in ms."""
    return float(triton.testing.do_bench(function, warmup=100, rep=400, return_mode="median"))


# --- errors ---------------------------------------------------------------------------------


def intervals(pattern: str, queries: int, keys: int) -> tuple[Tensor, Tensor]:
    """Return start and stop of a pattern, for one sequence or two."""
    position = torch.arange(queries, device="cuda") + keys - queries
    zero = torch.zeros_like(position)
    start, stop = {
        "full": (zero, zero + keys),
        "causal": (zero, position + 1),
        "offset": (zero, position + 1),
        "window": ((position - 70).clamp(min=0), (position + 11).clamp(max=keys)),
        "packed": (torch.where(position < 101, 0, 101), position + 1),
        "mask": (zero, position + 1),
        "key_mask": (zero, zero + keys),
    }[pattern]
    start, stop = start[None], stop[None]
    if pattern == "full":
        # The second sequence is padded on the right.
        start, stop = start.expand(2, -1), torch.cat([stop, stop - 50])
    return start.int().contiguous(), stop.int().contiguous()


def by_definition(
    q: Tensor, k: Tensor, v: Tensor, dout: Tensor, visible: Tensor, weights: Any, scale: float
) -> list[Tensor]:
    """Return out, dq, dk, dv of attention with these weights, in the dtype of q."""
    q, k, v = (x.detach().clone().requires_grad_() for x in (q, k, v))
    group = q.shape[1] // k.shape[1]
    logits = q @ k.repeat_interleave(group, 1).mT * scale
    out = weights(logits, visible.expand(logits.shape)) @ v.repeat_interleave(group, 1)
    return [out.detach(), *torch.autograd.grad(out, (q, k, v), dout)]


def as_written(form: str, *, detach: bool) -> Any:
    """Return the weights as one writes them with PyTorch's operations, with 0 for 0 / 0."""

    def weights(x: Tensor, visible: Tensor) -> Tensor:
        # A row that sees nothing would be NaN: it is computed as if it saw all, then set to 0.
        hidden = ~visible & visible.any(-1, keepdim=True)
        shown = x.masked_fill(hidden, -math.inf)
        p = torch.softmax(shown, -1)
        low = x.masked_fill(hidden, math.inf).amin(-1, keepdim=True)
        high = shown.amax(-1, keepdim=True)
        if detach:
            low, high = low.detach(), high.detach()
        if form == "normalized":
            low, high = low.clamp(max=0), high.clamp(min=0)
        if form == "plain":
            gate = x
        elif form == "shifted":
            gate = x - low
        else:
            # 0 / 0 with one key, or equal ones: weight 0 and gradient 0 are what is defined there.
            width = (high - low).masked_fill(high == low, math.inf)
            # What is hidden would overflow where the visible lie close together.
            gate = (x - low).masked_fill(~visible, 0.0) / width
        return (p * gate).masked_fill(~visible, 0.0)

    return weights


def softmax_weights(x: Tensor, visible: Tensor) -> Tensor:
    """Return softmax's weights; 0 in a row that sees nothing."""
    hidden = ~visible & visible.any(-1, keepdim=True)
    return torch.softmax(x.masked_fill(hidden, -math.inf), -1).masked_fill(~visible, 0.0)


def check_group(group: tuple[str, int, str, bool]) -> list[dict[str, Any]]:
    """Return the errors of a dtype, head dimension and gate, over all patterns."""
    name, dim, form, detach = group
    dtype = getattr(torch, name)
    results = []
    for pattern in PATTERNS:
        torch.manual_seed(len(pattern) + dim)
        queries, keys = (113, 303) if pattern == "offset" else (239, 239)
        heads, kv_heads = (4, 2) if pattern == "causal" else (2, 2)
        dim_v = 64 if pattern == "window" and dim == 80 else dim
        # (batch, length, heads, dim) in memory, as models have them.
        q, dout = (
            torch.randn(2, queries, heads, d, device="cuda", dtype=dtype).transpose(1, 2)
            for d in (dim, dim_v)
        )
        k, v = (
            torch.randn(2, keys, kv_heads, d, device="cuda", dtype=dtype).transpose(1, 2)
            for d in (dim, dim_v)
        )
        start, stop = intervals(pattern, queries, keys)
        position = torch.arange(keys, device="cuda")
        visible = (position >= start[:, None, :, None]) & (position < stop[:, None, :, None])
        mask = None
        if pattern == "mask":
            mask = torch.rand(2, heads, queries, keys, device="cuda") < 0.7
            mask[:, :, 5] = False
        elif pattern == "key_mask":
            mask = torch.rand(2, 1, 1, keys, device="cuda") < 0.7
        if mask is not None:
            visible = visible & mask
        scale = dim**-0.5
        options: dict[str, Any] = {"form": form, "scale": scale}

        def run(
            q: Tensor = q,
            k: Tensor = k,
            v: Tensor = v,
            dout: Tensor = dout,
            bounds: Any = (start, stop, mask),
            options: dict[str, Any] = options,
        ) -> list[Tensor]:
            out, statistics = launch.forward(q, k, v, *bounds, extrema=not detach, **options)
            gradients = launch.backward(
                q, k, v, out, dout, statistics, *bounds, detach_extrema=detach, **options
            )
            return [out, *gradients]

        def exact(x: Tensor, where: Tensor) -> Tensor:
            return softmax_variants.sa_softmax(x, form=form, detach_extrema=detach, where=where)

        got = run()
        same = all(torch.equal(a, b) for _ in range(3) for a, b in zip(got, run(), strict=True))
        double = [x.double() for x in (q, k, v, dout)]
        want = by_definition(*double, visible, exact, scale)
        eager = by_definition(q, k, v, dout, visible, as_written(form, detach=detach), scale)
        softmax_want = by_definition(*double, visible, softmax_weights, scale)
        softmax_got = by_definition(q, k, v, dout, visible, softmax_weights, scale)
        for i, tensor in enumerate(("out", "dq", "dk", "dv")):
            reference = want[i]

            def error(x: Tensor, reference: Tensor = reference) -> float:
                return float((x.double() - reference).abs().max())

            results.append(
                {
                    "dtype": name,
                    "dim": dim,
                    "form": form,
                    "detach_extrema": detach,
                    "pattern": pattern,
                    "tensor": tensor,
                    "error": error(got[i]),
                    "as_written": error(eager[i]),
                    "softmax": error(softmax_got[i], softmax_want[i]),
                    "rounding": error(reference.to(dtype)),
                    "largest": float(reference.abs().max()),
                    "same_bits": same,
                }
            )
    return results


def check_error(result: dict[str, Any]) -> bool:
    """Return whether an error keeps FlashAttention's rule."""
    return bool(
        result["error"] <= 2 * result["as_written"] + result["rounding"] and result["same_bits"]
    )


@triton.jit
def dots_kernel(
    a,
    b,
    out,
    swap: tl.constexpr,
    dim: tl.constexpr,
    length: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Write dot products, with the one or the other operand first."""
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    depth = tl.arange(0, dim)
    first = tl.load(a + row[:, None] * dim + depth[None, :])
    second = tl.load(b + column[:, None] * dim + depth[None, :])
    product = tl.dot(first, tl.trans(second))
    if swap:
        tl.store(out + column[None, :] * length + row[:, None], product)
    else:
        tl.store(out + row[:, None] * length + column[None, :], product)


def check_dots() -> list[dict[str, Any]]:
    """Return whether dot products have the same bits in every order of operands and tile.

    The kernels find extremal keys by the equality of dot products that are computed anew.
    """
    results = []
    length = 2048
    for name in ("float16", "bfloat16"):
        for dim in (16, 32, 64, 128, 256):
            torch.manual_seed(dim)
            a, b = (
                torch.randn(length, dim, device="cuda", dtype=getattr(torch, name)) * 4
                for _ in range(2)
            )
            products = []
            for swap, rows, columns, warps in (
                (False, 128, 64, 8),
                (False, 64, 64, 4),
                (True, 128, 64, 8),
                (True, 128, 32, 8),
                (True, 64, 64, 4),
                (True, 64, 32, 8),
            ):
                out = torch.empty(length, length, device="cuda")
                operands = (b, a) if swap else (a, b)
                dots_kernel[(length // rows, length // columns)](
                    *operands, out, swap, dim, length, rows, columns, num_warps=warps
                )
                products.append(out)
            same = all(torch.equal(products[0], p) for p in products[1:])
            results.append({"dtype": name, "dim": dim, "same_dots": same})
    return results


def check() -> dict[str, Any]:
    """Check errors in many processes at once: compiling takes longer than running."""
    groups: list[tuple[str, int, str, bool]] = [
        (name, dim, form, detach)
        for name, dim, gates in (
            # What takes longest to compile comes first.
            ("bfloat16", 256, GATES[5:6]),
            ("bfloat16", 128, GATES),
            ("float16", 128, GATES[5:]),
            ("bfloat16", 80, GATES[5:]),
            ("float16", 80, GATES[5:6]),
            ("float16", 64, GATES),
            ("bfloat16", 64, GATES[5:]),
            ("float16", 16, GATES[5:6]),
        )
        for form, detach in gates
    ]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        results = [row for rows in pool.map(check_group, groups) for row in rows]
    return {"errors": results, "dots": check_dots()}


def print_check(checked: dict[str, Any]) -> None:
    """Print the largest ratios, and what fails."""
    print(
        "\nLargest errors against float64. Columns out, dq, dk, dv: error of the kernels over twice"
        "\nthat of the formula written in PyTorch in the same dtype (0 for 0 / 0) plus one rounding"
        "\nof the result: <= 1 is asked for. Column softmax: the same, largest of the four, over"
        "\ntwice the error of PyTorch's softmax attention written so, on the same inputs; nothing"
        "\nis asked of it. Every case was run four times, for equal bits."
    )
    best: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in checked["errors"]:
        key = (row["dtype"], row["dim"], row["form"], row["detach_extrema"])
        ratio = row["error"] / (2 * row["as_written"] + row["rounding"] + 1e-300)
        to_softmax = row["error"] / (2 * row["softmax"] + row["rounding"] + 1e-300)
        cell = best.setdefault(key, {})
        cell[row["tensor"]] = max(cell.get(row["tensor"], 0.0), ratio)
        cell["softmax"] = max(cell.get("softmax", 0.0), to_softmax)
        if not check_error(row):
            print("FAILS", row)
    print("dtype dim form detach_extrema |", *(f"{name:>7}" for name in ERROR_COLUMNS))
    for key, cell in best.items():
        print(*key, "|", *(f"{cell[name]:7.2f}" for name in ERROR_COLUMNS))
    failures = [r for r in checked["dots"] if not r["same_dots"]]
    print("Dot products whose bits depend on the order of operands:", failures or "none")


# --- block shapes ---------------------------------------------------------------------------

FORWARD_CONFIGS = [
    Config(128, 64, 8, 2),
    Config(128, 64, 8, 3),
    Config(64, 64, 4, 2),
    Config(64, 64, 4, 3),
    Config(128, 32, 8, 3),
    Config(128, 128, 8, 2),
]
QUERIES_CONFIGS = [
    Config(128, 64, 8, 2),
    Config(128, 64, 8, 3),
    Config(64, 64, 4, 2),
    Config(64, 64, 4, 3),
    Config(128, 32, 8, 3),
    Config(64, 128, 8, 2),
]
KEYS_CONFIGS = [
    Config(64, 128, 8, 2),
    Config(32, 128, 8, 2),
    Config(32, 128, 8, 3),
    Config(32, 64, 4, 2),
    Config(64, 64, 4, 2),
    Config(32, 64, 4, 3),
]


class Bound:
    """Inputs of a shape, causal, and the kernels on them."""

    def __init__(self, shape: tuple[int, ...], form: str, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        self.inputs = [torch.randn(shape, device="cuda", dtype=dtype) for _ in range(3)]
        self.dout = torch.randn(shape, device="cuda", dtype=dtype)
        position = torch.arange(shape[2], device="cuda", dtype=torch.int32)[None]
        self.bounds = (torch.zeros_like(position), position + 1, None)
        self.options: dict[str, Any] = {"form": form, "scale": shape[3] ** -0.5}
        self.statistics: Tensor
        self.out: Tensor

    def forward(self, config: Config | None = None, *, extrema: bool = True) -> None:
        """Run the forward kernel."""
        self.out, self.statistics = launch.forward(
            *self.inputs, *self.bounds, extrema=extrema, config=config, **self.options
        )

    def backward(self, queries: Config | None = None, keys: Config | None = None) -> None:
        """Run the backward kernels."""
        launch.backward(
            *self.inputs,
            self.out,
            self.dout,
            self.statistics,
            *self.bounds,
            detach_extrema=False,
            queries_configuration=queries,
            keys_configuration=keys,
            **self.options,
        )


def config_jobs(dim: int) -> list[tuple[int, str, Config]]:
    """Return all configurations of a head dimension."""
    return [
        (dim, kernel, config)
        for kernel, configs in (
            ("forward", FORWARD_CONFIGS),
            ("inference", FORWARD_CONFIGS),
            ("queries", QUERIES_CONFIGS),
            ("keys", KEYS_CONFIGS),
        )
        for config in configs
    ]


def run_config(bound: Bound, kernel: str, config: Config) -> None:
    """Run one kernel in a configuration (the backward kernels with the rest of theirs)."""
    if kernel == "forward":
        bound.forward(config)
    elif kernel == "inference":
        bound.forward(config, extrema=False)
    elif kernel == "queries":
        bound.backward(queries=config)
    else:
        bound.backward(keys=config)


def compile_config(job: tuple[int, str, Config]) -> str:
    """Compile a configuration into the cache on disk."""
    dim, kernel, config = job
    bound = Bound((1, 1, 256, dim), "normalized", torch.bfloat16)
    bound.forward()
    try:
        run_config(bound, kernel, config)
        torch.cuda.synchronize()
    except Exception as error:
        return repr(error)[:200]
    return ""


def configs() -> list[dict[str, Any]]:
    """Time every configuration."""
    results = []
    jobs = [job for dim in (128, 64) for job in config_jobs(dim)]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        failures = dict(zip(jobs, pool.map(compile_config, jobs), strict=True))
    for shape in SHAPES[:2]:
        bound = Bound(shape, "normalized", torch.bfloat16)
        for job in config_jobs(shape[3]):
            _, kernel, config = job
            row: dict[str, Any] = {"shape": shape, "kernel": kernel, "config": config}
            if failures[job]:
                row["failure"] = failures[job]
            else:
                bound.forward()
                row["ms"] = bench(lambda job=job, bound=bound: run_config(bound, *job[1:]))
            results.append(row)
            print(row, flush=True)
    return results


# --- speed ----------------------------------------------------------------------------------


def compiled_formula(length: int, scale: float) -> Any:
    """Return torch.compile of normalized SA-Softmax attention as one writes it, causal."""
    hidden = torch.ones(length, length, dtype=torch.bool, device="cuda").triu(1)

    def formula(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        x = q @ k.mT * scale
        shown = x.masked_fill(hidden, -math.inf)
        low = x.masked_fill(hidden, math.inf).amin(-1, keepdim=True).clamp(max=0)
        high = shown.amax(-1, keepdim=True).clamp(min=0)
        weights = torch.softmax(shown, -1) * ((x - low) / (high - low))
        return weights.masked_fill(hidden, 0.0) @ v

    return torch.compile(formula, dynamic=False)


class Passes:
    """The forward pass, the backward pass and both of a function of some inputs."""

    def __init__(self, function: Any, inputs: list[Tensor], dout: Tensor) -> None:
        self.function, self.inputs, self.dout = function, inputs, dout
        self.out: Tensor | None = None

    def forward(self) -> None:
        """Run the function, keeping what its derivative needs."""
        self.function()

    def inference(self) -> None:
        """Run the function without a derivative to come."""
        with torch.no_grad():
            self.function()

    def backward(self) -> None:
        """Run the derivative, over one graph every time."""
        if self.out is None:
            self.out = self.function()
        torch.autograd.grad(self.out, self.inputs, self.dout, retain_graph=True)

    def both(self) -> None:
        """Run the function and its derivative."""
        torch.autograd.grad(self.function(), self.inputs, self.dout)

    def peak(self) -> float:
        """Return the GiB of both passes beyond what is allocated before."""
        self.out = None
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        self.both()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        self.both()
        return (torch.cuda.max_memory_allocated() - before) / 2**30


def in_turns(first: Any, second: Any) -> dict[str, Any]:
    """Time two functions in turns, and return their medians and the median of the ratios.

    The clock of a device drifts with its temperature; two neighbours in time drift alike.
    """
    rounds = [
        [
            float(triton.testing.do_bench(one, warmup=10, rep=40, return_mode="median"))
            for one in (first, second)
        ]
        for _ in range(ROUNDS)
    ]
    return {
        "ms": median(a for a, _ in rounds),
        "other_ms": median(b for _, b in rounds),
        "ratio": median(a / b for a, b in rounds),
        "rounds": rounds,
    }


def compare(first: Passes, second: Passes) -> dict[str, dict[str, Any]]:
    """Time the passes of two functions in turns."""
    numbers = {
        part: in_turns(getattr(first, part), getattr(second, part))
        for part in ("forward", "backward", "both")
    }
    first.out = second.out = None
    return numbers


@contextlib.contextmanager
def backend(name: str) -> Any:
    """Choose a back end of scaled_dot_product_attention."""
    chosen = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}.get(name)
    if chosen is None:
        yield
    else:
        with sdpa_kernel(chosen):
            yield


def flex_compositions(q: Tensor, k: Tensor, v: Tensor) -> dict[str, Any]:
    """Return SA-Softmax attention, causal, composed of calls of FlexAttention; forward only.

    With w = exp(s) (s - l) for the weights, ``log w`` is a score: softmax attention O1 with it,
    times exp(L1 - L0) for the two log-sum-exps, is sum p (s - l) v. In the normalized form the
    ends of the gate are given here (numbers in the place of those of each row), for free, which
    they are not in truth. The plain form takes one such call for positive and one for negative
    logits.
    """
    from torch.nn.attention.flex_attention import AuxRequest, create_block_mask, flex_attention

    length = q.shape[2]
    lse = AuxRequest(lse=True)
    low = torch.full((q.shape[0], q.shape[1], length), -8.0, device="cuda")
    high = -low

    def causal(_batch: Tensor, _head: Tensor, row: Tensor, key: Tensor) -> Tensor:
        return row >= key

    block_mask = create_block_mask(causal, None, None, length, length, device="cuda")

    def lifted(score: Tensor, batch: Tensor, head: Tensor, row: Tensor, _: Tensor) -> Tensor:
        return score + torch.log(score - low[batch, head, row])

    def positive(score: Tensor, _b: Tensor, _h: Tensor, _row: Tensor, _key: Tensor) -> Tensor:
        return torch.where(score > 0, score + torch.log(score), -math.inf)

    def negative(score: Tensor, _b: Tensor, _h: Tensor, _row: Tensor, _key: Tensor) -> Tensor:
        return torch.where(score < 0, score + torch.log(-score), -math.inf)

    def call(score_mod: Any) -> tuple[Tensor, Tensor]:
        out, aux = flex_attention(q, k, v, score_mod, block_mask, return_aux=lse)
        return out, aux.lse

    def normalized() -> Tensor:
        out, total = call(lifted)
        _, softmax_total = call(None)
        return (out * (torch.exp(total - softmax_total) / (high - low))[..., None]).to(q.dtype)

    def plain() -> Tensor:
        above, total_above = call(positive)
        below, total_below = call(negative)
        _, softmax_total = call(None)
        gain = torch.exp(total_above - softmax_total)[..., None]
        loss = torch.exp(total_below - softmax_total)[..., None]
        return (above * gain - below * loss).to(q.dtype)

    composed = {"normalized": normalized, "plain": plain}
    return {form: torch.compile(call, dynamic=False) for form, call in composed.items()}


def time_flex(inputs: list[Tensor], form: str) -> dict[str, Any]:
    """Time a composition of FlexAttention beside the kernels, in turns, without derivatives."""
    from softmax_variants.torch import attention

    q, k, v = (x.detach() for x in inputs)

    def sa() -> Any:
        return attention(q, k, v, variant="sa_softmax", form=form, causal=True)

    return in_turns(sa, flex_compositions(q, k, v)[form])


def time_all() -> list[dict[str, Any]]:
    """Time the public functions beside PyTorch's attention and the compiled formula."""
    from softmax_variants.torch import attention, ssmax_query_scale

    results = []
    # The compiled formula's backward is timed over one graph, several times.
    torch._functorch.config.donated_buffer = False

    def row(name: str, shape: tuple[int, ...], **numbers: Any) -> None:
        results.append({"name": name, "shape": shape, **numbers})
        print(describe(results[-1]), flush=True)

    for shape in SHAPES:
        torch.manual_seed(0)
        torch._dynamo.reset()
        inputs = [
            torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True)
            for _ in range(3)
        ]
        q, k, v = inputs
        dout = torch.randn_like(q)
        heads, length, dim = shape[1:]

        def sa(
            form: str, *, detach: bool = False, tensors: Any = inputs, dout: Tensor = dout
        ) -> Passes:
            options: dict[str, Any] = {"form": form, "detach_extrema": detach, "causal": True}
            return Passes(
                lambda: attention(*tensors, variant="sa_softmax", **options), tensors, dout
            )

        kernels = sa("normalized")
        row(
            "sa_softmax normalized",
            shape,
            inference_ms=bench(kernels.inference),
            peak_GiB=kernels.peak(),
        )
        for form, detach in (("normalized", True), ("plain", False)):
            name = f"sa_softmax normalized over {form}{' detached' if detach else ''}"
            row(name, shape, **compare(kernels, sa(form, detach=detach)))
        if length <= 4096:
            formula = compiled_formula(length, dim**-0.5)
            other = Passes(lambda f=formula, i=inputs: f(*i), inputs, dout)
            row(
                "sa_softmax normalized over compiled formula",
                shape,
                other_peak_GiB=other.peak(),
                **compare(kernels, other),
            )
            del formula, other
            torch.cuda.empty_cache()
        for form in ("normalized", "plain"):
            name = f"sa_softmax {form} over FlexAttention calls"
            try:
                row(name, shape, inference=time_flex(inputs, form))
            except Exception as error:
                row(name, shape, failure=repr(error)[:400])
        n = torch.arange(1, length + 1, device="cuda")[:, None]
        s = torch.full((heads, 1, 1), 0.43, device="cuda", requires_grad=True)

        def softmax(q: Tensor = q, k: Tensor = k, v: Tensor = v) -> Tensor:
            return scaled_dot_product_attention(q, k, v, is_causal=True)

        def ssmax(
            q: Tensor = q, k: Tensor = k, v: Tensor = v, s: Tensor = s, n: Tensor = n
        ) -> Tensor:
            return scaled_dot_product_attention(ssmax_query_scale(q, s, n=n), k, v, is_causal=True)

        for name in ("default", "flash", "cudnn"):
            with backend(name):
                row(
                    f"ssmax over softmax, {name}",
                    shape,
                    **compare(Passes(ssmax, [*inputs, s], dout), Passes(softmax, inputs, dout)),
                )

        def public(q: Tensor = q, k: Tensor = k, v: Tensor = v, s: Tensor = s) -> Any:
            return attention(q, k, v, variant="ssmax", s=s, causal=True)

        row(
            "ssmax by attention() over softmax, default",
            shape,
            **compare(Passes(public, [*inputs, s], dout), Passes(softmax, inputs, dout)),
        )
        row(
            "sa_softmax normalized over softmax, default",
            shape,
            **compare(kernels, Passes(softmax, inputs, dout)),
        )
    return results


def describe(row: dict[str, Any]) -> str:
    """Return a row of the timings as text: the first's time / the second's = the ratio."""
    parts = [f"{tuple(row['shape'])} {row['name']}:"]
    for key, value in row.items():
        if isinstance(value, dict):
            parts.append(f"{key} {value['ms']:.3f} / {value['other_ms']:.3f} ms")
            parts.append(f"= {value['ratio']:.3f}")
        elif key == "failure" or isinstance(value, float):
            parts.append(f"{key} {value}" if key == "failure" else f"{key} {value:.3f}")
    return " ".join(parts)


def main() -> None:
    """Run the chosen sections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with float64")
    parser.add_argument("--configs", action="store_true", help="time block shapes")
    parser.add_argument("--time", action="store_true", help="time the public functions")
    parser.add_argument("--out", type=Path, help="write all numbers there, as JSON")
    arguments = parser.parse_args()
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "command": " ".join(
            ["python", *(a.rsplit("/", 1)[-1] if a.startswith("/") else a for a in sys.argv)]
        ),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "cuda": torch.version.cuda,
        "cudnn": cudnn.version(),
    }
    for name, section in (("check", check), ("configs", configs), ("time", time_all)):
        if getattr(arguments, name):
            report[name] = section()
            if arguments.out is not None:
                arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if "check" in report:
        print_check(report["check"])
    for row in report.get("configs", ()):
        text = row.get("failure") or f"{row['ms']:.3f} ms"
        print(row["shape"], row["kernel"], tuple(row["config"]), text)
    if "time" in report:
        print(
            "\nMedians of a function / of the one it is compared with, timed in turns, = the"
            "\nmedian of the ratios of the rounds. bfloat16, causal. FlexAttention is given the"
            "\nends of the gate for free, and is run forward only."
        )
    for row in report.get("time", ()):
        print(describe(row))


if __name__ == "__main__":
    main()
