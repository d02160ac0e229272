"""Which backend is called: by the library of the logits, by name, by module."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import array_api_strict
import dask.array as da
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import softmax_variants as sv
import softmax_variants_backends
from softmax_variants import _dispatch
from softmax_variants._catalogue import BACKEND_MODULES, FUNCTIONS
from softmax_variants._libraries import COMPAT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

X: Any = np.asarray([1.0, 2.0, -1.0])
T: Any = torch.asarray([1.0, 2.0, -1.0])
J: Any = jnp.asarray([1.0, 2.0, -1.0])
D: Any = da.from_array(X)  # type: ignore[no-untyped-call]
STRICT: Any = array_api_strict.asarray([1.0, 2.0, -1.0])


@pytest.fixture
def echoes(monkeypatch: pytest.MonkeyPatch, echo: Callable[..., ModuleType]) -> dict[str, Any]:
    """Return stand-ins for all of our backends, by name."""
    stand_ins: dict[str, Any] = {name: echo() for name in BACKEND_MODULES}
    for name, module in stand_ins.items():
        module.softmax = lambda x, *, name=name, **options: name
    monkeypatch.setattr(_dispatch, "_loaded", stand_ins)
    return stand_ins


def fails(error: type[Exception], message: str, x: Any, backend: Any) -> None:
    with pytest.raises(error) as caught:
        sv.softmax(x, backend=backend)
    assert str(caught.value) == message


@pytest.mark.usefixtures("echoes")
def test_backend_of_each_library() -> None:
    found: list[Any] = [sv.softmax(x) for x in (X, T, J, D, STRICT)]
    assert found == ["numpy", "torch", "jax", "dask", "array_api"]


@pytest.mark.usefixtures("echoes")
def test_subclasses_and_scalars_belong_to_their_library() -> None:
    found: list[Any] = [sv.softmax(torch.nn.Parameter(T)), sv.softmax(X.view(np.memmap))]
    assert found == ["torch", "numpy"]


def test_cupy_arrays_are_recognised_without_the_library(
    monkeypatch: pytest.MonkeyPatch, echoes: dict[str, Any]
) -> None:
    class ndarray:  # noqa: N801  (CuPy's name)
        def __init__(self, dtype: Any) -> None:
            self.shape, self.dtype = (3,), np.dtype(dtype)

    cupy: Any = ModuleType("cupy")
    cupy.ndarray = ndarray
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    found: Any = sv.softmax(ndarray(np.float32))
    assert found == "cupy"
    with pytest.raises(TypeError, match=r"^x must have dtype float16, float32 or float64, got bfl"):
        sv.softmax(ndarray(ml_dtypes.bfloat16))


def test_any_namespace_is_a_library_and_a_wrapper_stands_for_what_it_wraps(
    echoes: dict[str, Any], echo: Callable[..., ModuleType]
) -> None:
    class Array:
        shape, dtype, device = (3,), np.dtype(np.float32), "cpu"

        def __array_namespace__(self, api_version: str | None = None) -> ModuleType:
            return ModuleType("array_api_compat.wrapped.array")

    x: Any = Array()
    found: Any = sv.softmax(x)
    assert found == "array_api"
    assert sv.softmax(x, backend=echo("wrapped.array"))[0] == (x,)
    fails(ValueError, "backend 'numpy' is for NumPy arrays, got x of wrapped.array", x, "numpy")


@pytest.mark.usefixtures("echoes")
def test_array_api_backend_takes_any_array() -> None:
    found: list[Any] = [sv.softmax(x, backend="array_api") for x in (X, T, J, D, STRICT)]
    assert found == ["array_api"] * 5


def test_array_api_backend_computes_on_arrays_that_have_a_backend() -> None:
    for x in (X, J, D):
        found = np.asarray(sv.softmax(x, backend="array_api"))
        np.testing.assert_array_equal(found, sv.softmax(np.asarray(x)), strict=True)


@pytest.fixture
def stand_in_for_cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give our CuPy backend what it asks of CuPy when it is imported, and forget it after."""
    cupy = ModuleType("cupy")
    cupy.ElementwiseKernel = lambda *source: source  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", ModuleType("compat"))
    yield
    for module in [name for name in sys.modules if name.startswith(BACKEND_MODULES["cupy"])]:
        del sys.modules[module]
    vars(softmax_variants_backends).pop("cupy", None)


@pytest.mark.usefixtures("stand_in_for_cupy")
@pytest.mark.parametrize("name", BACKEND_MODULES)
def test_names_stand_for_the_modules_of_the_catalogue(name: str) -> None:
    module = _dispatch._import_own(name)
    assert module.__name__ == BACKEND_MODULES[name]
    for function in FUNCTIONS:
        assert callable(getattr(module, function.name))
        assert callable(getattr(module, function.vjp))
    # The suite goes by the namespace that the module states, the dispatch by its own table.
    if name != "array_api":
        stated: str = getattr(module, "NAMESPACE", "numpy")
        assert _dispatch._LIBRARIES[name] == stated.removeprefix(COMPAT_PREFIX)


def test_our_modules_are_told_by_their_names() -> None:
    from softmax_variants_backends import array_api
    from softmax_variants_backends import torch as torch_backend

    assert isinstance(sv.softmax(T, backend=array_api), torch.Tensor)
    fails(ValueError, "backend 'torch' is for PyTorch arrays, got x of NumPy", X, torch_backend)


