"""A backend that returns what it was handed, and distributions installed for a test."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from softmax_variants._catalogue import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Echo(ModuleType):
    """A backend whose functions return their own positional and keyword arguments."""

    def __init__(self, namespace: str = "numpy") -> None:
        super().__init__("echo")
        self.NAMESPACE = namespace
        for function in FUNCTIONS:
            setattr(self, function.name, self._call)
            setattr(self, function.vjp, self._call)

    @staticmethod
    def _call(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs


@pytest.fixture
def echo() -> type[Echo]:
    return Echo


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that installs a distribution for the length of a test."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(
        distribution: str, version: str, *, modules: dict[str, str], backends: dict[str, str]
    ) -> None:
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source)
            monkeypatch.delitem(sys.modules, name, raising=False)
        folder = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        header = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (folder / "METADATA").write_text(header)
        lines = [f"{name} = {value}\n" for name, value in backends.items()]
        entries = "".join(["[softmax_variants.backends]\n", *lines])
        (folder / "entry_points.txt").write_text(entries)
        importlib.invalidate_caches()

    return install
