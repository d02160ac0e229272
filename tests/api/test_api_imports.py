"""What importing and using the package imports: no framework that the user has not imported."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import softmax_variants as sv

FRAMEWORKS = frozenset({"torch", "cupy", "jax", "dask"})
FOREIGN = FRAMEWORKS | {"mpmath", "rich", "numba", "ml_dtypes", "array_api_strict"}


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that are loaded in a fresh interpreter after running code."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_loads_no_framework_and_no_backend() -> None:
    loaded = loaded_after("import softmax_variants")
    assert loaded.isdisjoint(FOREIGN)
    assert loaded.isdisjoint({"softmax_variants_backends", "softmax_variants_spec"})


@pytest.mark.parametrize(
    ("code", "loads"),
    [
        # The kernels for CPUs are Numba's.
        ("sv.softmax(np.ones(3))", {"numba"}),
        ("sv.ssmax_vjp(np.ones(3), np.ones(3))", {"numba"}),
        ("repr(sv.backends())", set()),
        ("from softmax_variants.__main__ import main; main(['backends'])", set()),
    ],
)
def test_use_with_numpy_loads_no_framework(code: str, loads: set[str]) -> None:
    loaded = loaded_after(f"import numpy as np; import softmax_variants as sv\n{code}")
    assert loaded & FOREIGN == loads


@pytest.mark.parametrize(
    ("library", "ones"), [("jax", "jax.numpy"), ("dask", "dask.array"), ("torch", "torch")]
)
def test_use_with_a_framework_loads_no_other(library: str, ones: str) -> None:
    loaded = loaded_after(
        f"import {ones} as xp; import softmax_variants as sv\n"
        "sv.softmax(xp.ones(3)); sv.softmax_vjp(xp.ones(3), xp.ones(3)); repr(sv.backends())"
    )
    assert loaded & FRAMEWORKS == {library}


def test_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert sv.__version__ == project["version"]


def test_everything_public_has_a_docstring() -> None:
    for name in sv.__all__:
        assert name == "__version__" or getattr(sv, name).__doc__


@pytest.mark.parametrize(
    ("name", "title"), [("torch", "PyTorch"), ("transformers", "the transformers library")]
)
def test_missing_framework_says_what_to_install(name: str, title: str) -> None:
    code = f"import sys; sys.modules['{name}'] = None; import softmax_variants.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    wanted = f'softmax_variants.{name} needs {title}: pip install "softmax-variants[{name}]"'
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: {wanted}"
