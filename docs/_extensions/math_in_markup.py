"""Formulas as MathML, made when the site is built: nothing is loaded or run to show them.

docutils converts LaTeX and refuses what it does not know, so that a formula is right in the page or
fails the build.
"""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata
    from sphinx.writers.html5 import HTML5Translator

__all__ = ["in_markup", "setup"]

_log = logging.getLogger(__name__)
_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_NAMED = re.compile(r"&(?!(?:amp|lt|gt|quot);)\w+;")
"""Characters by their HTML names, which XML does not know."""
_ACCENTS = {"ˆ", "^", "~", "˜", "¯", "‾", "→"}
_APPLIED = "\N{FUNCTION APPLICATION}"


def in_markup(latex: str, *, block: bool = False) -> str:
    r"""Return a formula in MathML.

    Parameters
    ----------
    latex
        The formula. Lines apart by ``\\`` and columns by ``&`` are aligned.
    block
        Whether it stands on lines of its own.

    Raises
    ------
    MathError
        If a command is not known, or a fraction has no braces: docutils misreads it then.

    Examples
    --------
    >>> "<mfrac>" in in_markup(r"\frac{1}{n}")
    True
    """
    if found := re.search(r"\\frac(?![a-z])(?!\s*\{)", latex):
        msg = f"\\frac wants braces, got {latex[found.start() :][:12]!r}"
        raise MathError(msg)
    text = _NAMED.sub(lambda found: unescape(found[0]), tex2mathml(latex, as_block=block))
    tree = ET.fromstring(text)
    for element in list(tree.iter()):
        children = list(element)
        if element.tag == f"{{{_NAMESPACE}}}munderover" and children[2].text in _ACCENTS:
            _put_index_beside(element)
        for child, following in pairwise(children):
            # As in TeX: a thin space between a function's name and a letter, none before "(".
            if child.text == _APPLIED and "".join(following.itertext()).strip()[:1] != "(":
                child.set("rspace", "0.17em")
    ET.register_namespace("", _NAMESPACE)
    return ET.tostring(tree, encoding="unicode")


def _put_index_beside(element: ET.Element) -> None:
    """Turn a letter with an accent above and an index below into one with the index beside it."""
    letter, index, accent = element
    element.tag = f"{{{_NAMESPACE}}}msub"
    accented = ET.Element(f"{{{_NAMESPACE}}}mover", accent="true")
    accented.extend([letter, accent])
    element[:] = [accented, index]


def _written(node: nodes.math | nodes.math_block, *, block: bool) -> str:
    try:
        return in_markup(node.astext(), block=block)
    except MathError as error:
        _log.warning("no formula: %s in %r", error, node.astext(), location=node)
        return ""


def _visit_inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(_written(node, block=False))
    raise nodes.SkipNode


def _visit_block(writer: HTML5Translator, node: nodes.math_block) -> None:
    # A wide formula scrolls by itself, so that the page does not.
    label = ' tabindex="0" role="group" aria-label="formula"'
    writer.body.append(f'<div class="formula"{label}>{_written(node, block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
