"""The reference names all that is public, and says of every argument what it is."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.rst"))
MODULES = (
    "softmax_variants",
    "softmax_variants.torch",
    "softmax_variants.transformers",
    "softmax_variants_spec.conformance",
)
NAMES = [(module, name) for module in MODULES for name in importlib.import_module(module).__all__]


def public(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_name_is_in_the_reference(module: str, name: str) -> None:
    assert re.search(rf"^\.\. \S+:: {module}\.{name}$", REFERENCE, re.MULTILINE)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_name_is_described(module: str, name: str) -> None:
    value = public(module, name)
    if isinstance(value, str):
        return  # its description is in the reference itself
    text = inspect.getdoc(value) or ""
    assert len(text) > 20
    if name in {"BackendStatus", "BackendTable"}:
        return  # made by this library, not by its users
    for parameter in inspect.signature(value).parameters:
        assert re.search(rf"^(?:\w+, )*{parameter}(?:, \w+)*(?: :.*)?$", text, re.MULTILINE), (
            f"{module}.{name} says nothing of {parameter}"
        )


@pytest.mark.parametrize("module", ["softmax_variants_spec.exact", "softmax_variants_spec.vectors"])
def test_modules_shown_whole_describe_their_names(module: str) -> None:
    assert f".. automodule:: {module}\n   :members:" in REFERENCE
    loaded = importlib.import_module(module)
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if callable(value):
            assert inspect.getdoc(value), f"{module}.{name}"
