"""What all tests share: exact references of the conformance suite are computed once a session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def reference_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the session's references; workers of one pytest-xdist run share it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return shared / "softmax_variants_references"


@pytest.fixture(scope="session", autouse=True)
def _references_once_a_session(reference_cache: Path) -> Iterator[None]:
    # Never the user's own cache: a test that passes must not depend on what lies there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTMAX_VARIANTS_CACHE", str(reference_cache))
        yield
