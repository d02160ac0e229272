"""How long the CUDA kernels take, beside copying the same array and PyTorch's own softmax.

All that is compared is timed in one process, in turns: the clock of a device drifts with its
temperature. A time of a row is the median of the rounds' medians, a ratio that of their ratios.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
import triton

import softmax_variants as sv

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Call = Callable[[], Any]

__all__ = ["benchmark"]

DTYPES = ("float32", "bfloat16")
SHAPES = ((32768, 1024), (32768, 4096), (8192, 16384), (4096, 65536), (1024, 262144))
OTHER_SHAPES = (((1048576, 16), 1), ((65536, 128), 1), ((8192, 8192), 0), ((8, 16777216), 1))
CUPY_SHAPES = ((32768, 1024), (8192, 16384), (1024, 262144))
ROUNDS = 2
COPY = "copy"
SMALL = (64, 128)


def milliseconds(call: Call) -> float:
    """Return the median time of a call on the device, its cache emptied before each."""
    return float(triton.testing.do_bench(call, warmup=3, rep=10, return_mode="median"))


def captured(call: Call) -> Call:
    """Return a call as a CUDA graph: without the time that the host takes, which is timed apart."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # as PyTorch asks: what is captured has run before
        call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def in_turns(calls: dict[str, Call], *, graphs: bool) -> dict[str, list[float]]:
    """Return the times of several calls, one of each a round. The first use compiles kernels."""
    for call in calls.values():
        call()
    torch.cuda.synchronize()
    if graphs:
        # Copying is timed as it is: in a graph it takes a fifth longer, from 2^27 entries on.
        calls = {name: call if name == COPY else captured(call) for name, call in calls.items()}
    return {
        name: list(times)
        for name, *times in zip(
            calls,
            *([milliseconds(call) for call in calls.values()] for _ in range(ROUNDS)),
            strict=True,
        )
    }


def functions(x: Tensor, dy: Tensor, axis: int, *, backward: bool) -> dict[str, Call]:
    """Return what is timed on some logits, beside copying."""
    s = torch.full((1, 1), 0.43, device=x.device)
    b = torch.full((1, 1), 0.125, device=x.device)
    if backward:
        y = torch.softmax(x, axis)
        return {
            "torch.softmax": lambda: torch._softmax_backward_data(dy, y, axis, x.dtype),
            "softmax": lambda: sv.softmax_vjp(x, dy, axis=axis),
            "ssmax": lambda: sv.ssmax_vjp(x, dy, s, b, axis=axis),
            "ssmax, numbers": lambda: sv.ssmax_vjp(x, dy, 0.43, 0.125, axis=axis),
            "sa_softmax plain": lambda: sv.sa_softmax_vjp(x, dy, form="plain", axis=axis),
            "sa_softmax normalized": lambda: sv.sa_softmax_vjp(x, dy, axis=axis),
        }
    return {
        "torch.softmax": lambda: torch.softmax(x, axis),
        "softmax": lambda: sv.softmax(x, axis=axis),
        "ssmax": lambda: sv.ssmax(x, s, b, axis=axis),
        "sa_softmax plain": lambda: sv.sa_softmax(x, form="plain", axis=axis),
        "sa_softmax normalized": lambda: sv.sa_softmax(x, axis=axis),
    }


def operands(shape: tuple[int, ...], dtype: str) -> tuple[Tensor, Tensor]:
    """Return logits and cotangents."""
    torch.manual_seed(0)
    x, dy = (torch.randn(shape, device="cuda", dtype=getattr(torch, dtype)) for _ in range(2))
    return x, dy


def rows_of(times: dict[str, list[float]], streams: int, **common: Any) -> list[dict[str, Any]]:
    """Return a row for each call: its time, and how much of copying's speed it has.

    Copying reads an array and writes one; ``streams`` are those that the calls read and write.
    """
    rows = []
    for name, own in times.items():
        shares = [copy * streams / 2 / ms for copy, ms in zip(times[COPY], own, strict=True)]
        row = common | {"name": name, "ms": median(own), "rounds": own}
        if name != COPY:
            row["of_copy"] = median(shares)
            torch_ms = times.get("torch.softmax", own)
            over = [other / ms for other, ms in zip(torch_ms, own, strict=True)]
            row["of_torch"] = median(over)
        rows.append(row)
    return rows


def time_shape(shape: tuple[int, ...], axis: int, dtype: str, beside: str) -> list[dict[str, Any]]:
    """Time forward and backward on a shape; ``beside`` is what the page compares it with."""
    x, dy = operands(shape, dtype)
    target = torch.empty_like(x)
    rows = []
    for backward in (False, True):
        calls: dict[str, Call] = {COPY: lambda: target.copy_(x)}
        calls |= functions(x, dy, axis, backward=backward)
        rows += rows_of(
            in_turns(calls, graphs=True),
            3 if backward else 2,
            library="PyTorch",
            beside=beside,
            dtype=dtype,
            shape=list(shape),
            axis=axis,
            direction="backward" if backward else "forward",
        )
        del calls
    return rows


