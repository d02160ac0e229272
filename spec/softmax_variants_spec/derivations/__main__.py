"""Command line: evaluate every derivation and print what was checked."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from softmax_variants_spec.derivations import DERIVATIONS, check

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, or 1 if a step does not hold.

    Parameters
    ----------
    arguments
        Those of the command line, if None.
    """
    parser = argparse.ArgumentParser(
        prog="python -m softmax_variants_spec.derivations", description=__doc__
    )
    parser.add_argument(
        "key", nargs="*", help="check only these derivations", metavar="KEY", default=[]
    )
    parser.add_argument("--latex", action="store_true", help="print each step, too")
    chosen = parser.parse_args(arguments)
    unknown = [key for key in chosen.key if key not in DERIVATIONS]
    if unknown:
        parser.error(f"KEY must be one of {', '.join(DERIVATIONS)}; got {', '.join(unknown)}")
    faults: list[str] = []
    equations = evaluations = 0
    prose: list[tuple[str, str]] = []
    for key in chosen.key or DERIVATIONS:
        derivation = DERIVATIONS[key]
        checked = check(derivation)
        faults += checked.faults()
        counts = [step.evaluations for step in checked.steps]
        rows = [step.rows for step in checked.steps]
        prose += [(key, item.text) for item in derivation.prose_steps()]
        equations += len(counts)
        evaluations += sum(counts)
        print(
            f"{key}: {len(counts)} equations at {min(rows)} to {max(rows)} rows, "
            f"{sum(counts)} pairs of values; {len(derivation.prose_steps())} in words: "
            f"{'wrong' if checked.faults() else 'holds'}",
            flush=True,
        )
        if chosen.latex:
            for step in derivation.equations():
                print(f"    {step.latex()}\n        {step.justification} {step.condition}")
    print(f"{equations} equations, {evaluations} pairs of values, {len(faults)} wrong")
    print(f"{len(prose)} steps in words, which nothing evaluates:")
    for key, text in prose:
        print(f"    {key}: {text}")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
