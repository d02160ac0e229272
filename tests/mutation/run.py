"""Judge mutants of the array-API backend by the conformance suite.

Usage: PYTHONPATH=.:spec:backends:tests python -m mutation.run MUTANTS.json RESULTS.json

A server imports everything once, judges the backend itself (which has to hold in every entry) and
forks a process for each mutant. That process imports the mutant in the backend's place, makes the
recorded calls again and judges the entries that see a difference until one does not hold.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import os
import pickle
import platform
import random
import resource
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np
import torch

from mutation.calls import difference, fresh, observe, record
from mutation.mutated import backend_hash, mutate
from mutation.subjects import expected, subjects
from softmax_variants_spec.conformance.runner import plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mutation.calls import Call, Recorded
    from softmax_variants_spec.conformance.context import Context, Entry
    from softmax_variants_spec.conformance.runner import Plan

FORK = multiprocessing.get_context("fork")
ENTRY_SECONDS = 10.0
"""Time limit of an entry and of a call; the slowest entry takes 2 s."""
MUTANT_SECONDS = 400.0
MEMORY = 6 << 30
"""Bytes that a mutant may take besides what the server has."""


@dataclass(frozen=True)
class Selection:
    """What the backend is judged on; all if empty."""

    subjects: tuple[str, ...]
    functions: tuple[str, ...]

    def plans(self, time_limit: float | None = None) -> list[Plan]:
        """Return a plan a namespace, of the backend as it is imported now."""
        return [
            plan(one, functions=self.functions, expected=expected(one), time_limit=time_limit)
            for one in subjects()
            if not self.subjects or one.name in self.subjects
        ]


def _contexts(plans: list[Plan]) -> Iterator[tuple[Plan, Context]]:
    return ((one, context) for one in plans for context in one.contexts)


def _baseline(selection: Selection, at: int) -> bytes:
    """Return what is recorded for a context, pickled: PyTorch would send tensors its own way."""
    one, context = list(_contexts(selection.plans()))[at]
    return pickle.dumps(record(one, context))


def _bulk(selection: Selection, at: int) -> list[str]:
    """Return which bulk entries of a context do not hold for the backend itself."""
    one, context = list(_contexts(selection.plans()))[at]
    outcomes = [one.judge(context, e) for e in one.entries(context) if e.kind == "bulk"]
    return [f"{context.subject.name}: {o.id}: {o.message}" for o in outcomes if not o.holds]


def prepare(selection: Selection, workers: int) -> tuple[list[Call], list[str], dict[str, Any]]:
    """Return the recorded calls, the entries to judge always, and the references by context."""
    began = time.perf_counter()
    pairs = list(_contexts(selection.plans()))
    with FORK.Pool(workers, maxtasksperchild=1) as pool:
        tasks = [(selection, at) for at in range(len(pairs))]
        first = pool.starmap_async(_baseline, tasks, chunksize=1)
        bulk = pool.starmap_async(_bulk, tasks, chunksize=1)
        recorded: list[Recorded] = [pickle.loads(one) for one in first.get()]
        failed = [line for one in recorded for line in one.failed]
        failed += [line for lines in bulk.get() for line in lines]
    if failed:
        sys.exit("the backend itself does not hold:\n" + "\n".join(failed))
    references = {_key(context): context.references for _, context in pairs}
    calls = [call for one in recorded for call in one.calls]
    # In an order that reaches every function, dtype and namespace soon.
    random.Random(0).shuffle(calls)
    always = [
        f"{context.subject.name}: {name}"
        for one, (_, context) in zip(recorded, pairs, strict=True)
        for name in one.always
    ]
    entries = sum(len(one.entries(context)) for one, context in pairs)
    print(
        f"{entries} entries hold without a mutant; {len(calls)} calls, {len(always)} entries to "
        f"judge always; {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return calls, always, references


def _key(context: Context) -> str:
    return f"{context.subject.name}: {context.variant.label}/{context.dtype}"


class Judge:
    """Judges one mutant, in a process of its own."""

    def __init__(self, selection: Selection, workers: int) -> None:
        self.selection = selection
        self.calls, self.always, self.references = prepare(selection, workers)

    def __call__(self, mutant: dict[str, Any]) -> dict[str, Any]:
        """Return the mutant's line of the results."""
        began = time.perf_counter()
        try:
            mutate(mutant)
            self._load()
            calls = self._reaching(mutant)
        except Exception as error:
            found = {"status": "caught", "by": "import", "how": type(error).__name__}
        else:
            found = self._judge(calls)
        kept = {name: mutant[name] for name in ("id", "file", "line", "operator")}
        kept |= {"before": mutant["before"], "after": mutant["after"]}
        return kept | found | {"seconds": round(time.perf_counter() - began, 2)}

    def _load(self) -> None:
        self.plans = self.selection.plans(ENTRY_SECONDS)
        self.entries: dict[str, tuple[Plan, Context, Entry]] = {}
        for one, context in _contexts(self.plans):
            context.references = self.references[_key(context)]
            for entry in one.entries(context):
                name = f"{context.subject.name}: {entry.id(context)}"
                self.entries[name] = one, context, entry
        self.judged: set[str] = set()

    def _caught(self, name: str) -> dict[str, Any] | None:
        """Judge an entry; None if it holds."""
        if name in self.judged:
            return None
        self.judged.add(name)
        one, context, entry = self.entries[name]
        outcome = one.judge(fresh(context), entry)
        if outcome.holds:
            return None
        return {
            "status": "caught",
            "by": name,
            "how": outcome.status,
            "message": outcome.message[:200],
        }

    def _reaching(self, mutant: dict[str, Any]) -> list[Call]:
        """Return the calls in which the mutated function runs; the others see no difference.

        What runs at import, and constants, which are computed once, count for all calls.
        """
        place = f"{mutant['file']}:{mutant['id'].split('.', 1)[1].rpartition('.')[0]}"
        reaching = [call for call in self.calls if place in call.reached]
        return self.calls if mutant["file"] == "_constants.py" or not reaching else reaching

    def _judge(self, calls: list[Call]) -> dict[str, Any]:
        subjects_ = {one.subject.name: one.subject for one in self.plans}
        differs: dict[str, float] = {}
        for call in calls:
            names = [f"{call.subject}: {entry}" for entry in call.entries]
            if names and self.judged.issuperset(names):
                continue
            subject = subjects_[call.subject]
            seen = observe(subject, subject.function(call.function), call.arguments, call.options)
            apart = difference(call.seen, seen)
            if not apart:
                continue
            place = f"{call.subject}: {call.context}/{call.function}"
            place += "" if names else " (no call of the suite)"
            differs[place] = max(differs.get(place, 0.0), apart)
            for name in names:
                caught = self._caught(name)
                if caught:
                    return caught
        for name in self.always:
            caught = self._caught(name)
            if caught:
                return caught
        if not differs:
            return {"status": "no value changed"}
        touched = {place.rsplit("/", maxsplit=1)[0] for place in differs}
        for name, (_, context, entry) in self.entries.items():
            if entry.kind == "bulk" and _key(context) in touched:
                caught = self._caught(name)
                if caught:
                    return caught
        return {"status": "survived", "differs": {k: f"{v:.2g}" for k, v in differs.items()}}


