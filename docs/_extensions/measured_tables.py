"""Tables from committed results: errors and times of a function, and reports side by side."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

__all__ = ["claims", "errors", "peers", "setup", "times"]

RESULTS = Path(__file__).resolve().parents[1] / "results"
_OURS = {
    "NumPy": "conformance-numpy.json",
    "PyTorch, CPU": "conformance-torch-cpu.json",
    "PyTorch, CUDA": "conformance-torch-cuda.json",
    "CuPy": "conformance-cupy.json",
    "array-api-strict": "conformance-array-api-strict.json",
}
_PEERS = {
    "torch.softmax": "peers-torch-softmax.json",
    "scipy.special.softmax": "peers-scipy-softmax.json",
    "jax.nn.softmax (a few rows)": "peers-jax-softmax.json",
    "SSMax as written": "peers-ssmax-as-written.json",
    "SA-Softmax as written (a few rows)": "peers-sa-softmax-as-written.json",
}
_DTYPES = ("float16", "bfloat16", "float32", "float64")


def _read(file: str) -> Any:
    return json.loads((RESULTS / file).read_text(encoding="utf-8"))


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _error(value: float | str | None) -> str:
    """Return an error in ULP; of one just above one half, by what it exceeds it."""
    if value is None:
        return ""
    number = float(value)
    over = number - 0.5
    if number == float("inf"):
        return "∞"
    if 0 < over < 0.01:
        return f"½ + {over:.0e}"
    # Three digits of an error just below one half are its.
    return "½" if f"{number:.3g}" == "0.5" else f"{number:.3g}"


def _claim(text: str) -> str:
    """Return a claim; a largest error just above one half as ½ and a power of two."""
    number, _, unit = text.partition(" ")
    if unit != "ULP" or not 0.5 < float(number) < 0.51:
        return text
    exponent = round(math.log2(float(number) - 0.5))
    return "½ + 2" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _percent(share: float) -> str:
    """Return a share, rounded down: one that is not whole is not called so."""
    return f"{math.floor(share * 1e5) / 1e3:.3f}%"


def _of(function: str, summaries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [s for s in summaries if s["variant"].partition(".")[0] == function]


def errors(function: str) -> str:
    """Return the largest errors of the weights of a function, a row a backend and variant.

    Parameters
    ----------
    function
        ``"softmax"``, ``"ssmax"`` or ``"sa_softmax"``.
    """
    rows = []
    for backend, file in _OURS.items():
        report = _read(file)
        by_variant: dict[str, dict[str, dict[str, Any]]] = {}
        for summary in _of(function, report["summaries"]):
            by_variant.setdefault(summary["variant"], {})[summary["dtype"]] = summary
        for variant, found in by_variant.items():
            cells = [_error(found[d]["max_error"]) if d in found else "" for d in _DTYPES]
            shares = [f["correct"] / f["inexact"] for f in found.values()]
            ratio = max(float(f.get("gradient_ratio", 0)) for f in found.values())
            rows.append([backend, variant, *cells, _percent(min(shares)), f"{ratio:.2f}"])
    head = [
        "backend",
        "function",
        *_DTYPES,
        "correctly rounded, least share",
        "gradients / allowed",
    ]
    return _markdown(head, rows)


def claims() -> str:
    """Return what each backend claims and the largest error that the suite finds, by dtype."""
    rows = []
    for backend, file in _OURS.items():
        for dtype in _DTYPES:
            found = [s for s in _read(file)["summaries"] if s["dtype"] == dtype]
            if found:
                largest = max(found, key=lambda s: float(s["max_error"]))
                claimed = " or ".join(sorted({_claim(s["claim"]) for s in found}))
                met = " or ".join(sorted({s["class_met"] for s in found}))
                cells = [_error(largest["max_error"]), largest["variant"], met]
                rows.append([backend, dtype, claimed, *cells])
    return _markdown(["backend", "dtype", "claim", "largest error, ULP", "of", "class met"], rows)


def peers() -> str:
    """Return what the suite says of functions of other libraries, and of formulas as written."""
    rows = []
    for name, file in _PEERS.items():
        for summary in _read(file)["summaries"]:
            share = summary["correct"] / summary["inexact"]
            cells = [summary["variant"], summary["dtype"], _error(summary["max_error"])]
            failed = f"{summary['failed']} of {summary['total']}"
            rows.append([name, *cells, _percent(share), summary.get("class_met", "none"), failed])
    head = ["implementation", "function", "dtype", "largest error, ULP", "correctly rounded"]
    return _markdown([*head, "class met", "entries failed"], rows)


def _ratio(above: dict[str, Any], below: dict[str, Any]) -> float:
    """Return how many times as long one call takes as another: the median of the rounds'."""
    pairs = zip(above["rounds"], below["rounds"], strict=False)
    return median(one / other for one, other in pairs)


def times(function: str) -> str:
    """Return how fast a function is beside copying and ``torch.softmax``, on a CPU and a GPU."""
    rows = []
    for place, part in (
        ("CPU", _read("cpu-benchmark.json")["speed"]),
        ("GPU", _read("cuda-h100.json")["benchmark"]),
    ):
        groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
        for row in part["rows"]:
            if row["dtype"] == "float32" and row["axis"] == 1 and "CuPy" not in row.values():
                key = "x".join(map(str, row["shape"])), row["direction"]
                groups.setdefault(key, {})[row["name"]] = row
        for (shape, direction), group in groups.items():
            # Copying reads an array and writes one, gradients read two.
            arrays = 3 / 2 if direction == "backward" else 1
            rows += [
                [
                    f"{place}, {shape}",
                    direction,
                    name,
                    f"{arrays * _ratio(group['copy'], row):.2f}",
                    f"{_ratio(group['torch.softmax'], row):.2f}",
                ]
                for name, row in group.items()
                if name.split()[0] == function and "," not in name and "torch.softmax" in group
            ]
    head = ["machine, shape", "direction", "function", "of copying's speed", "of `torch.softmax`'s"]
    return _markdown(head, rows)


class _Table(SphinxDirective):
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the table."""
        make = {"errors": errors, "times": times, "claims": claims, "peers": peers}
        return self.parse_text_to_nodes(make[self.name.removeprefix("table-of-")](*self.arguments))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    for name in ("errors", "times", "claims", "peers"):
        app.add_directive(f"table-of-{name}", _Table)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
