"""Pages of the site show all that they are made from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docutils.utils.math import MathError

from inline_figures import svg
from math_in_markup import in_markup
from measured_tables import claims, errors, peers, times
from rendered_reports import reports
from softmax_variants_spec.derivations import DERIVATIONS, Step
from softmax_variants_spec.special_values import SPECIAL_VALUES
from specified_text import parts, special_values

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {
    page.relative_to(DOCS).as_posix(): page.read_text(encoding="utf-8")
    for page in sorted(DOCS.rglob("*.md"))
    if "_build" not in page.parts
}
FUNCTIONS = ("softmax", "ssmax", "sa_softmax")
TEXT = "\n".join(PAGES.values())


def test_every_derivation_is_shown_once() -> None:
    shown = re.findall(r"^:::\{derivations\} (\S+)$", TEXT, re.MULTILINE)
    assert sorted(shown) == sorted({key.partition("/")[0] for key in DERIVATIONS})


@pytest.mark.parametrize("key", DERIVATIONS)
def test_every_formula_can_be_shown(key: str) -> None:
    for item in DERIVATIONS[key].equations():
        assert isinstance(item, Step)
        assert in_markup(item.latex(), block=True).startswith("<math")


def test_every_special_value_is_shown_with_its_sentence() -> None:
    for name in FUNCTIONS:
        assert f":::{{special-values}} {name}\n" in PAGES[f"variants/{name}.md"]
    listed = "\n".join(special_values(name) for name in FUNCTIONS)
    assert len(SPECIAL_VALUES) > 40
    for value in SPECIAL_VALUES:
        assert f"**{value.sentence}**" in listed
        assert f"`special/{value.id.partition('.')[2]}` in reports" in listed


def test_every_report_is_linked() -> None:
    page = PAGES["reading-a-report.md"]
    linked = set(re.findall(r"\{report\}`[^<`]*<([\w-]+)>`", page))
    assert linked == {path.stem for path in reports()}


def test_parts_of_definitions() -> None:
    found = parts("sa_softmax")
    assert list(found) == [
        "",
        "Zero denominators",
        "Derivatives",
        "Ties",
        "What the extrema's derivatives are for",
    ]
    assert ".. math::" in found[""]
    assert "**" not in found["Ties"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tables_of_a_function(name: str) -> None:
    lines = errors(name).splitlines()
    assert sum(line.startswith("| NumPy |") for line in lines) == (4 if name == "sa_softmax" else 1)
    assert len({line.count("|") for line in lines}) == 1
    speed = times(name).splitlines()
    assert any(line.startswith("| CPU") for line in speed)
    assert any(line.startswith("| GPU") for line in speed)
    assert all(f" {name}" in line for line in speed[2:])


def test_tables_of_all_functions() -> None:
    assert "| NumPy | float32 | ½ + 2⁻¹⁸ | ½ |" in claims()
    torch = [line for line in peers().splitlines() if line.startswith("| torch.softmax |")]
    assert len(torch) == 4


def test_formulas_are_right_or_refused() -> None:
    assert "<mfrac>" in in_markup(r"\frac{a}{b}")
    with pytest.raises(MathError):
        in_markup(r"\fraction{a}{b}")
    with pytest.raises(MathError, match=r"\\frac wants braces, got '\\\\frac12'"):
        in_markup(r"\frac12")


def test_indices_of_accented_letters_stand_beside_them() -> None:
    assert in_markup(r"\hat{z}_i").index("<msub>") < in_markup(r"\hat{z}_i").index("<mover")
    assert "<munderover>" not in in_markup(r"\hat{z}_i")
    assert "<munderover>" in in_markup(r"\sum_{i=1}^n", block=True)


def test_names_of_functions_stand_apart_from_letters() -> None:
    assert 'rspace="0.17em"' in in_markup(r"\ln n")
    assert "rspace" not in in_markup(r"\ln(n)")


FIGURES = sorted(p.stem for p in (DOCS / "_figures").glob("*.py") if p.stem != "__init__")


def test_every_figure_is_on_a_page() -> None:
    assert set(FIGURES) == set(re.findall(r"^:::\{drawn\} (\S+)$", TEXT, re.MULTILINE))


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_alike_and_take_the_page_s_colours(name: str) -> None:
    drawn = svg(name)
    assert drawn == svg(name)
    assert "currentColor" in drawn
    assert "#000000" not in drawn
    assert re.search(r'^<svg role="img" aria-label="[A-Z][^"]{20,}"', drawn)
    ids = set(re.findall(r' id="([^"]+)"', drawn))
    assert all(found.startswith(f"{name}-") for found in ids)
    assert set(re.findall(r'xlink:href="#([^"]+)"', drawn)) <= ids
