"""Links of a page lead to the same place on the site as on a repository host."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository_files import BrokenLinkError, retarget

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"spec/softmax_variants_spec/README.md": "specification"}


def moved(text: str, file: str = "docs/cpu.md") -> str:
    return retarget(text, ROOT / file, ROOT, PAGES)


@pytest.mark.parametrize(
    ("link", "wanted"),
    [
        ("cuda.md", "/cuda.md"),
        ("cuda.md#results", "/cuda.md#results"),
        ("variants/ssmax.md", "/variants/ssmax.md"),
        ("../spec/softmax_variants_spec/README.md#definitions", "/specification.md#definitions"),
        ("../spec/softmax_variants_spec/", "/specification.md"),
        ("../README.md#use-it", "/index.md"),
        ("results/", "/results/README.md"),
        ("results/cuda-h100.json", "repository:docs/results/cuda-h100.json"),
        ("../LICENSE", "repository:LICENSE"),
        ("../tests/peers", "repository:tests/peers"),
        ("#below", "#below"),
        ("https://arxiv.org/abs/2501.19399", "https://arxiv.org/abs/2501.19399"),
    ],
)
def test_links(link: str, wanted: str) -> None:
    assert moved(f"See [it]({link}).") == f"See [it]({wanted})."


def test_links_of_a_page_that_lies_elsewhere() -> None:
    file = "spec/softmax_variants_spec/README.md"
    assert moved("[e](exact.py)", file) == "[e](repository:spec/softmax_variants_spec/exact.py)"


def test_pictures() -> None:
    file = "examples/needle_in_a_haystack/README.md"
    assert moved("![n](../../docs/figures/needle.svg)", file) == "![n](/figures/needle.svg)"


def test_code_is_left_alone() -> None:
    text = "```python\ntable[key](no.md)\n```\n"
    assert moved(text) == text


@pytest.mark.parametrize("link", ["nowhere.md", "../../outside.md", "../spec/none.py"])
def test_broken_links_are_errors(link: str) -> None:
    with pytest.raises(BrokenLinkError, match=f"the link to {link} leads nowhere"):
        moved(f"[it]({link})")
