"""Print the tables of the page about CPUs from the committed results.

``python docs/results/cpu_table.py --write`` puts them between the markers of ``docs/cpu.md``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from cuda_table import size, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Group = dict[str, dict[str, Any]]

RESULTS = Path(__file__).resolve().parent / "cpu-benchmark.json"
PAGE = RESULTS.parents[1] / "cpu.md"
BEGIN = "<!-- begin: printed by python docs/results/cpu_table.py -->"
END = "<!-- end -->"

COPY, TORCH = "copy", "torch.softmax"
FUNCTIONS = ("softmax", "ssmax", "sa_softmax plain", "sa_softmax normalized")
TITLES = ("softmax", "SSMax", "SA plain", "SA normalized")
OTHERS = (
    ("softmax, without out", "torch.softmax, without out"),
    ("softmax", "scipy.special.softmax"),
    ("softmax", "jax.nn.softmax"),
    ("ssmax", "ssmax, NumPy"),
    ("ssmax", "ssmax, torch.compile"),
    ("sa_softmax normalized", "sa_softmax, NumPy"),
    ("sa_softmax normalized", "sa_softmax, torch.compile"),
)
"""Functions of ours, and who else computes the same."""
OTHER_TITLES = (
    "softmax: PyTorch, without `out`",
    "SciPy",
    "JAX",
    "SSMax: formula in NumPy",
    "formula by torch.compile",
    "SA normalized: formula in NumPy",
    "formula by torch.compile",
)


def ratio(group: Group, above: str, below: str) -> float:
    """Return how many times as long one call takes as another: the median of the rounds'."""
    pairs = zip(group[above]["rounds"], group[below]["rounds"], strict=False)
    return median(one / other for one, other in pairs)


def grouped(rows: Iterable[dict[str, Any]]) -> list[Group]:
    """Return rows of the same shape, dtype and direction together, by name."""
    found: dict[tuple[str, ...], Group] = {}
    for row in rows:
        found.setdefault((size(row), row["dtype"], row["direction"]), {})[row["name"]] = row
    return list(found.values())


def head_of(group: Group) -> list[str]:
    """Return what a row of a table begins with."""
    copy = group[COPY]
    return [size(copy), copy["dtype"], f"{copy['ms']:.1f}", f"{group[TORCH]['ms']:.1f}"]


def beside_torch(groups: Sequence[Group]) -> str:
    """Return how many times as fast as PyTorch's softmax, and the share of copying's speed."""
    # Copying reads an array and writes one, gradients read two.
    cells = []
    for group in groups:
        arrays = 3 / 2 if group[COPY]["direction"] == "backward" else 1
        cells.append(
            [
                *head_of(group),
                *(
                    f"{ratio(group, TORCH, name):.2f} ({arrays * ratio(group, COPY, name):.2f})"
                    for name in FUNCTIONS
                ),
            ]
        )
    return table(["shape", "dtype", "copy, ms", "torch.softmax, ms", *TITLES], cells)


def beside_others(groups: Sequence[Group]) -> str:
    """Return how many times as fast as others."""
    cells = []
    for group in groups:
        row = group[COPY]
        own = (
            f"{ratio(group, other, name):.1f}" if other in group else "" for name, other in OTHERS
        )
        cells.append([size(row), row["dtype"], row["direction"], *own])
    return table(["shape", "dtype", "direction", *OTHER_TITLES], cells)


def small(times: dict[str, dict[str, float]]) -> str:
    """Return microseconds of calls on a small array, and their ratios to the library's own."""
    cells = []
    for library, own in times.items():
        peer, *_ = own
        for name, value in own.items():
            over = "" if name == peer else f"{value / own[peer]:.2f}"
            cells.append([library, name, f"{value:.1f}", over])
    return table(["arrays of", "function", "microseconds", "over the library's softmax"], cells)


def compilation(part: dict[str, Any]) -> str:
    """Return the seconds that kernels take to be compiled, and to be loaded."""
    compiled, loaded = part["compiled"], part["loaded"]
    functions = dict.fromkeys(name.split()[0] for name in compiled)
    dtypes = list(dict.fromkeys(name.split()[1] for name in compiled))
    cells = [
        [name, *(f"{compiled[f'{name} {dtype}']:.1f}" for dtype in dtypes)] for name in functions
    ]
    for title, times in (("all", compiled), ("all, from the disk", loaded)):
        sums = (sum(times[f"{name} {dtype}"] for name in functions) for dtype in dtypes)
        cells.append([title, *(f"{value:.1f}" for value in sums)])
    return table(["kernel", *dtypes], cells)


def machine(environment: dict[str, Any]) -> str:
    """Return the machine and the versions in a sentence."""
    own = environment["processor"]
    threads = environment["threads"]
    versions = (("Python", "python"), ("NumPy", "numpy"), ("Numba", "numba"))
    versions += (("PyTorch", "torch"), ("SciPy", "scipy"), ("JAX", "jax"))
    return (
        f"{own['model']} ({', '.join(own['simd'])}), {own['cores']} cores, "
        f"caches: {', '.join(own['caches'])}. Threads: {threads['NumPy arrays']} for NumPy arrays, "
        f"{threads['PyTorch']} of PyTorch. "
        + ", ".join(f"{title} {environment[name]}" for title, name in versions if environment[name])
        + "."
    )


def tables(results: dict[str, Any]) -> str:
    """Return all tables under their titles, those of the parts that were run."""
    found: list[str] = []
    if "speed" in results:
        part = results["speed"]
        groups = grouped(part["rows"])
        forward = [group for group in groups if group[COPY]["direction"] == "forward"]
        backward = [group for group in groups if group[COPY]["direction"] == "backward"]
        note = "in brackets: the share of the speed of copying"
        title = f"times as fast as `torch.softmax` ({note})"
        found += [
            machine(part["environment"]),
            f"### Forward, `out=` given, {title}\n\n{beside_torch(forward)}",
            f"### Backward, {title}\n\n{beside_torch(backward)}",
            f"### Times as fast as others\n\n{beside_others(groups)}",
            f"### Calls on 4x8, float32\n\n{small(part['small'])}",
        ]
    if "compile" in results:
        found.append(f"### Seconds of compiling\n\n{compilation(results['compile'])}")
    return "\n\n".join(found)


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
