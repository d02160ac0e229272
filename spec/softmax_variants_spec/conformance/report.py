"""The report of a run as JSON."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runner import Report

__all__ = ["FORMAT_NAME", "FORMAT_VERSION", "rounded", "unwritable", "write_report", "write_text"]

FORMAT_NAME, FORMAT_VERSION = "softmax-variants conformance report", 2


def rounded(value: float) -> float:
    """Return a measure as reports state it, to eight digits."""
    return float(f"{value:.8g}")


def _plain(value: Any) -> Any:
    """Return a value that JSON has: infinities and NaN as strings, without what is empty."""
    if isinstance(value, float):
        return rounded(value) if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items() if v not in (None, "")}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value


def _json(content: dict[str, Any]) -> str:
    """Return JSON with a line for each element of the lists, so that reports compare by line."""
    lines = []
    for key, value in content.items():
        if isinstance(value, list):
            rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in value)
            lines.append(f"{json.dumps(key)}: [\n  {rows}\n ]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written; what was there before is then left as it was.
    """
    content = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "holds": report.holds,
        **_plain(asdict(report)),
    }
    write_text(_json(content), path)


def write_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all; raises OSError as ``write_report`` does."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as file:
        try:
            file.write(text)
            file.close()
            Path(file.name).chmod(0o666 & ~_umask())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def unwritable(option: str, path: Path) -> str:
    """Return why a file cannot be written, or ""; asked before the run, not after."""
    try:
        if path.is_dir():
            return f"{option} {path}: is a directory, wants a file"
        if not path.parent.is_dir():
            return f"{option} {path}: there is no directory {path.parent}"
        # Only trying tells: whether names are too long, file systems read-only, for root as well.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            return ""
    except OSError as error:
        return f"{option} {path}: {error.strerror or error}"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