def _run(judge: Judge, mutant: dict[str, Any], pipe: Any) -> None:
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  (warnings of mutants)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    pipe.send(judge(mutant))
    pipe.close()
    os._exit(0)  # a call that hangs in compiled code must not keep the process


def serve(
    judge: Judge, mutants: list[dict[str, Any]], workers: int, stop: float
) -> Iterator[dict[str, Any]]:
    """Yield the results of mutants, as they come; begin with none after the time ``stop``."""
    waiting = list(reversed(mutants))
    running: dict[Any, tuple[Any, dict[str, Any], float]] = {}
    while running or (waiting and time.perf_counter() < stop):
        while waiting and len(running) < workers and time.perf_counter() < stop:
            mutant = waiting.pop()
            mine, theirs = FORK.Pipe(duplex=False)
            process = FORK.Process(target=_run, args=(judge, mutant, theirs), daemon=True)
            process.start()
            theirs.close()
            running[mine] = process, mutant, time.perf_counter()
        ready = wait(list(running), timeout=1.0)
        now = time.perf_counter()
        for pipe, (process, mutant, began) in list(running.items()):
            late = now - began > MUTANT_SECONDS
            if pipe not in ready and not late:
                continue
            try:
                result = pipe.recv() if pipe in ready else None
            except EOFError:
                result = None  # ended by the operating system
            if result is None:
                process.kill()
                kept = {name: mutant[name] for name in ("id", "file", "line", "operator")}
                kept |= {"before": mutant["before"], "after": mutant["after"]}
                how = "timed out" if late else "process ended"
                result = kept | {"status": "caught", "by": "process", "how": how}
                result["seconds"] = round(now - began, 2)
            process.join()
            pipe.close()
            del running[pipe]
            yield result


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("mutants", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--minutes", type=float, default=math.inf, help="then begin no more")
    parser.add_argument(
        "--done", type=Path, action="append", default=[], help="results whose mutants to leave out"
    )
    parser.add_argument("--every", type=int, default=1, help="judge every n-th mutant only")
    parser.add_argument("--only", default="", help="judge the mutants whose id starts so")
    parser.add_argument("--subject", action="append", default=[], help="a namespace to judge on")
    parser.add_argument("--function", action="append", default=[], help="a function to judge")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    stop = time.perf_counter() + 60 * options.minutes
    done = {line.get("id") for path in options.done for line in _lines(path)}
    head, *mutants = _lines(options.mutants)
    if head["backend"] != backend_hash():
        sys.exit(f"the backend has changed since {options.mutants} was made")
    mutants = [one for one in mutants if one["id"].startswith(options.only)]
    mutants = [one for one in mutants[:: options.every] if one["id"] not in done]
    # So that the first minutes tell how long the rest will take.
    random.Random(1).shuffle(mutants)

    selection = Selection(tuple(options.subject), tuple(options.function))
    judge = Judge(selection, options.workers)
    gc.collect()
    gc.freeze()  # so that a fork's garbage collection does not copy all that is recorded
    began = time.perf_counter()
    counts: dict[str, int] = {}
    environment = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "mpmath": mpmath.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }
    with options.results.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head | {"environment": environment}) + "\n")
        for number, result in enumerate(serve(judge, mutants, options.workers, stop), 1):
            counts[result["status"]] = counts.get(result["status"], 0) + 1
            file.write(json.dumps(result) + "\n")
            file.flush()
            if number % 50 == 0 or number == len(mutants):
                spent = time.perf_counter() - began
                print(f"{number}/{len(mutants)} {counts} {spent:.0f} s", flush=True)


if __name__ == "__main__":
    main()
