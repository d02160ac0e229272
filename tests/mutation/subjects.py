"""What a mutant is judged on: the array-API backend on four namespaces.

Together they reach all of its paths: one word and two words of binary64, two words of binary32
(a device without binary64), the 16-bit format that NumPy has not, and PyTorch's missing shifts of
unsigned integers.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import array_api_compat.numpy
import array_api_compat.torch
import numpy as np
import torch

from backend_support.namespaces import WithoutFloat64
from mutation.calls import FUNCTIONS
from mutation.mutated import PACKAGE
from softmax_variants_spec.conformance.arrays import library
from softmax_variants_spec.conformance.expected import ExpectedFailures
from softmax_variants_spec.conformance.subject import Subject, load_subject

__all__ = ["expected", "subjects"]

_WEIGHTS = ("softmax", "ssmax", "sa_softmax")

# A mutant's process is a fork of this one: PyTorch's own threads would not be there.
torch.set_num_threads(1)


def _on(name: str, namespace: Any, lib: str, claims: dict[str, str | float]) -> Subject:
    """Return the backend on a namespace that its arrays do not lead to."""
    functions = import_module(f"{PACKAGE}._functions")
    module = ModuleType(name)
    quiet = np.errstate(all="ignore")
    for function in FUNCTIONS:
        setattr(module, function, quiet(partial(getattr(functions, function), xp=namespace)))
    pairs = ((function, dtype) for function in _WEIGHTS for dtype in claims)
    module.CLAIMS = {pair: claims[pair[1]] for pair in pairs}  # type: ignore[attr-defined]
    return Subject(name, module, library(lib))


def subjects() -> list[Subject]:
    """Return the backend, as it is imported now, on NumPy and PyTorch, with and without float64."""
    narrow_numpy = WithoutFloat64(array_api_compat.numpy)
    narrow_torch = WithoutFloat64(array_api_compat.torch)
    claims: dict[str, str | float] = {"float16": "faithful", "float32": "tight"}
    # PyTorch has the other formats too: they take the paths that NumPy's take.
    through_float64: dict[str, str | float] = {"bfloat16": 0.5 + 2.0**-13}
    return [
        load_subject(PACKAGE),
        _on("numpy-without-float64", narrow_numpy, "numpy", claims),
        _on("torch", array_api_compat.torch, "torch", through_float64),
        _on("torch-without-float64", narrow_torch, "torch", {"bfloat16": "faithful"}),
    ]


_BEYOND = "the scale that undoes subnormal logits of 8 exponent bits is beyond binary32 (S5: NaN)"


def expected(subject: Subject) -> ExpectedFailures | None:
    """Return what the backend cannot do on a namespace."""
    dtypes = {"numpy-without-float64": "float32", "torch-without-float64": "bfloat16"}
    dtype = dtypes.get(subject.name)
    if dtype is None:
        return None
    entries = ["values/", *(f"gradients/{kind}." for kind in ("dx", "ds", "db"))]
    known = {f"ssmax/{dtype}/{entry}subnormal-logits": _BEYOND for entry in entries}
    return ExpectedFailures.of(known, "tests/mutation/subjects.py")
