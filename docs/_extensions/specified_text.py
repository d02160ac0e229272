"""Directives that show what the specification says: definitions, special values, provenance.

``{specified} sa_softmax`` shows the definition in the docstring of a variant's module, and with
content, ``Ties`` say, the part that begins with that word in bold. ``{special-values} ssmax`` shows
every sentence that the conformance suite runs, ``{provenance} ssmax`` where formulas come from.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import TYPE_CHECKING

from sphinx.util.docutils import SphinxDirective

from softmax_variants_spec.formats import FORMATS
from softmax_variants_spec.special_values import SPECIAL_VALUES

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from softmax_variants_spec.special_case import Case, SpecialValue

__all__ = ["parts", "setup", "special_values"]

_BOLD = re.compile(r"^\*\*(.+?)\.\*\* ", re.MULTILINE)


def _module(name: str) -> object:
    return import_module(f"softmax_variants_spec.variants.{name}")


def parts(name: str) -> dict[str, str]:
    """Return the docstring of a variant's module, in reStructuredText, by the parts it has.

    Parameters
    ----------
    name
        ``"softmax"``, ``"ssmax"`` or ``"sa_softmax"``.

    Returns
    -------
    dict
        The definition under ``""``, the others under the words in bold that they begin with.

    Examples
    --------
    >>> list(parts("ssmax"))
    ['', 'Derivatives']
    """
    text = inspect.cleandoc(_module(name).__doc__ or "")
    _, text = text.split("\n", 1)  # the headline
    first, *others = _BOLD.split(text)
    return {"": first} | dict(zip(others[::2], others[1::2], strict=True))


def _row(case: Case) -> str:
    """Return the arguments of a case as Python writes them."""
    options = {
        "where": (case.where, None),
        "s": (case.s, 1.0),
        "b": (case.b, 0.0),
        "n": (case.n, None),
        "form": (case.form, "normalized"),
        "detach_extrema": (case.detach_extrema, False),
        "dy": (case.dy, None),
    }
    given = [f"{name}={value!r}" for name, (value, default) in options.items() if value != default]
    return ", ".join([repr(case.x), *given])


def _example(value: SpecialValue) -> str:
    """Return the shortest case whose result is known in full, as a line."""
    cases = [c for c in value.cases(FORMATS["float32"]) if None not in c.expected]
    if not cases:
        return ""
    case = min(cases, key=lambda c: len(_row(c)))
    expected = ", ".join("anything" if e is None else f"{e:g}" for e in case.expected)
    return f"`{_row(case)}`: {case.expect} {expected or 'none'}. "


def special_values(name: str) -> str:
    """Return the special values of a function in Markdown, each with a target and an example."""
    lines = []
    for value in SPECIAL_VALUES:
        function, _, matter = value.id.partition(".")
        if function == name:
            count = len(value.cases(FORMATS["float32"]))
            lines += [
                f"(special-{function}-{matter})=",
                f"**{value.sentence}**",
                "",
                f": {_example(value)}{count} case{'s' * (count != 1)}; "
                f"`special/{matter}` in reports.",
                "",
            ]
    return "\n".join(lines)


class _Specified(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Parse a part of the docstring, which is reStructuredText."""
        asked = " ".join(self.content).strip()
        found = parts(self.arguments[0])
        if asked not in found:
            raise self.error(f"no part {asked!r}, there are {', '.join(map(repr, found))}")
        return self.parse_text_to_nodes(f"````{{eval-rst}}\n{found[asked]}\n````")


class _SpecialValues(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the list."""
        return self.parse_text_to_nodes(special_values(self.arguments[0]))


class _Provenance(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the text, with references as links."""
        text: str = vars(_module(self.arguments[0]))["PROVENANCE"]
        linked = re.sub(r"arXiv:(\d{4}\.\d{5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
        return self.parse_text_to_nodes(linked)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("specified", _Specified)
    app.add_directive("special-values", _SpecialValues)
    app.add_directive("provenance", _Provenance)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
