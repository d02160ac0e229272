"""The site: ``sphinx-build -W -b html docs docs/_build/html`` in the repository's root."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The extensions and figures beside this file, and the three packages as they lie in the repository.
sys.path[:0] = [str(ROOT / part) for part in ("docs/_extensions", "docs", "", "spec", "backends")]

from softmax_variants import __version__  # noqa: E402 - found by the path above

project = "softmax_variants"
author = "the authors of softmax_variants"
copyright = author  # noqa: A001 - the name that Sphinx gives it
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "math_in_markup",
    "repository_files",
    "specified_text",
    "measured_numbers",
    "measured_tables",
    "derivation_steps",
    "inline_figures",
    "rendered_reports",
]
exclude_patterns = ["_build", "recorded_logits"]
default_role = "py:obj"
html_math_renderer = "mathml"
html_copy_source = False
# What Sphinx writes for no reader: an index that the search serves better.
html_use_index = False
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
# Set by repository_files for links to files that are no pages.
myst_url_schemes = ["http", "https", "mailto", "repository"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's sections say them
autodoc_preserve_defaults = True
numpydoc_show_class_members = False  # the pages name the members that they show
numpydoc_xref_param_type = False

included_pages = {
    "specification": "spec/softmax_variants_spec/README.md",
    "needle": "examples/needle_in_a_haystack/README.md",
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
    "mutation": "tests/mutation/README.md",
}
"""Pages that show a file from outside of this folder, and which."""

html_theme = "furo"
html_title = "softmax_variants"
html_static_path = ["_static"]
html_css_files = ["site.css"]
