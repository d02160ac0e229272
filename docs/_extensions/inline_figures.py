"""A directive that draws a figure and puts it into the page as SVG.

``{drawn} ssmax_fading`` runs ``draw(figure)`` of ``docs/_figures/ssmax_fading.py``; the content is
the caption. Text and axes take the colour of the page's text, in light and dark. The same source
gives the same bytes.
"""

from __future__ import annotations

import io
import re
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from docutils import nodes
from matplotlib.figure import Figure
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

__all__ = ["COLOURS", "setup", "svg"]

_INK = "#010203"
"""Stands for the colour of the page's text: no colour that a figure would use by itself."""
COLOURS = ("#c1553b", "#5d7fb3", "#2e9c66", "#d9a441", "#9467bd")
"""Of lines: each stands out on white and on black."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.prop_cycle": mpl.cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    **dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
            "grid.color",
        ),
        _INK,
    ),
}


def svg(name: str) -> str:
    """Return a figure of ``docs/_figures`` as an element ``svg``.

    Parameters
    ----------
    name
        The module that draws it: its docstring says what it shows, to those who do not see it.
    """
    module = import_module(f"_figures.{name}")
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(5.6, 3.2), layout="constrained")
        figure.patch.set_visible(False)
        module.draw(figure)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue().replace(_INK, "currentColor")
    # What names elements of one figure must not name those of another on the same page.
    text = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    label = escape(" ".join((module.__doc__ or "").split()))
    text = re.sub(r"<svg ", f'<svg role="img" aria-label="{label}" ', text, count=1)
    return text[text.index("<svg ") :]


class _Drawn(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Draw the figure; its caption follows."""
        (name,) = self.arguments
        figure = nodes.raw("", f'<figure class="drawn">{svg(name)}</figure>', format="html")
        caption = nodes.container(classes=["caption-of-drawn"])
        caption += self.parse_content_to_nodes()
        return [figure, caption]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("drawn", _Drawn)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
