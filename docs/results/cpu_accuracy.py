"""Errors of the CPU's row kernels on random logits, against double-double arithmetic.

``python docs/results/cpu_accuracy.py`` with PyTorch, Numba, mpmath and this repository on the path,
tests included (``PYTHONPATH=.:spec:backends:tests``), writes ``cpu-accuracy.json``;
``cpu_accuracy_table.py`` prints the tables of the page.

The public functions compute weights and gradients, of NumPy arrays in float32 and float64 and of
PyTorch's tensors in 16 bits. `cpu_support.double_double_rows` computes them again, from the
definitions, and shares no code with the kernels, the array-API numerics or the reference. It is
compared with mpmath first.

``Block(dtype, function, distribution, length, rows).make()`` of `cpu_support.random_rows` makes the
rows again in which the results found an error to be the largest.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpu_benchmark import environment

from cpu_support.double_double_rows import FUNCTIONS
from cpu_support.measured_rows import CANCELLED, measured, merged
from cpu_support.mpmath_rows import errors_of_evaluation
from cpu_support.random_rows import DISTRIBUTIONS, FORMATS, Block, blocks
from softmax_variants_backends._cpu._threads import process_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT = Path(__file__).resolve().parent / "cpu-accuracy.json"
ELEMENTS = 10**8
DTYPES = ("float32", "float64", "float16", "bfloat16")
OTHERS = 10
"""A dtype other than float32 has this part of its elements."""
COMPARED = ((2, 3), (7, 2), (33, 1), (129, 1))
"""Lengths and numbers of the rows that are compared with mpmath, of each kind."""
LONG = 2000


def compared_blocks() -> Iterator[Block]:
    """Yield the rows that mpmath computes as well."""
    for dtype in FORMATS:
        for function in FUNCTIONS:
            for distribution in DISTRIBUTIONS:
                for length, rows in COMPARED:
                    yield Block(dtype, function, distribution, length, rows)
    for function in FUNCTIONS:
        yield Block("float64", function, "normal", LONG, 1)


def own_blocks(dtype: str, elements: int) -> list[Block]:
    """Return the rows of a dtype."""
    return list(blocks(dtype, elements if dtype == "float32" else elements // OTHERS))


def lengths(dtype: str, elements: int) -> str:
    """Return the lengths of its rows."""
    return ", ".join(str(n) for n in sorted({own.length for own in own_blocks(dtype, elements)}))


def measures(elements: int) -> Iterator[dict[str, Any]]:
    """Yield what the errors are, by dtype, function and distribution."""
    # Evaluations let go of the interpreter's lock, and kernels do.
    with ThreadPoolExecutor(process_threads()) as pool:
        for dtype in DTYPES:
            own = own_blocks(dtype, elements)
            found: dict[tuple[str, str], dict[str, Any]] = {}
            for block, parts in zip(own, pool.map(measured, own), strict=True):
                kind = found.setdefault((block.function, block.distribution), {})
                for name, part in parts.items():
                    kind[name] = merged(kind[name], part) if name in kind else part
            for (function, distribution), kind in found.items():
                print(dtype, function, distribution, kind["weights"]["ulp"], flush=True)
                yield {"dtype": dtype, "function": function, "distribution": distribution} | kind


def as_text(report: dict[str, Any]) -> str:
    """Return the report as JSON, each row of it on a line."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in report["rows"])
    text = json.dumps(report | {"rows": []}, indent=1)
    return text.replace('"rows": []', f'"rows": [\n{lines}\n ]') + "\n"


def main() -> None:
    """Compare everything, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--elements", type=int, default=ELEMENTS, help=f"of float32; others have 1/{OTHERS} of them"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT)
    chosen = parser.parse_args()
    begin = time.monotonic()
    evaluation = errors_of_evaluation(compared_blocks())
    print(f"double-double and mpmath: {evaluation}", flush=True)
    rows = list(measures(chosen.elements))
    option = "" if chosen.elements == ELEMENTS else f" --elements {chosen.elements}"
    report = {
        "command": f"python docs/results/cpu_accuracy.py{option}",
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(time.monotonic() - begin, 1),
        "environment": environment() | {"mpmath": metadata.version("mpmath")},
        "lengths": {dtype: lengths(dtype, chosen.elements) for dtype in DTYPES},
        "gradients are measured in ULP from this share of their scale": CANCELLED,
        "log2 of errors of the evaluation": evaluation,
        "rows": rows,
    }
    chosen.output.write_text(as_text(report), encoding="utf-8")
    print(f"{report['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
