"""What the suite is to say of a broken backend."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Broken"]


@dataclass(frozen=True)
class Broken:
    """A broken backend, and what the suite is to say of it."""

    module: str
    function: str
    """The function, or the label of its variant, that has the fault."""
    named: dict[str, str]
    """Kind and name of the entries that name the fault: a regular expression of their message."""
    may_fail: str = ""
    """Regular expression of all other entries, by kind and name, that the fault touches."""
    detail: str = ""
    """Regular expression of the details of the entries that name the fault."""
    dtype: str = "float32"
