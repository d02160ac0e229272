"""What is wrong on a page fails the build of the site, and says what it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CONF = f"""
import sys
sys.path[:0] = {[str(ROOT / part) for part in ("docs/_extensions", "docs", "", "spec", "backends")]}
from dataclasses import replace
from softmax_variants_spec.derivations import DERIVATIONS
extensions = ["myst_parser", "math_in_markup", "repository_files", "specified_text",
    "measured_numbers", "measured_tables", "derivation_steps", "inline_figures", "rendered_reports"]
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_url_schemes = ["http", "https", "repository"]
"""

SPOILT = """
one = DERIVATIONS["family/lone-entry"]
wrong = replace(one.claims[0], relation=">")
DERIVATIONS["family/lone-entry"] = replace(one, claims=(wrong, *one.claims[1:]))
"""

GOOD = r"""# A page

{result}`errors-by-distance.json > dtype`, {exact}`softmax(0, 0)[0] as .1f`, $\frac{a}{b}$,
[a file](../note.txt), [a folder](../folder), {report}`conformance-numpy`

:::{derivations} family
:::
"""

BAD = {
    "{result}`errors-by-distance.json > sead`": "no number: errors-by-distance.json > sead: no key",
    "{exact}`softmax(0, 0)[2]`": "no number: softmax(0, 0)[2]: IndexError",
    "{exact}`softmax(0, 0)[0] as .1q`": "no number: Unknown format code 'q'",
    r"$\fraction{a}{b}$": "no formula: Unknown LaTeX command",
    "[nowhere](../none.txt)": "the link to ../none.txt leads nowhere",
    "{report}`conformance-none`": "there is no docs/results/conformance-none.json",
    ":::{derivations} none\n:::": "no derivation of 'none', there are softmax/",
    ":::{derivations} family\n:::": "a derivation does not hold: A row of one entry: ",
    ":::{specified} ssmax\nNone\n:::": "no part 'None', there are '', 'Derivatives'",
}


def build(folder: Path, conf: str, page: str) -> subprocess.CompletedProcess[str]:
    (folder / "docs").mkdir()
    (folder / "folder").mkdir()
    (folder / "note.txt").write_text("noted <here>\n", encoding="utf-8")
    (folder / "docs/conf.py").write_text(conf, encoding="utf-8")
    (folder / "docs/index.md").write_text(page, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    return subprocess.run(
        [*command, folder / "docs", folder / "html"], capture_output=True, text=True, check=False
    )


def test_good_page(tmp_path: Path) -> None:
    done = build(tmp_path, CONF, GOOD)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "html/index.html").read_text(encoding="utf-8")
    assert '<span class="number">float32</span>, <span class="number">0.5</span>' in page
    assert "<mfrac>" in page
    assert 'href="files/note.txt.html"' in page
    assert 'href="reports/conformance-numpy.html"' in page
    assert "noted &lt;here&gt;" in (tmp_path / "html/files/note.txt.html").read_text("utf-8")
    assert (tmp_path / "html/reports/conformance-numpy.html").is_file()


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> str:
    page = "# A page\n\n" + "\n\n".join(BAD)
    done = build(tmp_path_factory.mktemp("site"), CONF + SPOILT, page)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_fails_the_build(complaints: str, text: str) -> None:
    assert BAD[text] in complaints
