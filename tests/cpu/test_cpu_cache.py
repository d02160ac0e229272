"""Compiled functions on disk: which sources they are kept for, and what cannot be kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from numba import config, types

from softmax_variants_backends import _cpu
from softmax_variants_backends._cpu._cache import compile_kept, digest, sources

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(_cpu.__file__).parent
COMPILED = ["_walk", "_intrinsics", "_memory", "_narrow_facts", "_wide_rows", "_layout"]
PLUMBING = ["_rows", "_plan", "_pool", "_deal", "_arrays", "_torch_arrays", "_parameters", "_load"]


def names(root: str) -> set[str]:
    return {path.stem for path in sources(FOLDER / f"{root}.py")}


def test_sources_are_those_that_are_imported() -> None:
    # What Python itself has loaded says whether one was overlooked.
    code = (
        f"import sys, {_cpu.__name__}._walk as walk; "
        "print(*(name for name in sys.modules if name.startswith(walk.__package__ + '.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.rpartition(".")[2] for name in done.stdout.split()} == names("_walk")
    assert names("_walk") >= set(COMPILED)
    assert not names("_walk") & set(PLUMBING)
    assert {"_sums", "_memory"} <= names("_sums")
    assert not names("_sums") & {"_walk", *PLUMBING}


def test_only_what_is_compiled_changes_the_digest(tmp_path: Path) -> None:
    def found() -> str:
        digest.cache_clear()
        return digest(tmp_path / "_walk.py")

    for path in FOLDER.glob("*.py"):
        shutil.copy(path, tmp_path)
    before = found()
    for name in PLUMBING:
        with (tmp_path / f"{name}.py").open("a") as file:
            file.write("# another one\n")
    assert found() == before
    for name in COMPILED:
        with (tmp_path / f"{name}.py").open("a") as file:
            file.write("# another one\n")
        after = found()
        assert after != before
        before = after
    digest.cache_clear()


@pytest.fixture(name="double")
def fixture_double(tmp_path: Path) -> Callable[[int], int]:
    """Return a function in a file of its own, beside which nothing can be kept."""
    (tmp_path / "double.py").write_text("def double(a):\n    return 2 * a\n")
    (tmp_path / "__pycache__").write_text("not a folder")
    spec = spec_from_file_location("double", tmp_path / "double.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[int], int] = module.double
    return found


def test_nowhere_to_keep_anything(
    double: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The user's own folder, and the one that is asked for, are below a file.
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "double.py" / "cache"))
    for name in ("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "double.py"))
    before = {path.name for path in tmp_path.iterdir()}
    assert compile_kept(double, types.int64(types.int64))(21) == 42
    assert {path.name for path in tmp_path.iterdir()} == before


def test_what_is_kept_serves_and_what_is_broken_is_compiled_again(
    double: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    signature = types.int64(types.int64)
    assert compile_kept(double, signature)(21) == 42
    index, code = sorted((tmp_path / "cache").rglob("*.nb?"))
    assert {index.suffix, code.suffix} == {".nbi", ".nbc"}
    for path in (index, code):
        kept = path.read_bytes()
        assert compile_kept(double, signature)(21) == 42
        assert path.read_bytes() == kept
        path.write_bytes(kept[: len(kept) // 2])
        assert compile_kept(double, signature)(21) == 42
        assert len(path.read_bytes()) > len(kept) // 2


def test_a_full_disk(
    double: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    assert compile_kept(double, types.int64(types.int64))(21) == 42
    assert not list((tmp_path / "cache").rglob("*.nb?"))
