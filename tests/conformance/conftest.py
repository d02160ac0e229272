"""Running the suite on a module, and backends made for one test."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance.context import Context
from softmax_variants_spec.conformance.runner import plan, run
from softmax_variants_spec.conformance.subject import load_subject
from softmax_variants_spec.conformance.variants import VARIANTS
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from softmax_variants_spec.conformance.outcome import Outcome
    from softmax_variants_spec.conformance.runner import Report


class Silent:
    """A progress that tells nothing."""

    def start(self, total: int) -> None:
        pass

    def step(self, what: str, outcome: Outcome | None = None) -> None:
        pass


@pytest.fixture
def judge() -> Callable[..., Report]:
    """Return a function that runs the suite, its smoke part, on a module by its dotted path.

    Its options are those of ``plan``.
    """

    def judge(
        module: str, *, dtypes: Sequence[str] = ("float32",), smoke: bool = True, **options: Any
    ) -> Report:
        return run(plan(load_subject(module), dtypes=dtypes, smoke=smoke, **options), Silent())

    return judge


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that makes a backend of ours with some attributes replaced (None: gone).

    It returns the name under which the backend can be imported.
    """

    def backend(**attributes: Any) -> str:
        module = ModuleType("backend_of_a_test")
        kept = {name: getattr(honest, name) for name in honest.__all__}
        for name, value in (kept | attributes).items():
            if value is not None:
                setattr(module, name, value)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return module.__name__

    return backend


@pytest.fixture
def context() -> Callable[..., Context]:
    """Return a function that makes a context of a module, variant and dtype."""

    def context(module: str, label: str, dtype: str, *, smoke: bool = True) -> Context:
        variant = next(one for one in VARIANTS if one.label == label)
        return Context(load_subject(module), variant, FORMATS[dtype], smoke=smoke)

    return context
