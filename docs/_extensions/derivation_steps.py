"""Directives that show the derivations of the specification, checked when the page is built.

``{derivations} ssmax`` shows those of a topic: the statement, every step with why it holds, and at
how many rows both sides were evaluated. An equation that does not hold fails the build. Steps in
words, which nothing evaluates, are marked; ``{prose-of-derivations}`` lists them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from softmax_variants_spec.derivations import DERIVATIONS, Prose, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from softmax_variants_spec.derivations import Step

__all__ = ["setup"]

_log = logging.getLogger(__name__)


class _Derivations(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Check the derivations of a topic and show them, a section each."""
        (topic,) = self.arguments
        found = [key for key in DERIVATIONS if key.partition("/")[0] == topic]
        if not found:
            raise self.error(f"no derivation of {topic!r}, there are {', '.join(DERIVATIONS)}")
        return [self._section(key) for key in found]

    def _section(self, key: str) -> nodes.section:
        derivation, checked = DERIVATIONS[key], check(DERIVATIONS[key])
        for fault in checked.faults():
            _log.warning("a derivation does not hold: %s", fault, location=self.get_location())
        name = f"derivation-{key.replace('/', '-')}"
        section = nodes.section("", nodes.title("", derivation.title), names=[name])
        # So that pages can link to it: it is given its id, the name.
        self.state.document.note_explicit_target(section)
        section += self.parse_text_to_nodes(derivation.statement)
        section += [self._formula(claim, claim.latex()) for claim in derivation.claims]
        if derivation.steps:
            section += nodes.paragraph("", "Derivation:")
        steps = nodes.enumerated_list(classes=["derivation"])
        for chain in derivation.chains():
            steps += list(self._items(chain))
        section += [steps] if len(steps) else []
        rows = [one.rows for one in checked.steps]
        evaluated = nodes.container(classes=["checked"])
        evaluated += self.parse_text_to_nodes(
            f"For {derivation.domain}. Both sides of all {len(rows)} formulas were evaluated, each "
            f"at {min(rows)} rows or more: they hold, equations to 40 digits."
        )
        section += evaluated
        return section

    def _items(self, chain: tuple[Step | Prose, ...]) -> Iterator[nodes.list_item]:
        condition = ""
        for position, item in enumerate(chain):
            if isinstance(item, Prose):
                words = nodes.list_item(classes=["prose"])
                words += self.parse_text_to_nodes(f"{item.text} *(In words: not evaluated.)*")
                yield words
                continue
            latex = item.latex_right() if position else item.latex()
            # What all steps of a chain assume is said at the first.
            entry = nodes.list_item(
                "", self._formula(item, latex, told=item.condition == condition)
            )
            condition = item.condition
            why = nodes.container(classes=["why"])
            why += self.parse_text_to_nodes(item.justification)
            entry += why
            yield entry

    def _formula(self, step: Step, latex: str, *, told: bool = False) -> nodes.Node:
        if step.condition and not told:
            latex += rf" \qquad ({step.latex_condition()})"
        formula = nodes.math_block(latex, latex, no_wrap=False, number=None, label=None)
        self.set_source_info(formula)
        return formula


class _ProseOfDerivations(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        """List what is said and not evaluated, by derivation."""
        lines = [
            f"- {derivation.title}: {prose.text}"
            for derivation in DERIVATIONS.values()
            for prose in derivation.prose_steps()
        ]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("derivations", _Derivations)
    app.add_directive("prose-of-derivations", _ProseOfDerivations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
