"""Print the README's table of accuracy from the committed reports."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPORTS = {
    "NumPy": "conformance-numpy.json",
    "array-api-strict": "conformance-array-api-strict.json",
    "PyTorch, CPU": "conformance-torch-cpu.json",
    "PyTorch, CUDA": "conformance-torch-cuda.json",
    "CuPy": "conformance-cupy.json",
}


def error(value: float) -> str:
    """Return an error in ULP, just above one half by what it exceeds it."""
    over = value - 0.5
    if abs(over) <= 1e-7:
        return "½"
    return f"½ + {over:.0e}" if 0 < over < 0.01 else f"{value:.3f}"


def share(summaries: list[dict[str, object]]) -> str:
    """Return the share of correctly rounded entries over all that are not representable."""
    inexact = sum(s["inexact"] for s in summaries)
    correct = sum(s["correct"] for s in summaries)
    return f"{correct:,} of {inexact:,} correctly rounded"


def row(name: str, file: str) -> str:
    """Return a line of the table."""
    report = json.loads((HERE / file).read_text(encoding="utf-8"))
    summaries = report["summaries"]
    device = report["environment"].get("device", "").replace("cuda (", "").rstrip(")")
    cells = [name if device in ("", "cpu") else f"{name} ({device})"]
    for narrow in (True, False):
        chosen = [s for s in summaries if (s["dtype"] != "float64") == narrow]
        cells.append(f"{error(max(s['max_error'] for s in chosen))}; {share(chosen)}")
    return "| " + " | ".join(cells) + " |"


def table() -> str:
    """Return the lines of the table."""
    return "\n".join(row(name, file) for name, file in REPORTS.items())


if __name__ == "__main__":
    print(table())
