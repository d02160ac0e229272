"""Reports of the conformance suite as pages of the site, and a role that leads to them.

Every report in docs/results becomes ``reports/NAME.html``, by what ``softmax-variants report``
runs; ``{report}`NumPy <conformance-numpy>` `` is a link to one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from softmax_variants_spec.conformance.html_report import html_report
from softmax_variants_spec.conformance.recorded import read_report
from softmax_variants_spec.conformance.report import FORMAT_NAME

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

__all__ = ["reports", "setup"]

_log = logging.getLogger(__name__)
RESULTS = Path(__file__).resolve().parents[1] / "results"


def reports() -> list[Path]:
    """Return the committed reports of the suite."""
    found = []
    for path in sorted(RESULTS.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") == FORMAT_NAME:
            found.append(path)
    return found


class _ReportRole(SphinxRole):
    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return a link to a report."""
        found = re.fullmatch(r"(.+) <([\w-]+)>", self.text)
        name = found[2] if found else self.text
        if not (RESULTS / f"{name}.json").is_file():
            _log.warning("there is no docs/results/%s.json", name, location=self.get_location())
        up = "../" * self.env.docname.count("/")
        link = nodes.reference("", found[1] if found else name, internal=True)
        link["refuri"] = f"{up}reports/{name}.html"
        return [link], []


def _on_finished(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        folder = Path(app.outdir, "reports")
        folder.mkdir(exist_ok=True)
        for path in reports():
            page = folder / f"{path.stem}.html"
            page.write_text(html_report(read_report(path)), encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the role and what follows a build."""
    app.add_role("report", _ReportRole())
    app.connect("build-finished", _on_finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
