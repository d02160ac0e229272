"""Put the results of a mutation run together, with the reasons why survivors survive.

Usage: PYTHONPATH=tests python -m mutation.results RESULTS.json...

Writes docs/results/mutation.json, a line a mutant, and docs/results/mutation.md. A survivor without
a reason in survivors.toml is an error, as is a reason for a mutant that does not survive. Of a
mutant that several files judge, the last counts. The file of mutants says how many there are:
``mutation.run`` takes them in random order, so those judged are a random sample.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REASONS = Path(__file__).parent / "survivors.toml"
RESULTS = ROOT / "docs/results"
_STATUSES = ("caught", "no value changed", "survived")
_KINDS = {
    "allowed": "Within what the claim allows",
    "hole": "Holes in the suite",
}
"""What a reason says of its survivors, with the heading under which the page lists them."""

_PAGE = """\
# Mutants of the array-API backend

Would the conformance suite see a fault? A mutant is the array-API backend with one expression
changed. Each was judged by the full suite on four namespaces: NumPy and PyTorch, both with float64
and without (bfloat16 on PyTorch, the other dtypes on NumPy).
[tests/mutation](../../tests/mutation/README.md) says how.

{environment}. The backend's source: {source}. `mutation.json` has a line for every mutant judged.

{sample}

Of {total} mutants {unchanged} change no value: every call that the suite makes, and those of
`more_calls.py`, returns the same values, dtypes and shapes or raises the same exception. Of the
{changing} others **{caught} are caught: {share}**{interval}. {raised} of these are
caught because a call raises; of the {wrong} that return wrong values instead, or survive,
{wrong_caught} are caught: {wrong_share}.

| module | mutants | no value changed | caught | survived |
|---|--:|--:|--:|--:|
{modules}

What caught wrong values, by kind of entry: {kinds}.

## Survivors

{kept}

{survivors}"""


def _read(paths: list[Path]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what the runs say of themselves and all results; refuse runs that differ."""
    heads: list[dict[str, Any]] = []
    mutants: dict[str, dict[str, Any]] = {}
    for path in paths:
        head, *lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        heads.append(head)
        mutants |= {line["id"]: line for line in lines}
    if any(one != heads[0] for one in heads):
        sys.exit("the results are of different backends or environments")
    for mutant in mutants.values():
        for name in ("before", "after"):
            mutant[name] = " ".join(mutant[name].split())
        mutant.pop("seconds", None)
        if mutant["status"] == "caught":
            mutant.pop("message", None)
    return heads[0], sorted(mutants.values(), key=lambda m: (m["file"], m["line"], m["id"]))


def _made(path: Path, head: dict[str, Any]) -> int:
    """Return how many mutants there are; refuse those of another backend."""
    first, *mutants = path.read_text(encoding="utf-8").splitlines()
    if json.loads(first)["backend"] != head["backend"]:
        sys.exit(f"{path} has the mutants of a different backend")
    return len(mutants)


def _reasons() -> dict[str, tuple[str, str]]:
    """Return the kind and text of each survivor's reason."""
    listed = tomllib.loads(REASONS.read_text(encoding="utf-8"))["reason"]
    unknown = {one["kind"] for one in listed} - _KINDS.keys()
    if unknown:
        sys.exit(f"unknown kinds of reasons: {sorted(unknown)}")
    return {
        mutant: (one["kind"], one["text"].strip()) for one in listed for mutant in one["mutants"]
    }


