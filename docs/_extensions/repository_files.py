"""Links between files of the repository, for the site: one text serves both.

Pages link to each other and to files anywhere in the repository by relative paths, as a repository
host shows them. On the site, a link to a page leads to it; a link to another file leads to a page
that shows the file, a folder to one that lists it. A path that leads nowhere fails the build.
"""

from __future__ import annotations

import re
import subprocess
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

__all__ = ["retarget", "setup"]

_log = logging.getLogger(__name__)
_SCHEME = "repository:"
_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1\s*$", re.DOTALL | re.MULTILINE)
_TARGET = re.compile(r"(!?)(\[[^\]]*\])\(([^)\s]+)\)")
_LONGEST = 200_000
"""Characters of a file that is shown; a longer one is only named, with its size."""


class BrokenLinkError(Exception):
    """A link leads nowhere."""


def _destination(target: str, file: Path, root: Path, pages: dict[str, str]) -> str:
    """Return where a link of a file leads on the site."""
    path, _, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:|/", path):
        return target
    found = (file.parent / path).resolve()
    if not found.exists() or not found.is_relative_to(root):
        msg = f"the link to {target} leads nowhere"
        raise BrokenLinkError(msg)
    name = found.relative_to(root).as_posix()
    behind = f"#{anchor}" if anchor else ""
    if found.is_dir() and (found / "README.md").exists():
        name = f"{name}/README.md"
    if name in pages:
        return f"/{pages[name]}.md{behind}"
    if name.startswith("docs/") and name.endswith(".md"):
        return f"/{name.removeprefix('docs/')}{behind}"
    if name == "README.md":
        return "/index.md"
    return f"{_SCHEME}{name}"


def retarget(text: str, file: Path, root: Path, pages: dict[str, str]) -> str:
    """Return the text of a page with its links as the site has them.

    Parameters
    ----------
    text
        In Markdown.
    file
        Where it stands in the repository: what its links are relative to.
    root
        The repository.
    pages
        Pages of the site that show a file from outside of its folder, by that file.

    Raises
    ------
    BrokenLinkError
        If a link leads nowhere.
    """

    def replaced(found: re.Match[str]) -> str:
        image, label, target = found.groups()
        if not image:
            return f"{label}({_destination(target, file, root, pages)})"
        picture = (file.parent / target).resolve()
        return f"!{label}(/{picture.relative_to(root / 'docs').as_posix()})"

    # Code is left as it is: what looks like a link there is none.
    out, position = [], 0
    for fence in _FENCE.finditer(text):
        out += [_TARGET.sub(replaced, text[position : fence.start()]), fence[0]]
        position = fence.end()
    return "".join([*out, _TARGET.sub(replaced, text[position:])])


def _on_source(app: Sphinx, docname: str, content: list[str]) -> None:
    _on_text(app, Path(app.srcdir, docname).with_suffix(".md"), docname, content)


def _on_include(app: Sphinx, path: Path, docname: str, content: list[str]) -> None:
    _on_text(app, Path(app.srcdir, path).resolve(), docname, content)


def _on_text(app: Sphinx, file: Path, docname: str, content: list[str]) -> None:
    pages = {outside: page for page, outside in app.config.included_pages.items()}
    try:
        content[0] = retarget(content[0], file, Path(app.srcdir).parent, pages)
    except BrokenLinkError as error:
        _log.warning("%s", error, location=docname)


def _on_resolved(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    shown: dict[str, set[str]] = vars(app.env).setdefault("repository_files", {})
    shown[docname] = set()
    for link in doctree.findall(nodes.reference):
        target = link.get("refuri", "")
        if target.startswith(_SCHEME):
            name = target.removeprefix(_SCHEME)
            shown[docname].add(name)
            link["refuri"] = relative_uri(
                app.builder.get_target_uri(docname), app.builder.get_target_uri(f"files/{name}")
            )


def _tracked(root: Path, folder: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    return listed.stdout.splitlines()


def _shown(root: Path, name: str) -> str:
    """Return what the page of a file or folder shows."""
    path = root / name
    if path.is_dir():
        inside = "".join(f"<li><code>{escape(file)}</code></li>" for file in _tracked(root, name))
        return f"<ul>{inside}</ul>"
    text = path.read_text(encoding="utf-8")
    if len(text) > _LONGEST:
        return f"<p>{len(text):,} characters: see the file in the repository.</p>"
    try:
        lexer = get_lexer_for_filename(name)
    except ClassNotFound:
        return f'<div class="highlight"><pre>{escape(text)}</pre></div>'
    return highlight(text, lexer, HtmlFormatter())


def _on_collect(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    root = Path(app.srcdir).parent
    names = sorted({name for found in vars(app.env)["repository_files"].values() for name in found})
    for name in names:
        head = f"<h1><code>{escape(name)}</code></h1>"
        body = f"<section>{head}\n{_shown(root, name)}</section>"
        yield f"files/{name}", {"title": name, "body": body, "parents": []}, "page.html"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register what happens when pages are read, resolved and written."""
    app.add_config_value("included_pages", {}, "env")
    app.connect("source-read", _on_source)
    app.connect("include-read", _on_include)
    app.connect("doctree-resolved", _on_resolved)
    app.connect("html-collect-pages", _on_collect)
    # Which files are shown is known only when all pages were resolved in this process.
    return {"parallel_read_safe": True, "parallel_write_safe": False}
