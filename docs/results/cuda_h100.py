"""Evidence for the CUDA kernels, from a GPU: bits, ``compute-sanitizer``, times.

``python docs/results/cuda_h100.py bits sanitize benchmark`` with PyTorch, CuPy, Triton and this
repository on the path, and ``compute-sanitizer`` installed. Each part replaces its share of the
JSON file, so they may be run one by one; ``cuda_table.py`` prints the tables of the page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
PARTS = ("bits", "benchmark", "sanitize")


def environment() -> dict[str, Any]:
    """Return the versions and the device."""
    import torch

    found: dict[str, Any] = {"python": platform.python_version(), "system": platform.system()}
    for name in ("numpy", "torch", "triton", "array-api-compat", "cuda-bindings"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    try:
        import cupy

        found["cupy"] = cupy.__version__
        found["NVRTC"] = ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
        found["driver"] = cupy.cuda.runtime.driverGetVersion()
    except Exception as error:
        found["cupy"] = type(error).__name__
    found["cuda"] = torch.version.cuda
    found["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return found


def command() -> str:
    """Return the command line, without folders of this machine."""
    words = (Path(word).name if word.startswith("/") else word for word in sys.argv[1:])
    return " ".join(["python docs/results/cuda_h100.py", *words])


def bits(chosen: argparse.Namespace) -> dict[str, Any]:
    """Compare bits."""
    from cuda_h100_bits import compare_all

    return compare_all(chosen.elements, chosen.gradient_elements, chosen.workers)


def benchmark(_: argparse.Namespace) -> dict[str, Any]:
    """Take times."""
    from cuda_h100_benchmark import benchmark as take

    return take()


def sanitize(chosen: argparse.Namespace) -> dict[str, Any]:
    """Run compute-sanitizer."""
    from cuda_h100_sanitize import sanitize as watch

    return watch(chosen.at_once, chosen.seconds)


def failures_of(part: dict[str, Any]) -> list[str]:
    """Return what went wrong in a part."""
    found = [*part.get("failures", ())]
    found += [row["failure"] for row in part.get("rows", ()) if "failure" in row]
    return [*found, *([part["failure"]] if "failure" in part else [])]


def gpu_there() -> bool:
    """Return whether PyTorch can use a GPU of NVIDIA's."""
    import torch

    return torch.version.cuda is not None and torch.cuda.device_count() > 0


def main() -> int:
    """Run the chosen parts; return 1 if something went wrong in one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=PARTS, metavar="|".join(PARTS))
    parser.add_argument("--output", type=Path, default=HERE / "cuda-h100.json")
    parser.add_argument(
        "--elements", type=int, default=10**8, help="random elements of each function and dtype"
    )
    parser.add_argument("--gradient-elements", type=int, default=10**7)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes for bits")
    parser.add_argument("--at-once", type=int, default=8, help="sanitizers at a time")
    parser.add_argument("--seconds", type=float, default=120.0, help="limit on each sanitizer")
    chosen = parser.parse_args()
    if not gpu_there():
        parser.error("an NVIDIA GPU is needed, and a PyTorch that can use it: found none")
    # Before anything runs: arrays of the host are computed one process a core.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run: dict[str, Callable[[argparse.Namespace], dict[str, Any]]]
    run = {"bits": bits, "benchmark": benchmark, "sanitize": sanitize}
    failed = False
    for name in chosen.parts:
        started = time.monotonic()
        part = run[name](chosen)
        part = {
            "command": command(),
            "date": datetime.now(UTC).date().isoformat(),
            "seconds": round(time.monotonic() - started, 1),
            "environment": environment(),
            **part,
        }
        report: dict[str, Any] = {}
        if chosen.output.exists():
            report = json.loads(chosen.output.read_text(encoding="utf-8"))
        report[name] = part
        report = {key: report[key] for key in PARTS if key in report}
        chosen.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        wrong = failures_of(part)
        print(f"{name}: {part['seconds']} s, {len(wrong)} failures", *wrong[:10], sep="\n")
        failed = failed or bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
