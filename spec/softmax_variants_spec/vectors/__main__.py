"""Command line: reproduce the golden vectors, rewrite them, add rows to them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softmax_variants_spec.formats import FORMATS
from softmax_variants_spec.vectors._files import (
    VARIANTS,
    VectorFile,
    checksum,
    file_name,
    first_difference,
    frozen_inputs,
    index_of,
    parse,
    read_index,
    recomputed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

_FOLDER = Path(__file__).parent / "data"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, or 1 if a file is not as it should be.

    Parameters
    ----------
    arguments
        Those of the command line, if None.
    """
    parser = argparse.ArgumentParser(
        prog="python -m softmax_variants_spec.vectors", description=__doc__
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--check", action="store_true", help="compute all results again and compare bit for bit"
    )
    action.add_argument(
        "--write", action="store_true", help="compute all results again and write them"
    )
    action.add_argument(
        "--add", action="store_true", help="add rows of new regimes and special values"
    )
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="only this variant")
    parser.add_argument("--dtype", action="append", choices=list(FORMATS), help="only this format")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where the files are")
    chosen = parser.parse_args(arguments)
    names = [
        (variant, dtype)
        for variant in chosen.variant or VARIANTS
        for dtype in chosen.dtype or FORMATS
    ]
    if chosen.check:
        return _check(chosen.folder, names)
    change = _added if chosen.add else recomputed
    return _write(chosen.folder, names, change)


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    return {entry["file"]: entry for entry in read_index(folder)["files"]}


def _check(folder: Path, names: list[tuple[str, str]]) -> int:
    entries = _entries(folder)
    wrong = 0
    if len(names) == len(VARIANTS) * len(FORMATS):
        known = {file_name(variant, dtype) for variant, dtype in names}
        known |= {"index.json", "index.schema.json", "vectors.schema.json"}
        for path in sorted(folder.iterdir()):
            if path.name not in known:
                wrong += 1
                print(f"{path.name}: no file of golden vectors has this name")
    for variant, dtype in names:
        name = file_name(variant, dtype)
        fault = _fault(folder, name, entries.get(name))
        wrong += bool(fault)
        print(f"{name}: {fault or 'reproduced'}", flush=True)
    return 1 if wrong else 0


def _fault(folder: Path, name: str, entry: dict[str, Any] | None) -> str:
    """Return what is wrong with a file, or ""."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if entry is None:
        return "index.json does not list it"
    if checksum(content) != entry["sha256"]:
        return f"its SHA-256 is {checksum(content)}, index.json has {entry['sha256']}"
    try:
        file = parse(name, content)
    except ValueError as error:
        return str(error)
    fault = _changed_inputs(file, entry)
    if fault:
        return fault
    computed = recomputed(file)
    for stored, again in zip(file.vectors, computed.vectors, strict=True):
        fault = first_difference(stored, again)
        if fault:
            return fault
    return "" if computed.text().encode() == content else "is laid out in another way"


def _changed_inputs(file: VectorFile, entry: dict[str, Any]) -> str:
    for frozen in entry["frozen"]:
        count = frozen["vectors"]
        if frozen_inputs(file.vectors[:count]) != frozen["sha256"]:
            return f"ids or inputs of its first {count} vectors have changed; they are permanent"
    if entry["frozen"][-1]["vectors"] != len(file.vectors):
        return "it has vectors that index.json does not count; add rows with --add"
    return ""


def _added(file: VectorFile) -> VectorFile:
    # The regimes need NumPy; to read or reproduce files nothing but mpmath is needed.
    from softmax_variants_spec.vectors._freeze import extended

    return extended(file)


def _write(
    folder: Path, names: list[tuple[str, str]], change: Callable[[VectorFile], VectorFile]
) -> int:
    entries = _entries(folder)
    wrong = 0
    for variant, dtype in names:
        name = file_name(variant, dtype)
        path, entry = folder / name, entries.get(name)
        if entry is None:
            file, frozen = VectorFile(variant, FORMATS[dtype], {}, ()), []
        else:
            file, frozen = parse(name, path.read_bytes()), list(entry["frozen"])
            fault = _changed_inputs(file, entry)
            if fault:
                wrong += 1
                print(f"{name}: not written: {fault}")
                continue
        before = len(file.vectors)
        file = change(file)
        if len(file.vectors) > before:
            frozen.append({"vectors": len(file.vectors), "sha256": frozen_inputs(file.vectors)})
        content = file.text().encode()
        path.write_bytes(content)
        entries[name] = {
            "file": name,
            "sha256": checksum(content),
            "vectors": len(file.vectors),
            "frozen": frozen,
        }
        print(f"{name}: {before} vectors, {len(file.vectors) - before} added", flush=True)
    order = [file_name(variant, dtype) for variant in VARIANTS for dtype in FORMATS]
    listed = [entries[name] for name in order if name in entries]
    (folder / "index.json").write_text(index_of(listed), encoding="utf-8", newline="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
