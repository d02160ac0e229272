"""Make the mutants of the array-API backend with mutmut's mutation operators.

Usage: PYTHONPATH=tests python -m mutation.mutants MUTANTS.json (with mutmut 3.8)

mutmut's own runner starts a test session a mutant and leaves decorated functions and constants out;
its operators are used here, on every expression that can change a value. Left out are annotations,
imports and what only type checkers read, ``__all__``, and ``CLAIMS``: a claim is what is judged.
Mutants with the same source are one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import libcst as cst
from libcst.matchers import Name, matches
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import deep_replace
from mutmut.mutation.mutators import mutation_operators

from mutation.mutated import BACKEND, backend_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES_LEFT_OUT = {"__all__", "CLAIMS", "Array", "Number"}


class _Sites(cst.CSTVisitor):
    """Nodes to mutate with the function or class that they are in and their line."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        self.found: list[tuple[cst.CSTNode, str, int]] = []
        self._inside: list[str] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.Annotation, cst.Import, cst.ImportFrom, cst.Decorator)):
            return False
        if isinstance(node, cst.If) and matches(node.test, Name("TYPE_CHECKING")):
            return False
        if isinstance(node, (cst.Assign, cst.AnnAssign)) and not self._inside:
            target = node.target if isinstance(node, cst.AnnAssign) else node.targets[0].target
            if isinstance(target, cst.Name) and target.value in _NAMES_LEFT_OUT:
                return False
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            self._inside.append(node.name.value)
        position = self.get_metadata(PositionProvider, node, None)
        if position is not None:
            place = ".".join(self._inside) or "<module>"
            self.found.append((node, place, position.start.line))
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, (cst.FunctionDef, cst.ClassDef)):
            self._inside.pop()


def _patch(before: str, after: str) -> tuple[int, int, str]:
    """Return (start, stop, text) such that before[:start] + text + before[stop:] is after."""
    start = _common(before, after)
    same = _common(before[start:][::-1], after[start:][::-1])
    return start, len(before) - same, after[start : len(after) - same]


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common from their beginning on."""
    pairs = zip(one, other, strict=False)
    shorter = min(len(one), len(other))
    return next((i for i, (a, b) in enumerate(pairs) if a != b), shorter)


def _mutants_of(path: Path) -> Iterator[dict[str, object]]:
    source = path.read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    sites = _Sites()
    wrapper.visit(sites)
    module = wrapper.module
    seen, counts = {source}, dict[str, int]()
    for node, place, line in sites.found:
        for kind, operator in mutation_operators:
            if not isinstance(node, kind):
                continue
            for mutated in operator(node):
                changed = deep_replace(module, node, mutated)
                assert isinstance(changed, cst.Module)
                code = changed.code
                if code in seen:
                    continue
                seen.add(code)
                counts[place] = counts.get(place, 0) + 1
                start, stop, text = _patch(source, code)
                yield {
                    "id": f"{path.stem}.{place}.{counts[place]}",
                    "file": path.name,
                    "line": line,
                    "operator": operator.__name__.removeprefix("operator_"),
                    "before": module.code_for_node(node).strip(),
                    "after": module.code_for_node(mutated).strip(),
                    "start": start,
                    "stop": stop,
                    "text": text,
                }


def main() -> None:
    """Write the file of mutants."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("mutants", type=Path)
    path = parser.parse_args().mutants
    found = [mutant for file in sorted(BACKEND.glob("*.py")) for mutant in _mutants_of(file)]
    lines = [{"backend": backend_hash()}, *found]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    print(f"{len(found)} mutants in {path}")


if __name__ == "__main__":
    main()
