"""The kernels through PyTorch and through CuPy, and the array-API numerics, bit for bit.

Inputs are the golden vectors, all regimes of the conformance suite, and random rows. They come from
fixed seeds on the host, so that whatever is listed can be computed again anywhere.
"""

from __future__ import annotations

import math
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from cuda_h100_differences import Tally

from softmax_variants_spec.conformance.blocks import Block
from softmax_variants_spec.conformance.regimes import REGIMES
from softmax_variants_spec.conformance.subject import Subject, load_subject
from softmax_variants_spec.conformance.variants import VARIANTS, Variant
from softmax_variants_spec.formats import FORMATS
from softmax_variants_spec.vectors import load

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Task", "compare_all"]

DTYPES = ("float16", "bfloat16", "float32", "float64")
RANDOM = ("softmax", "ssmax", "sa_softmax.normalized", "sa_softmax.plain")
CHUNK = 1 << 20
"""Elements of random rows that are compared at a time, about."""
LENGTHS = (128, 1000, 16, 4096, 20011, 1024, 262144, 9, 70000, 16384, 513, 131073)
SIGMAS = (1.0, 3.0, 8.0, 0.5, 30.0)
NAMES = ("dx", "ds", "db")
PATIENCE = 20
"""Failures after which nothing more is tried: a device may be lost."""


@dataclass(frozen=True)
class Task:
    """A share of the comparisons, done in a process of its own: kernels compile there."""

    dtype: str
    label: str
    """Of the variant."""
    elements: int = 0
    """Random elements for weights; 0: golden vectors and regimes."""
    gradient_elements: int = 0
    """Random elements for gradients."""

    @property
    def variant(self) -> Variant:
        """The function."""
        return next(variant for variant in VARIANTS if variant.label == self.label)


def subjects(dtype: str) -> dict[str, Subject]:
    """Return what is compared: the first with each of the others."""
    found = {"PyTorch": load_subject("softmax_variants_backends.torch.cuda")}
    if dtype == "bfloat16":  # neither CuPy nor NumPy have it
        return found | {"PyTorch on the CPU": load_subject("torch", device="cpu")}
    return found | {"CuPy": load_subject("cupy"), "NumPy": load_subject("numpy")}


class Comparison:
    """The subjects of a dtype on one variant, and what differs between them."""

    def __init__(self, dtype: str, variant: Variant) -> None:
        self.dtype, self.variant = dtype, variant
        self.subjects = subjects(dtype)
        self._tallies: dict[tuple[str, str, str], Tally] = {}
        self.failures: list[str] = []

    def compare(self, source: str, name: str, block: Block, *, weights: bool = True) -> None:
        """Compare weights, or all gradients, of a block; what is raised is kept."""
        if len(self.failures) >= PATIENCE:
            return
        try:
            results = {key: self._results(one, block, weights) for key, one in self._all()}
        except Exception as error:
            self.failures.append(f"{self.variant.label}/{self.dtype} {name}: {error!r}"[:400])
            return
        (_, first), *others = results.items()
        for other, values in others:
            for what, value in first.items():
                tally = self._tallies.setdefault((source, other, what), Tally())
                tally.add(value, values[what], name)

    def _all(self) -> Iterator[tuple[str, Subject]]:
        yield from self.subjects.items()

    def _results(self, subject: Subject, block: Block, weights: bool) -> dict[str, Any]:  # noqa: FBT001
        arguments = subject.arguments(block, self.dtype)
        with np.errstate(all="ignore"):
            if weights:
                return {"weights": subject.weights(self.variant, arguments)}
            found: dict[str, Any] = {}
            for detach in (False, True) if self.variant.has_extrema else (False,):
                values = subject.vjp(self.variant, arguments, detach_extrema=detach)
                names = ("dx_detached",) if detach else NAMES
                found |= zip(names, values, strict=False)
            return found

    def rows(self) -> list[dict[str, Any]]:
        """Return what was counted."""
        return [
            {
                "inputs": source,
                "dtype": self.dtype,
                "function": self.variant.label,
                "result": what,
                "between": [next(iter(self.subjects)), other],
                **tally.to_json(),
            }
            for (source, other, what), tally in self._tallies.items()
        ]