def test_modules_for_jax_and_dask() -> None:
    from softmax_variants_backends import dask as dask_backend
    from softmax_variants_backends import jax as jax_backend
    from softmax_variants_backends.jax import compiled

    for x, module in ((J, jax_backend), (J, compiled), (D, dask_backend)):
        found = np.asarray(sv.softmax(x, backend=module))
        np.testing.assert_array_equal(found, np.asarray(sv.softmax(x)), strict=True)
    fails(ValueError, "backend 'jax' is for JAX arrays, got x of NumPy", X, jax_backend)
    fails(ValueError, "backend 'dask' is for Dask arrays, got x of JAX", J, dask_backend)
    name = "'softmax_variants_backends.jax.compiled'"
    fails(ValueError, f"backend {name} is for JAX arrays, got x of Dask", D, compiled)


def test_backend_of_another_library(echo: Callable[..., ModuleType]) -> None:
    fails(ValueError, "backend 'numpy' is for NumPy arrays, got x of PyTorch", T, "numpy")
    fails(ValueError, "backend 'torch' is for PyTorch arrays, got x of NumPy", X, "torch")
    fails(ValueError, "backend 'cupy' is for CuPy arrays, got x of NumPy", X, "cupy")
    fails(ValueError, "backend 'jax' is for JAX arrays, got x of Dask", D, "jax")
    fails(ValueError, "backend 'dask' is for Dask arrays, got x of JAX", J, "dask")
    fails(
        ValueError,
        "backend 'numpy' is for NumPy arrays, got x of array_api_strict",
        STRICT,
        "numpy",
    )
    # Modules say which library they are for; those that do not are for NumPy.
    fails(ValueError, "backend 'echo' is for JAX arrays, got x of NumPy", X, echo("jax.numpy"))
    silent = ModuleType("silent")
    fails(ValueError, "backend 'silent' is for NumPy arrays, got x of PyTorch", T, silent)


def test_module_for_a_wrapped_or_other_namespace(echo: Callable[..., ModuleType]) -> None:
    assert sv.softmax(T, backend=echo("array_api_compat.torch"))[0] == (T,)
    assert sv.softmax(STRICT, backend=echo("array_api_strict"))[0] == (STRICT,)


def test_missing_function() -> None:
    fails(NotImplementedError, "backend 'empty' has no function softmax", X, ModuleType("empty"))
    with pytest.raises(NotImplementedError, match=r"^backend 'empty' has no function ssmax_vjp$"):
        sv.ssmax_vjp(X, X, backend=ModuleType("empty"))


def test_unknown_name() -> None:
    fails(
        ValueError,
        "backend must be one of 'numpy', 'torch', 'cupy', 'jax', 'dask', 'array_api', a module or "
        "None, got 'nunpy'",
        X,
        "nunpy",
    )


def test_wrong_type() -> None:
    message = "backend must be the name of a backend, a module or None, got "
    fails(TypeError, message + "int 1", X, 1)
    fails(TypeError, message + "list", X, ["numpy"])


class TestEntryPoints:
    def test_name_of_a_third_party(self, install: Callable[..., None]) -> None:
        install(
            "third-party",
            "1.2",
            modules={"third_a": "def softmax(x, *, axis, where, out): return 'theirs'"},
            backends={"third-a": "third_a"},
        )
        found: Any = sv.softmax(X, backend="third-a")
        assert found == "theirs"
        fails(ValueError, "backend 'third_a' is for NumPy arrays, got x of PyTorch", T, "third-a")

    def test_installed_package_changes_no_numbers(self, install: Callable[..., None]) -> None:
        expected = sv.softmax(X)
        source = "raise RuntimeError('imported')"
        names = dict.fromkeys(("numpy", "torch", "array_api"), "third_b")
        install("third-party", "1.2", modules={"third_b": source}, backends=names)
        assert np.array_equal(sv.softmax(X), expected)
        assert np.array_equal(sv.softmax(X, backend="numpy"), expected)
        assert "third_b" not in sys.modules

    def test_unknown_names_list_the_registered(self, install: Callable[..., None]) -> None:
        install("third-party", "1.2", modules={}, backends={"third-c": "third_c"})
        fails(
            ValueError,
            "backend must be one of 'numpy', 'torch', 'cupy', 'jax', 'dask', 'array_api', "
            "'third-c', a module or None, got 'third'",
            X,
            "third",
        )

    def test_name_of_two_packages(self, install: Callable[..., None]) -> None:
        install("third-party", "1.2", modules={}, backends={"third-d": "third_d"})
        install("fourth-party", "1.0", modules={}, backends={"third-d": "fourth"})
        with pytest.raises(ValueError, match=r"^backend must be the name of one backend, got 't"):
            sv.softmax(X, backend="third-d")

    def test_broken_import(self, install: Callable[..., None]) -> None:
        backends = {"third-e": "third_e", "third-f": "third_e:kernels"}
        modules = {"third_e": "import a_missing_kernel"}
        install("third-party", "1.2", modules=modules, backends=backends)
        fails(
            ImportError,
            "backend 'third-e' (third_e) cannot be imported: No module named 'a_missing_kernel'",
            X,
            "third-e",
        )

    def test_no_module(self, install: Callable[..., None]) -> None:
        modules = {"third_g": "softmax = 3"}
        backends = {"third-g": "third_g:softmax", "third-h": "third_g:kernels"}
        install("third-party", "1.2", modules=modules, backends=backends)
        fails(
            TypeError,
            "backend 'third-g' (third_g:softmax) must be a module, got int 3",
            X,
            "third-g",
        )
        fails(
            ImportError,
            "backend 'third-h' (third_g:kernels) cannot be imported: "
            "module 'third_g' has no attribute 'kernels'",
            X,
            "third-h",
        )
