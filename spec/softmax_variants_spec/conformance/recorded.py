"""A report that was written before, read again."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from .expected import SettingsError
from .outcome import GradientMeasure, Outcome, WeightMeasure, Worst
from .report import FORMAT_NAME, FORMAT_VERSION
from .runner import Report, Summary

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_content", "read_report"]

_Part = TypeVar("_Part", Worst, WeightMeasure, GradientMeasure, Outcome, Summary)


def read_content(path: Path) -> dict[str, Any]:
    """Return what a file holds that ``--report`` wrote.

    Raises
    ------
    SettingsError
        If the file cannot be read or is no report.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise SettingsError(msg) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: is no JSON: {error}"
        raise SettingsError(msg) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT_NAME:
        msg = f"{path}: is no report; the option --report writes one"
        raise SettingsError(msg)
    if content.get("version") != FORMAT_VERSION:
        msg = (
            f"{path}: is a report of version {content.get('version')}, wants "
            f"{FORMAT_VERSION}: write it anew with --report"
        )
        raise SettingsError(msg)
    return content


def read_report(path: Path) -> Report:
    """Return the report that a file holds, with its measures to the digits that it states.

    Raises
    ------
    SettingsError
        If the file cannot be read, is no report, or lacks a part of one.
    """
    content = read_content(path)
    try:
        return Report(
            backend=content["backend"],
            library=content["library"],
            environment=content["environment"],
            smoke=content["smoke"],
            outcomes=[_outcome(record) for record in content["outcomes"]],
            summaries=[_measured(Summary, record) for record in content["summaries"]],
            seconds=float(content["seconds"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        msg = f"{path}: a part of the report is missing or wrong: {error}; write it anew"
        raise SettingsError(msg) from error


def _outcome(record: dict[str, Any]) -> Outcome:
    parts = dict(record)
    if "weights" in parts:
        parts["weights"] = _measured(WeightMeasure, parts["weights"])
    if "gradient" in parts:
        parts["gradient"] = _measured(GradientMeasure, parts["gradient"])
    return Outcome(**parts)


def _measured(kind: type[_Part], record: dict[str, Any]) -> _Part:
    """Return a part of a report: what is empty is left out of the file, infinities are words."""
    values: dict[str, Any] = {}
    for each in fields(kind):
        value = record.get(each.name)
        if value is not None and each.name == "worst":
            value = Worst(**value)
        # The modules of these classes keep annotations as they are written.
        elif value is not None and str(each.type).startswith("float"):
            value = float(value)
        elif value is None and "None" not in str(each.type):
            raise KeyError(each.name)
        values[each.name] = value
    return kind(**values)
