"""How long the CPU's row kernels take, beside copying the same array and the functions of others.

``python docs/results/cpu_benchmark.py`` on Linux with glibc, with PyTorch, SciPy, JAX, Numba and
this repository on the path, tests included (``PYTHONPATH=.:spec:backends:tests``). It writes
``cpu-benchmark.json``, whose parts may be run one by one (``--only speed``, ``--only compile``);
``cpu_table.py`` prints the tables of the page.

All that is compared is timed in one process, in turns: what else the machine does, and its clock,
change from second to second. A ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

# Before JAX is imported: float64 is float32 there otherwise.
os.environ.setdefault("JAX_ENABLE_X64", "1")

import numpy as np
import torch

from cpu_support.timed_calls import SHAPES, Case, calls, small_calls
from softmax_variants_backends._cpu._threads import process_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Call = Callable[[], Any]

HERE = Path(__file__).resolve().parent
PARTS = ("speed", "compile")
DTYPES = ("float32", "float64", "float16", "bfloat16")
ROUNDS, FEWER_ROUNDS = 7, 3
SLOW = 0.2
"""Seconds from which on a call is made in the first rounds only; so are those of one thread."""
ONE_THREAD = ("NumPy", "scipy")
PAUSE = 0.02
"""Seconds before each call: after one, a library's threads wait busily for more work, on the cores
that the next call is to have."""
SMALL_CALLS, SMALL_ROUNDS = 500, 15
SIMD = {"avx512f": "AVX-512", "avx2": "AVX2", "neon": "NEON"}
"""LLVM's names of the vectors that kernels may be compiled to, and those of everybody else."""


def keep_memory() -> None:
    """Have the C library keep freed memory, so that new arrays are not new to the system as well.

    To give out a page takes longer than to fill it with results: whoever makes an array would be
    timed by that.
    """
    options = {"M_TRIM_THRESHOLD": -1, "M_TOP_PAD": -2, "M_MMAP_MAX": -4}
    mallopt = ctypes.CDLL(None).mallopt
    for name, value in (("M_MMAP_MAX", 0), ("M_TRIM_THRESHOLD", 2**31 - 1), ("M_TOP_PAD", 2**28)):
        if not mallopt(options[name], value):
            msg = f"mallopt does not take {name}"
            raise OSError(msg)


def seconds(call: Call) -> float:
    """Return the time of a call."""
    time.sleep(PAUSE)
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def in_turns(timed: dict[str, Call]) -> dict[str, list[float]]:
    """Return milliseconds of several calls, one of each a round, by name.

    The calls before, which compile what is to be compiled, do not count.
    """
    slow = set()
    for name, call in timed.items():
        if any(word in name for word in ONE_THREAD):
            slow.add(name)
            continue
        call()
        if seconds(call) > SLOW:
            slow.add(name)
    times: dict[str, list[float]] = {name: [] for name in timed}
    names = list(timed)
    for k in range(ROUNDS):
        # No call always comes after the same other one.
        for name in names[k:] + names[:k]:
            if k < FEWER_ROUNDS or name not in slow:
                times[name].append(round(1e3 * seconds(timed[name]), 4))
    return times


def microseconds(call: Call) -> float:
    """Return the time of a call, of many one after the other."""
    begin = time.perf_counter()
    for _ in range(SMALL_CALLS):
        call()
    return (time.perf_counter() - begin) / SMALL_CALLS * 1e6


def time_case(case: Case) -> Iterator[dict[str, Any]]:
    """Time all calls on an array."""
    for name, own in in_turns(calls(case)).items():
        yield {
            "shape": list(case.shape),
            "axis": case.axis,
            "dtype": case.dtype,
            "direction": case.direction,
            "name": name,
            "ms": median(own),
            "rounds": own,
        }


def time_small() -> dict[str, dict[str, float]]:
    """Time calls on a small array, in turns as well."""
    found: dict[str, dict[str, float]] = {}
    for library, timed in small_calls().items():
        times: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(SMALL_ROUNDS):
            for name, call in timed.items():
                times[name].append(microseconds(call))
        found[library] = {name: round(median(own), 2) for name, own in times.items()}
    return found


