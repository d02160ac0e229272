"""Choosing rows for the files: from the regimes of the conformance suite and the special values.

A row that is in a file stays there. Random rows are drawn when their regime is first seen, and
never again: what NumPy's generators do in other versions, and what becomes of the regime, changes
no vector.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from softmax_variants_spec.conformance.references import rows_of
from softmax_variants_spec.conformance.regimes import REGIMES
from softmax_variants_spec.conformance.variants import VARIANTS, Variant
from softmax_variants_spec.special_values import SPECIAL_VALUES, row_of
from softmax_variants_spec.vectors._files import Group, VectorFile
from softmax_variants_spec.vectors._results import results_of
from softmax_variants_spec.vectors._vector import RESULTS, Vector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from softmax_variants_spec.conformance.blocks import Block, Regime
    from softmax_variants_spec.formats import Format
    from softmax_variants_spec.row import Row
    from softmax_variants_spec.special_values import Case

__all__ = ["extended"]

_COLUMNS = 5
"""Entries of a row of a regime: few enough to read, and as hard as more."""

_WHOLE = frozenset({"thresholds", "swamped-sum", "powers-of-two", "recorded"})
"""Regimes whose rows keep all entries, because each has its own point or their number has one."""

_ENTRIES = 40
"""Entries of all rows together of such a regime; and of the longest row that has gradients."""

_TWO_ROWS_FROM = 24
"""Precision of the formats that get two rows of a regime with one block; others get one."""

_LENGTHS = (1, 2, 3, 5)
"""Row lengths out of the regime of that name; other regimes have rows of up to 40 entries."""

_LONG = {"float32": (257, 1000), "float64": (257,)}
"""Row lengths out of it for softmax, by format."""

_DETACHED = frozenset({"normal", "masked", "cotangents"})
"""Regimes with gradients past constant extrema, besides those of the gates."""


@dataclass
class _Candidate:
    """A row that may become a vector, with the entries asked for in every class by result."""

    row: Row
    dy: tuple[float, ...] | None
    always: dict[str, set[int]] = field(default_factory=dict)

    def key(self) -> str:
        """Return the same text for the same inputs."""
        return str(_vector(self, "", "").inputs())


def extended(file: VectorFile) -> VectorFile:
    """Return a file with the rows that it lacks, and with its groups as they are described now.

    The rows are those of regimes that it has no row of, and the cases of special values that are
    not among its inputs.

    Parameters
    ----------
    file
        The file, possibly without vectors.
    """
    groups, added = dict(file.groups), list(file.vectors)
    known = {(vector.group, _Candidate(vector.row, vector.dy).key()) for vector in file.vectors}
    for name, group, candidates in _groups(file):
        if name in groups:
            groups[name] = group
            if not name.startswith("special/"):
                continue
        number = sum(vector.group == name for vector in file.vectors)
        for candidate in candidates:
            if (name, candidate.key()) in known:
                continue
            groups.setdefault(name, group)
            identity = f"{file.variant}/{file.fmt.name}/{name}/{number}"
            vector = _vector(candidate, identity, name)
            results = results_of(candidate.row, candidate.dy, file.fmt, _ordered(candidate))
            added.append(replace(vector, results=results))
            number += 1
    return replace(file, groups=groups, vectors=tuple(added))


def _vector(candidate: _Candidate, identity: str, group: str) -> Vector:
    return Vector(identity, group, candidate.row, candidate.dy, {})


def _ordered(candidate: _Candidate) -> dict[str, set[int]]:
    return {name: candidate.always[name] for name in RESULTS if name in candidate.always}


def _groups(file: VectorFile) -> Iterator[tuple[str, Group, list[_Candidate]]]:
    for value in SPECIAL_VALUES:
        function, name = value.id.split(".", maxsplit=1)
        if function == file.function:
            cases = [c for c in value.cases(file.fmt) if file.form in {None, c.form}]
            yield f"special/{name}", Group(value.sentence, "correct"), _special(cases)
    (variant,) = (v for v in VARIANTS if v.label == file.variant)
    for regime in REGIMES:
        if file.function in regime.functions:
            strictest = "faithful" if variant.form in regime.near_tie else "correct"
            group = Group(regime.sentence, "bounded" if regime.beyond_condition else strictest)
            yield regime.name, group, list(_of_regime(regime, variant, file.fmt))


def _special(cases: list[Case]) -> list[_Candidate]:
    """Return a candidate for each row among cases: cases of the same row become one."""
    rows: dict[str, _Candidate] = {}
    for case in cases:
        row = replace(row_of(case), x=_floats(case.x), detach_extrema=False)
        candidate = _Candidate(row, None if case.dy is None else _floats(case.dy))
        candidate = rows.setdefault(candidate.key(), candidate)
        name = {"gradient": "dx"}.get(case.expect, case.expect)
        name += "_detached" if case.detach_extrema else ""
        asked = {i for i, wanted in enumerate(case.expected) if wanted is not None}
        candidate.always.setdefault(name, set()).update(asked)
    # Weights that are asked for without cotangents go with those of the same row that have some.
    for key, candidate in list(rows.items()):
        if candidate.dy is None:
            same = (c for c in rows.values() if c.row == candidate.row and c.dy is not None)
            other = next(same, None)
            if other is not None:
                other.always.setdefault("weights", set()).update(candidate.always["weights"])
                del rows[key]
    return list(rows.values())


def _of_regime(regime: Regime, variant: Variant, fmt: Format) -> Iterator[_Candidate]:
    names = ["weights", "dx"]
    if variant.has_extrema and (regime.functions == {"sa_softmax"} or regime.name in _DETACHED):
        names.append("dx_detached")
    if variant.function == "ssmax":
        names += ["ds", "db"]
    blocks = regime.blocks(variant, fmt)
    if regime.name == "lengths":
        wanted = {*_LENGTHS, *(_LONG.get(fmt.name, ()) if variant.function == "softmax" else ())}
        chosen = [_cut(block, 0, None) for block in blocks if block.x.shape[1] in wanted]
    elif regime.name in _WHOLE:
        chosen = list(_whole(blocks))
    else:
        chosen = list(_parts(blocks, fmt))
    for block in chosen:
        (row,) = rows_of(block, variant)
        long = len(row.x) > _ENTRIES
        yield _Candidate(
            replace(row, x=_floats(row.x)),
            None if long else _floats(block.dy[0].tolist()),
            {name: set() for name in (names[:1] if long else names)},
        )


def _whole(blocks: list[Block]) -> Iterator[Block]:
    """Yield the middle rows of the first blocks that together have few enough entries."""
    entries = 0
    for block in blocks:
        rows, length = block.x.shape
        if entries + length <= _ENTRIES:
            entries += length
            yield _cut(block, rows // 2, None)


def _parts(blocks: list[Block], fmt: Format) -> Iterator[Block]:
    """Yield parts of rows of all blocks, but of a few rows each."""
    few = len(blocks) > 1 or fmt.precision < _TWO_ROWS_FROM
    for number, block in enumerate(blocks):
        rows = block.x.shape[0]
        count = min(rows, 1 if few else 2)
        # Sizes, and shares of absent entries, grow from the first row to the last.
        places = np.linspace(0, rows - 1, count + 2)[1:-1] if rows > count else range(rows)
        for place in places:
            start = round(float(place)) + number
            parts = [_cut(block, (start + k) % rows, _COLUMNS) for k in range(rows)]
            # A row whose cotangents have all been cut off has no gradient to speak of.
            yield next((part for part in parts if part.dy.any()), parts[0])


def _cut(block: Block, row: int, columns: int | None) -> Block:
    """Return a row of a block: all of it, or its extreme entries and others spread over it."""
    one = block.take(slice(row, row + 1))
    x, length = one.x[0], one.x.shape[1]
    if columns is None or length <= columns:
        return one
    present = x > -np.inf if one.where is None else (x > -np.inf) & one.where[0]
    ends: list[int] = []
    # Absent entries beyond the present ones are those that a fault lets through visibly.
    for some in (present, np.isfinite(x) & ~present):
        if some.any():
            ends.append(int(np.where(some, x, -np.inf).argmax()))
            ends.append(int(np.where(some, x, np.inf).argmin()))
    others = [i for i in range(length) if i not in ends]
    spread = np.linspace(0, len(others) - 1, columns - len(set(ends)))
    kept = sorted({*ends, *(others[round(float(i))] for i in spread)})
    where = None if one.where is None else one.where[:, kept]
    return replace(one, x=one.x[:, kept], dy=one.dy[:, kept], where=where)


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
