"""Expected failures: ids of entries, each with the reason why its failure is known and accepted."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .outcome import Outcome

__all__ = ["TABLE", "ExpectedFailures", "SettingsError", "read_toml"]

TABLE = "expected-failures"
"""Name of the table in a TOML file."""


class SettingsError(Exception):
    """A file that says how to judge cannot be used; the message says why, in one line."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises
    ------
    SettingsError
        If it cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise SettingsError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: is no TOML: {error}"
        raise SettingsError(msg) from error


@dataclass(frozen=True)
class ExpectedFailures:
    """Reasons by id, where an id may hold the wildcards ``*``, ``?`` and ``[...]``.

    A wildcard only shortens the list: each entry that it matches has to fail, as if it were
    written out.
    """

    source: str
    """The file, for messages."""
    reasons: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> ExpectedFailures:
        """Return what the table ``[expected-failures]`` of a TOML file says.

        Raises
        ------
        SettingsError
            If there is no such table, or an id has no reason.
        """
        content = read_toml(path)
        if TABLE not in content:
            msg = f"{path}: has no table [{TABLE}] of ids and reasons"
            raise SettingsError(msg)
        return cls.of(content[TABLE], str(path))

    @classmethod
    def of(cls, table: Any, source: str) -> ExpectedFailures:
        """Return the expected failures of a table that was read; raises as ``read`` does."""
        if not isinstance(table, dict):
            msg = f"{source}: {TABLE} is {table!r}; it is a table of ids and reasons"
            raise SettingsError(msg)
        for name, reason in table.items():
            if not isinstance(reason, str) or not reason.strip():
                msg = f'{source}: "{name}" has the reason {reason!r}; it is a sentence'
                raise SettingsError(msg)
        return cls(source, dict(table))

    def check(self, ids: Iterable[str]) -> None:
        """Raise SettingsError where an id matches none of those that the suite has."""
        known = list(ids)
        for name in self.reasons:
            if not any(fnmatchcase(one, name) for one in known):
                near = get_close_matches(name, known, n=1, cutoff=0.8)
                hint = f"; did you mean {near[0]}?" if near else ""
                msg = f'{self.source}: "{name}" matches no entry of the suite for this backend'
                raise SettingsError(msg + hint)

    def reason(self, name: str) -> str | None:
        """Return why an entry is expected to fail, None if it is not."""
        if name in self.reasons:
            return self.reasons[name]
        return next((r for pattern, r in self.reasons.items() if fnmatchcase(name, pattern)), None)

    def apply(self, outcome: Outcome, *, smoke: bool) -> Outcome:
        """Return an outcome in the light of what was expected.

        A failure that was expected holds. An entry that was expected to fail and does not, fails:
        its line is stale. The few rows of the smoke run prove no line stale.
        """
        reason = self.reason(outcome.id)
        if reason is None:
            return outcome
        if not outcome.holds:
            return replace(outcome, status="expected failure", reason=reason)
        if smoke:
            return outcome
        message = f"fails no more, take it out of {self.source}; it was expected: {reason}"
        return replace(outcome, status="stale", message=message, reason=reason)
