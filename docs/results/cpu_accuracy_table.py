"""Print what the page about CPUs says of errors, from the committed results.

``python docs/results/cpu_accuracy_table.py --write`` puts it between its markers in
``docs/cpu.md``.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from cuda_table import table

RESULTS = Path(__file__).resolve().parent / "cpu-accuracy.json"
PAGE = RESULTS.parents[1] / "cpu.md"
BEGIN = "<!-- begin: printed by python docs/results/cpu_accuracy_table.py -->"
END = "<!-- end -->"

GRADIENTS = ("dx", "ds", "db")
MEASURE = "gradients are measured in ULP from this share of their scale"


def error(ulp: float) -> str:
    """Return an error in ULP, by what it is beyond a half."""
    excess = ulp - 0.5
    if excess <= 0:
        return "1/2"
    return f"1/2 + 2^{math.log2(excess):.1f}" if excess < 0.01 else f"{ulp:.2f}"


def largest(rows: list[dict[str, Any]], kind: str, measure: str) -> float:
    """Return the largest of a measure; 0 where there is none."""
    return max((row[kind][measure] for row in rows if kind in row), default=0.0)


def total(rows: list[dict[str, Any]], measure: str) -> int:
    """Return how many weights there are of a kind."""
    return sum(row["weights"][measure] for row in rows)


def by_function(rows: list[dict[str, Any]]) -> str:
    """Return the errors of each function and dtype."""
    cells = []
    for dtype in dict.fromkeys(row["dtype"] for row in rows):
        for function in dict.fromkeys(row["function"] for row in rows):
            own = [row for row in rows if (row["dtype"], row["function"]) == (dtype, function)]
            parameters = (largest(own, kind, "of faithful") for kind in GRADIENTS[1:])
            cells.append(
                [
                    dtype,
                    function,
                    f"{total(own, 'present'):,}",
                    error(largest(own, "weights", "ulp")),
                    f"{total(own, 'not nearest'):,}",
                    f"{largest(own, 'dx', 'of faithful'):.2f}",
                    error(largest(own, "dx", "ulp")),
                    ", ".join(f"{value:.2f}" for value in parameters if value),
                ]
            )
    head = ["dtype", "function", "weights", "largest error, ULP", "not the nearest number"]
    head += ["dx, of faithful", "dx, ULP", "ds, db, of faithful"]
    return table(head, cells)


def by_distribution(rows: list[dict[str, Any]]) -> str:
    """Return the largest errors of weights in float32, by what the logits are.

    In brackets it has how many weights are not the nearest number.
    """
    functions = list(dict.fromkeys(row["function"] for row in rows))
    found: dict[tuple[str, str], str] = {}
    for row in rows:
        if row["dtype"] == "float32":
            own = row["weights"]
            count = f" ({own['not nearest']:,})" if own["not nearest"] else ""
            found[row["distribution"], row["function"]] = error(own["ulp"]) + count
    names = dict.fromkeys(name for name, _ in found)
    cells = [[name, *(found[name, function] for function in functions)] for name in names]
    return table(["float32 logits (weights that are not the nearest number)", *functions], cells)


def text(results: dict[str, Any]) -> str:
    """Return a paragraph and the tables."""
    rows, environment = results["rows"], results["environment"]
    dtypes = dict.fromkeys(row["dtype"] for row in rows)
    counts = (
        f"{total([row for row in rows if row['dtype'] == dtype], 'present'):,} in {dtype}"
        for dtype in dtypes
    )
    evaluation = results["log2 of errors of the evaluation"]
    gradients = max(evaluation[kind] for kind in GRADIENTS)
    own = environment["processor"]
    sentences = (
        f"Weights compared: {', '.join(counts)}, their gradients as well.",
        f"Of {evaluation['elements']:,} of them, mpmath finds the double-double evaluation right "
        f"to 2^{evaluation['weights']}, and gradients to 2^{gradients} of their scale.",
        f"{total(rows, 'undecided'):,} weights are so near the middle of two numbers, or on it, "
        "that it does not tell which is the nearest.",
        "*Of faithful* is the largest error of a gradient by what that class allows it; in ULP "
        f"they are measured where not less than 1/{1 / results[MEASURE]:.0f} of their scale.",
        f"{own['model']} ({', '.join(own['simd'])}), NumPy {environment['numpy']}, "
        f"Numba {environment['numba']}, PyTorch {environment['torch']}, {results['date']}.",
    )
    return "\n\n".join([" ".join(sentences), by_function(rows), by_distribution(rows)])


def replaced(page: str, printed: str) -> str:
    """Return the page with the text between its markers."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{printed}\n\n{END}{after}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put it on the page")
    printed = text(json.loads(RESULTS.read_text(encoding="utf-8")))
    if parser.parse_args().write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), printed), encoding="utf-8")
    else:
        print(printed)
