"""Roles that put numbers on a page: read from a committed result, or computed by the specification.

``{result}`cpu-benchmark.json > speed > seconds as .0f` `` reads docs/results/cpu-benchmark.json;
each part between ``>`` is a key, the index of an element, ``[key=value, ...]`` for the only record
of a list that has these values, or ``max``, ``min``, ``sum`` or ``len``. Behind ``as`` stands a
format.

``{exact}`ssmax(1, 2, s=1)[0] as .6f` `` evaluates an expression of the functions in
`exact_values`. A wrong key, name or format fails the build.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

import exact_values

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

__all__ = ["NoSuchNumberError", "evaluated", "formatted", "look_up", "setup"]

_log = logging.getLogger(__name__)
RESULTS = Path(__file__).resolve().parents[1] / "results"
_REDUCTIONS = {"max": max, "min": min, "sum": sum, "len": len}


class NoSuchNumberError(Exception):
    """There is no such number; the message says what was asked and what there is."""


@cache
def _read(file: str) -> Any:
    path = RESULTS / file
    if not path.is_file():
        msg = f"there is no docs/results/{file}"
        raise NoSuchNumberError(msg)
    return json.loads(path.read_text(encoding="utf-8"))


def _step(value: Any, part: str) -> Any:
    """Return what a part of a path leads to."""
    if isinstance(value, dict):
        if part in value:
            return value[part]
        msg = f"no key {part!r}, there are {', '.join(map(repr, value))}"
        raise NoSuchNumberError(msg)
    if not isinstance(value, list):
        msg = f"{part!r} asks for a part of {value!r}, which has none"
        raise NoSuchNumberError(msg)
    if part in _REDUCTIONS:
        return _REDUCTIONS[part](value)
    if found := re.fullmatch(r"\[(.*)\]", part):
        wanted = [tuple(pair.split("=", 1)) for pair in re.split(r",\s*", found[1])]
        records = [r for r in value if all(str(r.get(k)) == v for k, v in wanted)]
        if len(records) != 1:
            msg = f"{part} fits {len(records)} of {len(value)} records, must fit one"
            raise NoSuchNumberError(msg)
        return records[0]
    try:
        return value[int(part)]
    except (ValueError, IndexError):
        msg = f"no element {part!r} of {len(value)}"
        raise NoSuchNumberError(msg) from None


def look_up(path: str) -> Any:
    """Return a number, or a text, of a committed result.

    Parameters
    ----------
    path
        The name of a file in docs/results and keys, separated by ``>``.

    Raises
    ------
    NoSuchNumberError
        If there is no such file or key.

    Examples
    --------
    >>> look_up("errors-by-distance.json > dtype")
    'float32'
    """
    file, *parts = re.split(r"\s+>\s+", path.strip())
    value = _read(file)
    for part in parts:
        try:
            value = _step(value, part)
        except NoSuchNumberError as error:
            msg = f"{path}: {error}"
            raise NoSuchNumberError(msg) from None
    if isinstance(value, dict | list):
        msg = f"{path}: is a {type(value).__name__} of {len(value)}, must be one number or text"
        raise NoSuchNumberError(msg)
    return value


def evaluated(expression: str) -> Any:
    """Return the value of an expression of the functions in `exact_values`.

    Raises
    ------
    NoSuchNumberError
        If it cannot be evaluated.

    Examples
    --------
    >>> print(evaluated("ssmax(0, 1, n=3)[1]"))
    0.75
    """
    names = {name: getattr(exact_values, name) for name in exact_values.__all__}
    names |= {"float": float, "sum": sum}
    try:
        # The expressions are those of our own pages.
        return eval(expression, {"__builtins__": {}}, names)
    except Exception as error:
        msg = f"{expression}: {type(error).__name__}: {error}"
        raise NoSuchNumberError(msg) from error


def formatted(value: Any, how: str) -> str:
    """Return a value in a format, a text as it is.

    Examples
    --------
    >>> formatted(1234567.0, ",.0f"), formatted(1.5e-7, ".1e"), formatted(0.25, "%")
    ('1,234,567', '1.5 · 10⁻⁷', '25%')
    """
    if isinstance(value, str):
        return value
    how = {"": ".4g", "%": ".0%"}.get(how, how)
    number = value if isinstance(value, int) and not isinstance(value, bool) else float(value)
    text = format(number, how)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text.replace("-", "−")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.replace('-', '−')} · 10{raised}"


class _NumberRole(SphinxRole):
    """A role whose text is what to look up or evaluate, and how to write it."""

    def __init__(self, get: Any) -> None:
        self.get = get

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        # Without a format there is no " as ", and all of the text is what is asked.
        asked, _, how = self.text.partition(" as ")
        try:
            text = formatted(self.get(asked.strip()), how.strip())
        except (NoSuchNumberError, ValueError) as error:
            _log.warning("no number: %s", error, location=self.get_location())
            text = "no number"
        return [nodes.inline("", text, classes=["number"])], []


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the roles."""
    app.add_role("result", _NumberRole(look_up))
    app.add_role("exact", _NumberRole(evaluated))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
