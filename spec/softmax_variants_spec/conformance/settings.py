"""The file of a conformance run for pytest: which backend, how much of it, what may fail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from softmax_variants_spec.formats import FORMATS

from .expected import TABLE, ExpectedFailures, SettingsError, read_toml
from .ratchet import Ratchet
from .runner import TIME_LIMIT, Plan, plan
from .subject import SubjectError, load_subject
from .variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Settings"]

_LABELS = tuple(dict.fromkeys([*(v.function for v in VARIANTS), *(v.label for v in VARIANTS)]))


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _seconds(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value < math.inf


def _some_of(names: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(one in names for one in value)


_KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "backend": (_text, "the name of a backend or the dotted path of a module"),
    "namespace": (_text, "the name of a module"),
    "device": (_text, "the name of a device"),
    "functions": (_some_of(_LABELS), f"a list of {', '.join(_LABELS)}"),
    "dtypes": (_some_of(tuple(FORMATS)), f"a list of {', '.join(FORMATS)}"),
    "smoke": (lambda value: isinstance(value, bool), "true or false"),
    "time-limit": (_seconds, "seconds, at least 0"),
    "ratchet": (_text, "the path of a report, from the folder of this file"),
    TABLE: (lambda value: isinstance(value, dict), "a table of ids and reasons"),
}


@dataclass(frozen=True)
class Settings:
    """What a file named ``*.conformance.toml`` says."""

    path: Path
    values: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Return the settings of a file.

        Raises
        ------
        SettingsError
            If the file cannot be read, or a key is unknown, has a value of the wrong kind, or
            is missing.
        """
        values = read_toml(path)
        for key, value in values.items():
            if key not in _KEYS:
                msg = f"{path.name}: has the key {key!r}; keys are {', '.join(_KEYS)}"
                raise SettingsError(msg)
            fits, wanted = _KEYS[key]
            if not fits(value):
                msg = f"{path.name}: {key} is {value!r}; it is {wanted}"
                raise SettingsError(msg)
        if "backend" not in values:
            msg = f"{path.name}: has no backend; it is {_KEYS['backend'][1]}"
            raise SettingsError(msg)
        return cls(path, values)

    def plan(self) -> Plan:
        """Return what to judge.

        Raises
        ------
        SettingsError
            If the backend cannot be judged, or an expected failure or the ratchet does not fit it.
        """
        values, name = self.values, self.path.name
        try:
            subject = load_subject(values["backend"], values.get("namespace"), values.get("device"))
        except SubjectError as error:
            msg = f"{name}: {error}"
            raise SettingsError(msg) from error
        expected = values.get(TABLE)
        ratchet = values.get("ratchet")
        return plan(
            subject,
            functions=values.get("functions", ()),
            dtypes=values.get("dtypes", ()),
            smoke=values.get("smoke", False),
            expected=None if expected is None else ExpectedFailures.of(expected, name),
            ratchet=None if ratchet is None else Ratchet.read(self.path.parent / ratchet),
            time_limit=values.get("time-limit", TIME_LIMIT) or None,
        )
