"""``backends()``: what is installed, what is usable, and if not why and what to install."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import tomllib
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import array_api_compat
import jax
import numpy as np
import pytest
import torch

import softmax_variants as sv
from softmax_variants import BackendStatus, BackendTable, _cuda_status
from softmax_variants._catalogue import BACKEND_MODULES
from softmax_variants._cpu_status import NUMBA_MINIMUM
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

    @pytest.mark.parametrize("gpus", [None, [(9, 0)], [(7, 5), (8, 0)]])
    def test_with_a_driver(
        self, gpus: list[tuple[int, int]] | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine(monkeypatch, gpus)
        assert status("cupy") == BackendStatus("cupy", "CuPy", "14.0.1", True, True)

    def test_without_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine(monkeypatch, [])
        found = status("cupy")
        assert (found.usable, found.reason) == (False, "no NVIDIA GPU is found")

    def test_old_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine(monkeypatch, [(7, 0), (7, 5)])
        found = status("cupy")
        assert found.usable
        assert found.reason == (
            "without CUDA kernels: they need compute capability 8.0, the GPU has 7.5"
        )


class TestKernelsForPyTorch:
    """PyTorch is usable either way; the reason says what its CUDA tensors do without."""

    @pytest.fixture(autouse=True)
    def cuda_build(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine(monkeypatch, [(9, 0)])
        built_for(monkeypatch, "13.0")
        monkeypatch.setattr(_cuda_status, "_nvrtc_loads", lambda: True)
        has_bindings(monkeypatch, there=True)

    def test_nothing_is_missing(self) -> None:
        assert status("torch") == BackendStatus("torch", "PyTorch", torch.__version__, True, True)

    def test_without_cuda(self, monkeypatch: pytest.MonkeyPatch) -> None:
        built_for(monkeypatch, None)
        has_bindings(monkeypatch, there=False)
        assert status("torch").reason == ""

    @pytest.mark.parametrize(("cuda", "extra"), [("12.6", "cuda12"), ("13.0", "cuda13")])
    def test_without_bindings(self, cuda: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
        built_for(monkeypatch, cuda)
        has_bindings(monkeypatch, there=False)
        found = status("torch")
        assert found.usable
        assert found.reason == "without CUDA kernels: cuda-bindings is not installed"
        assert found.install == f'pip install "softmax-variants[{extra}]"'

    def test_without_nvrtc(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_cuda_status, "_nvrtc_loads", lambda: False)
        found = status("torch")
        assert found.usable
        assert found.reason == "without CUDA kernels: CUDA's compiler NVRTC is not found"
        assert found.install == 'pip install "softmax-variants[cuda13]"'

    def test_amd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        built_for(monkeypatch, None, hip="6.4")
        found = status("torch")
        assert found.usable
        assert found.reason == "without CUDA kernels: they are for NVIDIA GPUs"

    @pytest.mark.parametrize(
        ("gpus", "reason"),
        [
            ([], "no NVIDIA GPU is found"),
            ([(7, 5)], "they need compute capability 8.0, the GPU has 7.5"),
        ],
    )
    def test_gpus(
        self, gpus: list[tuple[int, int]], reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine(monkeypatch, gpus)
        assert status("torch").usable
        assert status("torch").reason == f"without CUDA kernels: {reason}"

    def test_without_a_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine(monkeypatch, None, driver=False)
        assert status("torch").usable
        assert status("torch").reason.startswith("without CUDA kernels: the NVIDIA driver's lib")


def machine(
    monkeypatch: pytest.MonkeyPatch, gpus: list[tuple[int, int]] | None, *, driver: bool = True
) -> None:
    """Have a driver, and these GPUs; None where the management library is missing."""

    class Management:
        def nvmlInit_v2(self) -> int:  # noqa: N802
            return 0 if gpus else 9

        def nvmlShutdown(self) -> int:  # noqa: N802
            return 0

        def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
            count._obj.value = len(gpus or [])
            return 0

        def nvmlDeviceGetHandleByIndex_v2(self, index: int, device: Any) -> int:  # noqa: N802
            device._obj.value = index + 1
            return 0

        def nvmlDeviceGetCudaComputeCapability(  # noqa: N802
            self, device: Any, major: Any, minor: Any
        ) -> int:
            major._obj.value, minor._obj.value = (gpus or [])[device.value - 1]
            return 0

    def load(name: str) -> Any:
        found = driver if "cuda" in name else gpus is not None
        if not found:
            raise OSError(name)
        return Management()

    monkeypatch.setattr(ctypes, "CDLL", load)


def built_for(monkeypatch: pytest.MonkeyPatch, cuda: str | None, *, hip: str | None = None) -> None:
    monkeypatch.setattr(_cuda_status, "_torch_built_for", lambda: (cuda, hip))


def has_bindings(monkeypatch: pytest.MonkeyPatch, *, there: bool) -> None:
    find = importlib.util.find_spec

    def found(name: str) -> Any:
        if name != "cuda.bindings":
            return find(name)
        return find("torch") if there else None

    monkeypatch.setattr(importlib.util, "find_spec", found)


class TestNumba:
    """Without it, NumPy and PyTorch do without kernels on the CPU."""

    @pytest.fixture(autouse=True)
    def no_cuda(self, monkeypatch: pytest.MonkeyPatch) -> None:
        built_for(monkeypatch, None)

    @pytest.mark.parametrize("name", ["numpy", "torch"])
    def test_not_installed(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        before = status(name)
        assert not before.reason
        monkeypatch.setitem(sys.modules, "numba", None)
        assert status(name) == replace(
            before,
            reason="without CPU kernels: Numba is not installed",
            install='pip install "softmax-variants[cpu]"',
        )

    def test_too_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        version = metadata.version
        old = {"numba": "0.60.0"}
        monkeypatch.setattr(metadata, "version", lambda name: old.get(name) or version(name))
        assert status("numpy").usable
        assert status("numpy").reason == f"without CPU kernels: Numba is older than {NUMBA_MINIMUM}"
        old["numba"] = NUMBA_MINIMUM
        assert not status("numpy").reason

    def test_beside_what_cuda_lacks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        built_for(monkeypatch, "13.0")
        machine(monkeypatch, [(9, 0)])
        monkeypatch.setitem(sys.modules, "numba", None)
        has_bindings(monkeypatch, there=False)
        found = status("torch")
        assert found.reason == (
            "without CPU kernels: Numba is not installed; "
            "without CUDA kernels: cuda-bindings is not installed"
        )
        assert found.install == 'pip install "softmax-variants[cpu,cuda13]"'

    def test_oldest_version_is_that_of_the_package(self) -> None:
        assert PROJECT["optional-dependencies"]["cpu"] == [f"numba>={NUMBA_MINIMUM}"]


def test_what_pytorch_is_built_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("cuda", "hip"):
        assert (
            getattr(torch.version, name)
            == dict(zip(("cuda", "hip"), _cuda_status._torch_built_for(), strict=True))[name]
        )
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise RuntimeError('imported')")
    version = "__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\nhip = None\n"
    (tmp_path / "torch" / "version.py").write_text(version)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch")
    assert _cuda_status._torch_built_for() == ("13.0", None)


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