def _give_reasons(mutants: list[dict[str, Any]]) -> None:
    reasons = _reasons()
    survivors = [one for one in mutants if one["status"] == "survived"]
    stale = reasons.keys() - {one["id"] for one in survivors}
    missing = [one for one in survivors if one["id"] not in reasons]
    for one in missing:
        print(f"{one['id']} (line {one['line']}): {one['before']} -> {one['after']}")
        print(f"    {one['differs']}")
    if missing or stale:
        sys.exit(f"{len(missing)} survivors have no reason; no survivors: {sorted(stale)}")
    for one in survivors:
        one["kind"], one["reason"] = reasons[one["id"]]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _interval(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share, in percent (Wilson's)."""
    z = 1.96
    share, spread = part / whole, z * z / whole
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return 100 * (centre - half), 100 * (centre + half)


def _counts(mutants: list[dict[str, Any]]) -> dict[str, int]:
    return {status: sum(one["status"] == status for one in mutants) for status in _STATUSES}


def _raised(mutant: dict[str, Any]) -> bool:
    return mutant["status"] == "caught" and mutant["how"] not in {"failed", "stale"}


def _survivors(mutants: list[dict[str, Any]]) -> str:
    """Return the list of survivors, by kind and reason."""
    parts = []
    for kind, heading in _KINDS.items():
        by_reason: dict[str, list[str]] = {}
        for one in mutants:
            if one["status"] == "survived" and one["kind"] == kind:
                line = f"- `{one['id']}`, line {one['line']}: `{one['before']}` → `{one['after']}`"
                by_reason.setdefault(one["reason"], []).append(line)
        number = sum(map(len, by_reason.values()))
        parts.append(f"### {heading} ({number})\n")
        parts += [f"{reason}\n\n" + "\n".join(lines) + "\n" for reason, lines in by_reason.items()]
    return "\n".join(parts)


def _page(head: dict[str, Any], mutants: list[dict[str, Any]]) -> str:
    counts = _counts(mutants)
    made, all_judged = head["made"], head["made"] == len(mutants)
    changing = counts["caught"] + counts["survived"]
    raised = sum(map(_raised, mutants))
    wrong = changing - raised
    rows = []
    for file in sorted({one["file"] for one in mutants}):
        of_file = [one for one in mutants if one["file"] == file]
        found = _counts(of_file)
        rows.append(
            f"| `{file}` | {len(of_file)} | {found['no value changed']} | {found['caught']} "
            f"| {found['survived']} |"
        )
    kinds: dict[str, int] = {}
    for one in mutants:
        if one["status"] == "caught" and not _raised(one):
            kind = one["by"].split("/")[2]
            kinds[kind] = kinds.get(kind, 0) + 1
    low, high = _interval(counts["caught"], changing)
    survived = [one["kind"] for one in mutants if one["status"] == "survived"]
    most = sorted(kinds.items(), key=lambda pair: -pair[1])
    return _PAGE.format(
        environment=", ".join(f"{name} {version}" for name, version in head["environment"].items()),
        source=f"SHA-256 {head['backend'][:16]}…",
        sample=f"All {made} mutants were judged."
        if all_judged
        else f"A random sample of {len(mutants)} of the {made} mutants was judged; "
        f"{made - len(mutants)} were not.",
        total=len(mutants),
        unchanged=counts["no value changed"],
        changing=changing,
        caught=counts["caught"],
        share=_percent(counts["caught"], changing),
        interval="" if all_judged else f" (95 % interval {low:.1f} to {high:.1f} %)",
        raised=raised,
        wrong=wrong,
        wrong_caught=counts["caught"] - raised,
        wrong_share=_percent(counts["caught"] - raised, wrong),
        modules="\n".join(rows),
        kinds=", ".join(f"{kind} {number}" for kind, number in most),
        kept=f"{survived.count('allowed')} of {len(survived)} return values that the accuracy "
        f"class allows; {survived.count('hole')} are wrong on rows that the suite does not have.",
        survivors=_survivors(mutants),
    )


def main() -> None:
    """Write the results."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--mutants", type=Path, default=ROOT / "build/mutants.json")
    options = parser.parse_args()
    head, mutants = _read(options.results)
    head["made"] = _made(options.mutants, head)
    _give_reasons(mutants)
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in mutants)
    text = f'{json.dumps(head)[:-1]}, "mutants": [\n{lines}\n]}}\n'
    (RESULTS / "mutation.json").write_text(text, encoding="utf-8")
    page = _page(head, mutants)
    (RESULTS / "mutation.md").write_text(page, encoding="utf-8")
    print(page.split("## Survivors")[0])


if __name__ == "__main__":
    main()
