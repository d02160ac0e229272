"""Every example in a docstring of ours runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import softmax_variants
import softmax_variants_backends
import softmax_variants_spec

LEFT_OUT = (
    # CuPy and CUDA's bindings are not installed where these tests run.
    "softmax_variants_backends.cupy",
    "softmax_variants_backends._cuda._launch_",
    # Runs the program.
    "softmax_variants.__main__",
)


def _modules() -> list[str]:
    roots = (softmax_variants, softmax_variants_spec, softmax_variants_backends)
    names = [root.__name__ for root in roots]
    for root in roots:
        names += [m.name for m in pkgutil.iter_modules(root.__path__, f"{root.__name__}.")]
    for name in list(names):
        if name.startswith(LEFT_OUT):
            continue
        module = importlib.import_module(name)
        if hasattr(module, "__path__") and name not in {r.__name__ for r in roots}:
            prefix = f"{name}."
            names += [m.name for m in pkgutil.walk_packages(module.__path__, prefix)]
    return sorted({name for name in names if not name.startswith(LEFT_OUT)})


@pytest.mark.parametrize("name", _modules())
def test_examples(name: str):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


def test_public_functions_have_examples():
    for name in softmax_variants.__all__:
        value = getattr(softmax_variants, name)
        if callable(value) and not isinstance(value, type):
            assert ">>>" in (value.__doc__ or ""), name
