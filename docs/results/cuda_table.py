"""Print the tables of the page about the CUDA kernels from the committed results.

``python docs/results/cuda_table.py --write`` puts them between the markers of ``docs/cuda.md``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RESULTS = Path(__file__).resolve().parent / "cuda-h100.json"
PAGE = RESULTS.parents[1] / "cuda.md"
BEGIN = "<!-- begin: printed by python docs/results/cuda_table.py -->"
END = "<!-- end -->"

FUNCTIONS = ("softmax", "ssmax", "sa_softmax plain", "sa_softmax normalized")
TITLES = ("softmax", "SSMax", "SA plain", "SA normalized")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def size(row: dict[str, Any]) -> str:
    """Return a shape, and the axis if it is not the last."""
    text = "x".join(map(str, row["shape"]))
    return text if row["axis"] == len(row["shape"]) - 1 else f"{text}, axis {row['axis']}"


def grouped(rows: Iterable[dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """Return rows of the same shape, dtype and direction together, by name."""
    found: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in rows:
        key = (size(row), row["dtype"], row["direction"], row["library"])
        found.setdefault(key, {})[row["name"]] = row
    return list(found.values())


def speed(rows: list[dict[str, Any]], names: Sequence[str], titles: Sequence[str]) -> str:
    """Return shares of the speed of copying, and the time that copying takes."""
    head = ["shape", "dtype", "copy, ms", *titles]
    cells = []
    for group in grouped(rows):
        copy = group["copy"]
        shares = (f"{group[name]['of_copy']:.2f}" if name in group else "" for name in names)
        cells.append([size(copy), copy["dtype"], f"{copy['ms']:.3f}", *shares])
    return table(head, cells)


def beside_torch(rows: list[dict[str, Any]]) -> str:
    """Return how many times as fast as ``torch.softmax``, and the share of copying's speed."""
    head = ["shape", "dtype", "direction", "torch.softmax, ms", *TITLES]
    cells = []
    for group in grouped(rows):
        torch_row = group["torch.softmax"]
        cells.append(
            [
                *(size(torch_row), torch_row["dtype"], torch_row["direction"]),
                f"{torch_row['ms']:.3f}",
                *(f"{group[n]['of_torch']:.2f} ({group[n]['of_copy']:.2f})" for n in FUNCTIONS),
            ]
        )
    return table(head, cells)


def small(times: dict[str, Any]) -> str:
    """Return microseconds of calls on a small array, and their ratios to PyTorch's."""
    cells = []
    for title, own in times.items():
        if not isinstance(own, dict):
            continue
        base = own.get("torch.softmax")
        for name, value in own.items():
            ratio = "" if base is None or name == "torch.softmax" else f"{value / base:.2f}"
            cells.append([title, name, f"{value:.1f}", ratio])
    return table(["", "function", "microseconds", "over torch.softmax"], cells)


def bits(rows: list[dict[str, Any]]) -> str:
    """Return how many elements differ between two implementations."""
    sums: dict[tuple[str, ...], dict[bool, dict[str, int]]] = {}
    for row in rows:
        key = (row["inputs"], row["dtype"], " and ".join(row["between"]))
        cell = sums.setdefault(key, {}).setdefault(row["result"] == "weights", {})
        for name in ("elements", "differing", "zeros", "beyond_one"):
            cell[name] = cell.get(name, 0) + row[name]

    def text(cell: dict[str, int]) -> str:
        numbers, zeros = cell["differing"] - cell["zeros"], cell["zeros"]
        found = f"{numbers:,} of {cell['elements']:,}"
        if cell["beyond_one"]:
            found += f", {cell['beyond_one']:,} by more than 1 ULP"
        return found + (f"; {zeros:,} signs of zeros" if zeros else "")

    cells = [[*key, text(own[True]), text(own[False])] for key, own in sums.items()]
    head = ["inputs", "dtype", "between", "weights that differ", "gradients that differ"]
    return table(head, cells)


def sanitizer(rows: list[dict[str, Any]]) -> str:
    """Return the errors that compute-sanitizer counted."""
    sums: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        library = "CuPy" if "cupy" in row["arguments"] else "PyTorch"
        cell = sums.setdefault((row["tool"], library), [0, 0])
        cell[0] += row["calls"]
        cell[1] += row["errors"]
    cells = [[*key, *(f"{number:,}" for number in own)] for key, own in sums.items()]
    return table(["tool", "library", "calls", "errors"], cells)


def tables(results: dict[str, Any]) -> str:
    """Return all tables under their titles, those of the parts that were run."""
    parts: dict[str, str] = {}
    if "benchmark" in results:
        parts |= times(results["benchmark"]["rows"], results["benchmark"]["small"])
    if "bits" in results:
        parts["Results compared bit for bit"] = bits(results["bits"]["rows"])
    if "sanitize" in results:
        parts["compute-sanitizer"] = sanitizer(results["sanitize"]["rows"])
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items())


def times(rows: list[dict[str, Any]], calls: dict[str, Any]) -> dict[str, str]:
    """Return the tables of the benchmark."""
    own = [row for row in rows if row["library"] == "PyTorch"]
    beside_copy = [row for row in own if row["beside"] == "copy"]
    names, titles = ("torch.softmax", *FUNCTIONS), ("torch.softmax", *TITLES)
    found = {
        f"{direction.capitalize()}, as a share of the speed of copying": speed(
            [row for row in beside_copy if row["direction"] == direction], names, titles
        )
        for direction in ("forward", "backward")
    }
    return found | {
        "CuPy, forward, as a share of the speed of copying": speed(
            [row for row in rows if row["library"] == "CuPy"], FUNCTIONS, TITLES
        ),
        "Times as fast as `torch.softmax` (in brackets: the share of the speed of copying)": (
            beside_torch([row for row in own if row["beside"] == "torch.softmax"])
        ),
        f"Calls on {'x'.join(map(str, calls['shape']))}, float32": small(calls),
    }


def replaced(page: str, text: str) -> str:
    """Return the page with the text between its markers."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put them on the page")
    printed = tables(json.loads(RESULTS.read_text(encoding="utf-8")))
    if parser.parse_args().write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), printed), encoding="utf-8")
    else:
        print(printed)
