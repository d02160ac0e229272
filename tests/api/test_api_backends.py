"""``backends()``: what is installed, what is usable, and if not why and what to install."""

from __future__ import annotations

import ctypes
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import array_api_compat
import jax
import numpy as np
import pytest
import torch

import softmax_variants as sv
from softmax_variants import BackendStatus, BackendTable
from softmax_variants._catalogue import BACKEND_MODULES
from softmax_variants._status import _REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def status(name: str) -> BackendStatus:
    (found,) = [found for found in sv.backends() if found.name == name]
    return found


def test_ours_in_the_order_of_the_catalogue() -> None:
    assert [found.name for found in sv.backends()][: len(BACKEND_MODULES)] == [*BACKEND_MODULES]


def test_installed_and_usable() -> None:
    assert status("numpy") == BackendStatus("numpy", "NumPy", np.__version__, True, True)
    assert status("torch") == BackendStatus("torch", "PyTorch", torch.__version__, True, True)
    assert status("jax") == BackendStatus("jax", "JAX", jax.__version__, True, True)
    assert status("dask") == BackendStatus("dask", "Dask", metadata.version("dask"), True, True)
    assert status("array_api") == BackendStatus(
        "array_api", "any array-API namespace", array_api_compat.__version__, True, True
    )


@pytest.mark.parametrize(
    ("name", "library", "install"),
    [
        ("torch", "PyTorch", 'pip install "softmax-variants[torch]"'),
        ("jax", "JAX", "pip install --upgrade jax"),
        ("dask", "Dask", 'pip install --upgrade "dask[array]"'),
    ],
)
def test_not_installed(
    name: str, library: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    assert status(name) == BackendStatus(
        name,
        library,
        None,
        installed=False,
        usable=False,
        reason=f"{library} is not installed",
        install=install,
    )


def test_folder_of_the_name_is_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cupy").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "version", lambda name: "99.0")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert not status("cupy").installed


def test_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version
    old = {"torch": "2.5.1+cu124"}
    monkeypatch.setattr(metadata, "version", lambda name: old.get(name) or version(name))
    assert status("torch") == BackendStatus(
        "torch",
        "PyTorch",
        "2.5.1+cu124",
        installed=True,
        usable=False,
        reason="PyTorch is older than 2.6",
        install='pip install "softmax-variants[torch]"',
    )
    old |= {"torch": "2.10.0", "jax": "0.4.38", "dask": "2024.12.1"}
    assert status("torch").usable
    assert status("jax").reason == "JAX is older than 0.5"
    assert status("dask").reason == "Dask is older than 2025.1"


class TestCuPy:
    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch: pytest.MonkeyPatch, install: Callable[..., None]) -> None:
        monkeypatch.delitem(sys.modules, "cupy", raising=False)
        source = "raise RuntimeError('imported')"
        install("cupy-cuda13x", "14.0.1", modules={"cupy": source}, backends={})

    def test_without_a_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def cannot_load(name: str) -> Any:
            raise OSError(name)

        monkeypatch.setattr(ctypes, "CDLL", cannot_load)
        found = status("cupy")
        assert (found.version, found.installed, found.usable) == ("14.0.1", True, False)
        assert found.reason.startswith("the NVIDIA driver's library ")
        assert found.reason.endswith(" cannot be loaded")

    def test_with_a_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
        assert status("cupy") == BackendStatus("cupy", "CuPy", "14.0.1", True, True)


def test_library_without_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", nothing)
    assert status("numpy") == BackendStatus("numpy", "NumPy", "unknown", True, True)


def test_third_parties_are_named_not_loaded(install: Callable[..., None]) -> None:
    modules = {"third_z": "raise RuntimeError('imported')"}
    names = {"third-z": "third_z", "numpy": "third_z"}
    install("third-party", "1.2", modules=modules, backends=names)
    assert sv.backends()[-2:] == (
        BackendStatus(
            "numpy",
            "third-party",
            "1.2",
            installed=True,
            usable=False,
            reason="the name is taken: pass the module third_z",
        ),
        BackendStatus("third-z", "third-party", "1.2", True, None, "not loaded"),
    )


def test_table_has_one_line_a_backend() -> None:
    table = BackendTable(
        [
            BackendStatus("numpy", "NumPy", "2.4.6", True, True),
            BackendStatus("torch", "PyTorch", None, False, False, "not there", "pip install it"),
            BackendStatus("theirs", "package", "1.0", True, None, "not loaded"),
        ]
    )
    assert repr(table).splitlines() == [
        "name    library  version  installed  usable  reason      install",
        "numpy   NumPy    2.4.6    yes        yes",
        "torch   PyTorch  -        no         no      not there   pip install it",
        "theirs  package  1.0      yes        -       not loaded",
    ]
    assert str(table) == repr(table)


def test_oldest_versions_are_those_of_the_package() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = [
        *PROJECT["dependencies"],
        *(
            requirement
            for name in ("torch", "cuda12", "cuda13", "test")
            for requirement in extras[name]
        ),
    ]
    for needed in _REQUIREMENTS.values():
        assert f"{needed.distributions[0]}>={needed.minimum}" in declared