def time_cupy(shape: tuple[int, ...], dtype: str) -> list[dict[str, Any]]:
    """Time CuPy's forward functions on a shape; both libraries use the device's default stream."""
    import cupy

    x, _ = operands(shape, dtype)
    logits, target = cupy.from_dlpack(x), torch.empty_like(x)
    s, b = cupy.full((1, 1), 0.43, "float32"), cupy.full((1, 1), 0.125, "float32")
    calls: dict[str, Call] = {
        COPY: lambda: target.copy_(x),
        "softmax": lambda: sv.softmax(logits),
        "ssmax": lambda: sv.ssmax(logits, s, b),
        "sa_softmax plain": lambda: sv.sa_softmax(logits, form="plain"),
        "sa_softmax normalized": lambda: sv.sa_softmax(logits),
    }
    common = {"library": "CuPy", "beside": COPY, "dtype": dtype, "shape": list(shape), "axis": 1}
    return rows_of(in_turns(calls, graphs=False), 2, **common, direction="forward")


def microseconds(call: Call, synchronize: Call, calls: int = 200, repeats: int = 5) -> float:
    """Return the time of a call on the host, the best of some runs of many calls."""
    for _ in range(20):
        call()
    best = float("inf")
    for _ in range(repeats):
        synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            call()
        synchronize()
        best = min(best, (time.perf_counter() - start) / calls)
    return best * 1e6


def graph_microseconds(call: Call, calls: int = 20) -> float:
    """Return the time of a call in a CUDA graph of several."""

    def several() -> None:
        for _ in range(calls):
            call()

    return microseconds(captured(several), torch.cuda.synchronize, calls=50) / calls


def time_small() -> dict[str, Any]:
    """Time calls on a small array, where launching is all that they cost."""
    x = torch.randn(SMALL, device="cuda").requires_grad_()
    dy = torch.ones_like(x)
    s = torch.full((1, 1), 0.43, device="cuda", requires_grad=True)
    found: dict[str, Any] = {"shape": list(SMALL)}
    forwards: dict[str, Call] = {
        "torch.softmax": lambda: torch.softmax(x, -1),
        "softmax": lambda: sv.softmax(x),
        "ssmax": lambda: sv.ssmax(x, s),
        "sa_softmax normalized": lambda: sv.sa_softmax(x),
    }

    def both(name: str) -> Call:
        inputs = [x, s] if name == "ssmax" else [x]
        return lambda: torch.autograd.grad(forwards[name](), inputs, dy)

    calls = {name: both(name) for name in forwards}
    timers: dict[str, Callable[[Call], float]] = {
        "PyTorch, forward": lambda call: microseconds(call, torch.cuda.synchronize),
        "PyTorch, forward and backward": lambda call: microseconds(call, torch.cuda.synchronize),
        "PyTorch, forward and backward in a CUDA graph": graph_microseconds,
    }
    for title, timer in timers.items():
        own = forwards if title == "PyTorch, forward" else calls
        found[title] = {name: _tried(timer, call) for name, call in own.items()}
    return found


def time_small_cupy() -> dict[str, Any]:
    """Time CuPy's calls on a small array."""
    import cupy

    x = cupy.asarray(cupy.random.standard_normal(SMALL), dtype="float32")
    dy = cupy.ones_like(x)
    s = cupy.full((1, 1), 0.43, "float32")
    calls: dict[str, Call] = {
        "softmax": lambda: sv.softmax(x),
        "ssmax": lambda: sv.ssmax(x, s),
        "sa_softmax normalized": lambda: sv.sa_softmax(x),
        "softmax_vjp": lambda: sv.softmax_vjp(x, dy),
    }
    synchronize = cupy.cuda.runtime.deviceSynchronize
    return {
        "CuPy": {
            name: _tried(lambda call: microseconds(call, synchronize), call)
            for name, call in calls.items()
        }
    }


def _tried(timer: Callable[[Call], float], call: Call) -> float | str:
    """Return a time, or what went wrong: the other times are taken all the same."""
    try:
        return timer(call)
    except Exception as error:
        return repr(error)[:300]


def benchmark() -> dict[str, Any]:
    """Time everything."""
    rows: list[dict[str, Any]] = []
    failures: list[str] = []

    def tried(measure: Callable[..., list[dict[str, Any]]], *arguments: Any) -> None:
        try:
            found = measure(*arguments)
        except Exception as error:
            failures.append(f"{measure.__name__}{arguments}: {error!r}"[:400])
            print(failures[-1], flush=True)
            return
        finally:
            torch.cuda.empty_cache()
        rows.extend(found)
        for row in found:
            text = (
                f"{row['library']} {row['dtype']} {row['shape']} {row['direction']} {row['name']}"
            )
            print(f"{text}: {row['ms']:.4f} ms, {row.get('of_copy', 1.0):.3f} of copy", flush=True)

    for dtype in DTYPES:
        for shape in SHAPES:
            tried(time_shape, shape, 1, dtype, COPY)
        for shape, axis in OTHER_SHAPES:
            tried(time_shape, shape, axis, dtype, "torch.softmax")
    for shape in SHAPES[:3]:
        tried(time_shape, shape, 1, "float16", COPY)
    for shape in CUPY_SHAPES:
        tried(time_cupy, shape, "float32")
    small: dict[str, Any] = {}
    for measure in (time_small, time_small_cupy):
        try:
            small |= measure()
        except Exception as error:
            failures.append(f"{measure.__name__}: {error!r}"[:400])
    for title, times in small.items():
        if isinstance(times, dict):
            failures += [f"{title}, {k}: {v}" for k, v in times.items() if isinstance(v, str)]
    print(small, flush=True)
    return {"rows": rows, "small": small, "failures": failures}
