"""``compute-sanitizer`` over every path of the CUDA kernels, and the errors that it counts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

__all__ = ["sanitize", "summary_of"]

PATHS = Path(__file__).resolve().parent / "cuda_h100_paths.py"
SANITIZER = ("compute-sanitizer", "/usr/local/cuda/bin/compute-sanitizer")
DTYPES = ("float32", "float16", "bfloat16", "float64")
FUNCTIONS = ("softmax", "ssmax", "sa_softmax")
# Lengths of rows of a block (any and known ones), of a cluster, in parts.
RACE_LENGTHS = ("100", "4096", "16384", "300000")

# NVIDIA's bindings ask the driver for functions of newer ones, which it then does not have.
OPTIONS = {"memcheck": ["--report-api-errors", "no"], "racecheck": []}

_SUMMARY = {
    "memcheck": re.compile(r"ERROR SUMMARY: (\d+) error"),
    "racecheck": re.compile(r"RACECHECK SUMMARY: (\d+) hazards? displayed"),
}


def jobs() -> list[tuple[str, list[str]]]:
    """Return the tool and the arguments of each run, the longest first."""
    found = [
        ("memcheck", ["--library", "torch", "--dtype", dtype, "--function", function])
        for function in reversed(FUNCTIONS)
        for dtype in DTYPES
    ]
    for dtype in DTYPES:
        # Longer rows of float64 are read again and again, for minutes under racecheck.
        kept = RACE_LENGTHS[: -1 if dtype == "float64" else None]
        lengths = [word for length in kept for word in ("--length", length)]
        found.append(("racecheck", ["--library", "torch", "--dtype", dtype, "--few", *lengths]))
    # The kernels are the same: what differs in CuPy is how they are launched.
    found.append(("memcheck", ["--library", "cupy", "--dtype", "float32", "--few"]))
    return found


def summary_of(tool: str, output: str) -> int | None:
    """Return the number of errors that a tool counted; None if it did not come to its end."""
    found = _SUMMARY[tool].findall(output)
    return int(found[-1]) if found else None


def sanitize(at_once: int, seconds: float) -> dict[str, Any]:
    """Run all jobs, so many at once, each with so many seconds."""
    command = next((found for name in SANITIZER if (found := shutil.which(name))), None)
    if command is None:
        return {"failure": "compute-sanitizer is not found"}
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)

    def run(job: tuple[str, list[str]]) -> dict[str, Any]:
        tool, arguments = job
        started = time.monotonic()
        failure = None
        try:
            done = subprocess.run(
                [command, "--tool", tool, *OPTIONS[tool], sys.executable, str(PATHS), *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
                env=os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},
            )
            output = done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            output, failure = "", f"no end after {seconds:.0f} s"
        errors = summary_of(tool, output)
        calls = re.findall(r"^(\d+) calls$", output, re.MULTILINE)
        row: dict[str, Any] = {"tool": tool, "arguments": " ".join(arguments), "errors": errors}
        row |= {"calls": int(calls[-1]) if calls else None}
        row |= {"seconds": round(time.monotonic() - started, 1)}
        if failure is None and (errors is None or not calls or errors):
            lines = [line for line in output.splitlines() if line.strip()]
            failure = "\n".join([*lines[:12], *lines[-12:]])
        if failure is not None:
            row["failure"] = failure
        print(row, flush=True)
        return row

    with ThreadPoolExecutor(at_once) as pool:
        rows = list(pool.map(run, jobs()))
    # What did not come to its end for want of room or a port beside the others runs again, alone.
    rows = [
        run(job) if row["errors"] is None and "no end" not in row["failure"] else row
        for job, row in zip(jobs(), rows, strict=True)
    ]
    lines = version.stdout.strip().splitlines()
    return {"version": lines[-1] if lines else "", "rows": rows}
