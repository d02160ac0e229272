"""Versions of packages, compared by their numbers."""

from __future__ import annotations

import re

__all__ = ["numbers"]


def numbers(version: str) -> list[int]:
    """Return the leading numbers of a version: [2, 6, 0] for 2.6.0+cu130."""
    leading = re.match(r"[\d.]*", version)
    return [int(part) for part in leading.group().split(".") if part] if leading else []