def speed() -> dict[str, Any]:
    """Time everything."""
    keep_memory()
    rows: list[dict[str, Any]] = []
    for dtype in DTYPES:
        for shape, axis in SHAPES:
            for gradients in (False, True):
                case = Case(shape, axis, dtype, gradients=gradients)
                with np.errstate(all="ignore"):  # sums in float16 overflow: those of others
                    found = list(time_case(case))
                rows += found
                text = ", ".join(f"{row['name']} {row['ms']:.2f}" for row in found)
                print(f"{dtype} {shape} axis {axis} {case.direction}, ms: {text}", flush=True)
                gc.collect()
    return {"small": time_small(), "rows": rows}


def compile_times() -> dict[str, Any]:
    """Time the compilation of all kernels by the command, and what it takes with them on disk."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for title in ("compiled", "loaded"):
            done = subprocess.run(
                [sys.executable, "-m", "softmax_variants", "compile"],
                env=os.environ | {"NUMBA_CACHE_DIR": folder},
                check=True,
                capture_output=True,
                text=True,
            )
            lines = (line.removesuffix(" s").split(": ") for line in done.stdout.splitlines())
            found[title] = {name: float(taken) for name, taken in lines}
        files = [path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()]
        found["mebibytes"] = round(sum(files) / 2**20, 1)
    print(found, flush=True)
    return found


def processor() -> dict[str, Any]:
    """Return what the system and LLVM say of the processor."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    found: dict[str, Any] = {"model": llvm.get_host_cpu_name(), "cores": os.cpu_count()}
    found["simd"] = [title for name, title in SIMD.items() if features.get(name)]
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                found["model"] = line.partition(":")[2].strip()
                break
    caches = Path("/sys/devices/system/cpu/cpu0/cache")
    found["caches"] = [
        f"L{(own / 'level').read_text().strip()} {(own / 'type').read_text().strip().lower()} "
        f"{(own / 'size').read_text().strip()}"
        for own in sorted(caches.glob("index*"))
    ]
    return found


def environment() -> dict[str, Any]:
    """Return the versions, the machine and the threads."""
    found: dict[str, Any] = {"python": platform.python_version(), "system": platform.system()}
    for name in ("numpy", "numba", "llvmlite", "torch", "scipy", "jax", "jaxlib"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    found["processor"] = processor()
    found["threads"] = {"NumPy arrays": process_threads(), "PyTorch": torch.get_num_threads()}
    return found


def as_text(report: dict[str, Any]) -> str:
    """Return the report as JSON, each row of times on a line."""
    rows = report.get("speed", {}).get("rows", [])
    kept = {key: part | {"rows": []} if "rows" in part else part for key, part in report.items()}
    lines = ",\n".join(f"   {json.dumps(row)}" for row in rows)
    return json.dumps(kept, indent=1).replace('"rows": []', f'"rows": [\n{lines}\n  ]') + "\n"


def main() -> None:
    """Run the chosen parts; each replaces its share of the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="one of the parts")
    parser.add_argument("--output", type=Path, default=HERE / "cpu-benchmark.json")
    chosen = parser.parse_args()
    run: dict[str, Callable[[], dict[str, Any]]] = {"speed": speed, "compile": compile_times}
    report: dict[str, Any] = {}
    if chosen.output.exists():
        report = json.loads(chosen.output.read_text(encoding="utf-8"))
    for name in chosen.only or PARTS:
        begin = time.monotonic()
        part = run[name]()
        report[name] = {
            "command": f"python docs/results/cpu_benchmark.py --only {name}",
            "date": datetime.now(UTC).date().isoformat(),
            "seconds": round(time.monotonic() - begin, 1),
            "environment": environment(),
            **part,
        }
        report = {key: report[key] for key in PARTS if key in report}
        chosen.output.write_text(as_text(report), encoding="utf-8")
        print(f"{name}: {report[name]['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
