"""One golden vector: a row, its results, and how both are written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from softmax_variants_spec.row import Row
from softmax_variants_spec.vectors._hexadecimal import (
    count_from_text,
    from_hex,
    text_of_count,
    to_hex,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RESULTS", "Result", "Vector", "lines"]

RESULTS = ("weights", "dx", "dx_detached", "ds", "db")
"""Names of results, in the order in which they are written."""


@dataclass(frozen=True)
class Result:
    """Exact results of one kind, an entry a number: value + residual · 2^unit.

    `residual`, `unit` and `tolerance` are None where `always` has all entries: then nothing is
    measured.

    Examples
    --------
    >>> Result.from_json({"value": ["nan", "0x0p+0"]})
    Result(value=(nan, 0.0), always=(0, 1), residual=None, unit=None, tolerance=None)
    """

    value: tuple[float, ...]
    """The exact numbers rounded to the format, to nearest, ties to even."""
    always: tuple[int, ...]
    """Entries that must equal `value` whatever the accuracy class."""
    residual: tuple[float, ...] | None = None
    """(exact − value) / 2^unit, to 25 significant bits; 0 at entries of `always`."""
    unit: tuple[int, ...] | None = None
    """Exponents e of what errors are multiples of: 2^e = ulp(exact). A larger e stands where a
    tolerance of a gradient would otherwise exceed 2^1000."""
    tolerance: dict[str, tuple[float, ...]] | None = None
    """Largest error in units that a class allows, to 13 significant bits, infinite where it asks
    nothing. Weights have ``bounded`` only, gradients ``correct``, ``tight`` and ``bounded``;
    ``faithful`` allows gradients what ``correct`` does."""

    def to_json(self) -> dict[str, Any]:
        """Return what is written."""
        if self.residual is None or self.unit is None or self.tolerance is None:
            return {"value": _hexes(self.value)}
        return {
            "value": _hexes(self.value),
            "always": list(self.always),
            "residual": _hexes(self.residual),
            "unit": list(self.unit),
            "tolerance": {name: _hexes(column) for name, column in self.tolerance.items()},
        }

    @staticmethod
    def from_json(written: dict[str, Any]) -> Result:
        """Return what was written."""
        value = _floats(written["value"])
        if "residual" not in written:
            return Result(value, tuple(range(len(value))))
        return Result(
            value,
            tuple(written["always"]),
            _floats(written["residual"]),
            tuple(written["unit"]),
            {name: _floats(column) for name, column in written["tolerance"].items()},
        )


@dataclass(frozen=True)
class Vector:
    """A row with its exact results.

    Examples
    --------
    >>> from softmax_variants_spec.vectors import load
    >>> vector = next(v for v in load("ssmax", "float32").vectors if v.dy)
    >>> vector.row.function, len(vector.dy) == len(vector.row.x)
    ('ssmax', True)
    """

    id: str
    """Permanent: variant, format, group and a number."""
    group: str
    """What the row is hard for: a key of the file's groups."""
    row: Row
    dy: tuple[float, ...] | None
    """Cotangents of the gradients, or None if the results have none."""
    results: dict[str, Result]
    """By name, out of `RESULTS`; ``dx_detached`` is dx with the extrema as constants."""

    def inputs(self) -> dict[str, Any]:
        """Return the part that never changes, as it is written."""
        row = self.row
        written: dict[str, Any] = {
            "id": self.id,
            "group": self.group,
            "x": _hexes(row.x),
            "where": None if row.where is None else list(row.where),
        }
        if row.function == "ssmax":
            written["s"] = to_hex(float(row.s))
            written["b"] = to_hex(float(row.b))
            written["n"] = None if row.n is None else text_of_count(row.n)
        written["dy"] = None if self.dy is None else _hexes(self.dy)
        return written

    def to_json(self) -> dict[str, Any]:
        """Return what is written."""
        results = {n: self.results[n].to_json() for n in RESULTS if n in self.results}
        return {**self.inputs(), "results": results}

    @staticmethod
    def from_json(written: dict[str, Any], function: str, form: str | None) -> Vector:
        """Return what was written in the file of a function and form.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is not a vector.
        """
        where, n, dy = written["where"], written.get("n"), written["dy"]
        parameters: dict[str, Any] = {}
        if function == "ssmax":
            parameters = {
                "s": from_hex(written["s"]),
                "b": from_hex(written["b"]),
                "n": None if n is None else count_from_text(n),
            }
        return Vector(
            id=written["id"],
            group=written["group"],
            row=Row(
                function,
                _floats(written["x"]),
                where=None if where is None else tuple(where),
                form=form or "normalized",
                **parameters,
            ),
            dy=None if dy is None else _floats(dy),
            results={name: Result.from_json(one) for name, one in written["results"].items()},
        )


def lines(value: Any, indent: int = 0) -> str:
    """Return JSON with one line a field, so that a changed number changes one line.

    A result that has nothing but values is a line by itself.

    Examples
    --------
    >>> print(lines({"id": "a", "x": ["0x1p+0", "nan"], "results": {}}))
    {
     "id": "a",
     "x": ["0x1p+0","nan"],
     "results": {}
    }
    """
    margin = " " * (indent + 1)
    if isinstance(value, dict) and value and list(value) != ["value"]:
        parts = [f"{json.dumps(key)}: {lines(one, indent + 1)}" for key, one in value.items()]
        return f"{{\n{margin}" + f",\n{margin}".join(parts) + f"\n{margin[:-1]}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        # Its members start at the margin: they are most of a file, and nobody misses the spaces.
        return "[\n" + ",\n".join(lines(one) for one in value) + "\n]"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _hexes(values: Sequence[float]) -> list[str]:
    return [to_hex(v) for v in values]


def _floats(texts: Sequence[str]) -> tuple[float, ...]:
    return tuple(from_hex(text) for text in texts)