def golden_blocks(variant: Variant, dtype: str) -> Iterator[tuple[str, Block, bool]]:
    """Return name, row, and whether there are gradients, of all golden vectors."""
    for vector in load(variant.label, dtype).vectors:
        row = vector.row
        x = np.asarray(row.x, dtype=np.float64)[None]
        dy = np.zeros_like(x) if vector.dy is None else np.asarray(vector.dy)[None]
        where = None if row.where is None else np.asarray(row.where, dtype=bool)[None]
        numbers = {
            name: _parameter(getattr(row, name), positive=name == "n") for name in ("s", "b", "n")
        }
        if variant.function != "ssmax":
            numbers = {}
        yield vector.id, Block(x, dy, where=where, **numbers), vector.dy is not None


def _parameter(value: Any, *, positive: bool) -> Any:
    """Return s, b or n as backends take it: what is refused of a Python number in an array."""
    if value is None or (isinstance(value, int) and (value > 0 or not positive)):
        return value
    if math.isfinite(value) and (value > 0 or not positive):
        return float(value)
    return np.full((1, 1), value, dtype=np.float64)


def random_blocks(dtype: str, elements: int) -> Iterator[tuple[str, Block]]:
    """Return name and rows, of so many elements and a few more; every fourth has a mask."""
    done = number = 0
    while done < elements:
        length, sigma = LENGTHS[number % len(LENGTHS)], SIGMAS[number % len(SIGMAS)]
        rows = -(-min(CHUNK, elements - done) // length)
        random = np.random.default_rng(number)
        kind: Any = np.float64 if dtype == "float64" else np.float32
        x = random.standard_normal((rows, length), dtype=kind)
        x *= kind(sigma)
        dy = random.standard_normal((rows, length), dtype=kind)
        where = random.random((rows, length), dtype=np.float32) < 0.9 if number % 4 == 3 else None
        s = random.uniform(0.2, 0.6, (rows, 1))
        name = f"random_blocks, number {number}: {rows}x{length}, sigma {sigma}"
        yield name, Block(x, dy, where=where, s=s, b=0.125)
        done += rows * length
        number += 1


def run(task: Task) -> dict[str, Any]:
    """Do a task."""
    torch.set_num_threads(1)
    comparison = Comparison(task.dtype, task.variant)
    if task.elements:
        for name, block in random_blocks(task.dtype, task.elements):
            comparison.compare("random", name, block)
        for name, block in random_blocks(task.dtype, task.gradient_elements):
            comparison.compare("random", name, block, weights=False)
    else:
        for name, block, gradients in golden_blocks(task.variant, task.dtype):
            comparison.compare("golden vectors", name, block)
            if gradients:
                comparison.compare("golden vectors", name, block, weights=False)
        for regime in REGIMES:
            if task.variant.function not in regime.functions:
                continue
            for block in regime.blocks(task.variant, FORMATS[task.dtype]):
                name = f"{regime.name}[{block.number}]"
                comparison.compare("regimes", name, block)
                comparison.compare("regimes", name, block, weights=False)
    return {"rows": comparison.rows(), "failures": comparison.failures}


def compare_all(elements: int, gradient_elements: int, workers: int) -> dict[str, Any]:
    """Compare everything, in so many processes at once; 0: in this one."""
    tasks = [
        Task(dtype, label, elements, gradient_elements) for label in RANDOM for dtype in DTYPES
    ]
    tasks += [Task(dtype, variant.label) for variant in VARIANTS for dtype in DTYPES]
    found: list[dict[str, Any]] = []
    if workers == 0:
        found = [run(task) for task in tasks]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            futures = {pool.submit(run, task): task for task in tasks}
            for future in as_completed(futures):
                task = futures[future]
                try:
                    found.append(future.result())
                except Exception:
                    text = traceback.format_exc().strip().splitlines()[-1]
                    found.append({"rows": [], "failures": [f"{task}: {text}"[:400]]})
                differing = sum(row["differing"] for row in found[-1]["rows"])
                print(f"{task}: {differing} differ, {found[-1]['failures'][:1]}", flush=True)
    rows = [row for each in found for row in each["rows"]]
    order = ("inputs", "dtype", "function", "result", "between")
    rows.sort(key=lambda row: [str(row[name]) for name in order])
    return {
        "elements": elements,
        "gradient_elements": gradient_elements,
        "rows": rows,
        "failures": [failure for each in found for failure in each["failures"]],
    }
