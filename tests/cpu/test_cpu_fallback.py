"""From the functions to the kernels: who goes there, and what serves where they cannot."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import softmax_variants as sv
from backend_support.variants import VARIANTS
from cpu_support.stand_in import StandIn
from softmax_variants_backends import _cpu, array_api
from softmax_variants_backends import numpy as numpy_backend
from softmax_variants_backends import torch as torch_backend
from softmax_variants_backends._cpu import _rows
from softmax_variants_backends._cpu._numpy_arrays import NumpyArrays
from softmax_variants_backends._cpu._rows import RowKernels
from softmax_variants_backends._cpu._torch_arrays import TorchArrays
from softmax_variants_backends.numpy import _rows as numpy_rows
from softmax_variants_backends.torch import _cpu_rows
from softmax_variants_backends.torch import cpu as cpu_backend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Have kernels that tell what they are called for."""
    own = StandIn()
    monkeypatch.setattr(_rows, "kernel", own.kernel)
    for_arrays, for_tensors = RowKernels(NumpyArrays()), RowKernels(TorchArrays())
    monkeypatch.setattr(numpy_backend, "kernels", lambda: for_arrays)
    monkeypatch.setattr(_cpu_rows, "kernels", lambda: for_tensors)
    return own


def test_numpy_arrays_go_to_the_kernels(stand_in: StandIn) -> None:
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=(3, 4)).astype(np.float32) for _ in range(2))
    options: dict[str, Any] = {"axis": 0, "where": rng.random((3, 4)) < 0.7, "s": 0.5, "b": 1.5}
    for count, variant in enumerate(VARIANTS, 1):
        out = np.empty_like(x)
        assert variant.weights(numpy_backend, x, out=out, **options) is out
        np.testing.assert_array_equal(out, variant.weights(array_api, x, **options))
        found = variant.gradients(numpy_backend, x, dy, **options)
        wanted = variant.gradients(array_api, x, dy, **options)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)
        assert len(stand_in.ranges) == 2 * count


def test_tensors_go_to_the_kernels(stand_in: StandIn) -> None:
    generator = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(3, 4, generator=generator, requires_grad=True) for _ in range(2))
    options: dict[str, Any] = {"axis": 0, "where": torch.rand(3, 4, generator=generator) < 0.7}
    for count, variant in enumerate(VARIANTS, 1):
        y = variant.weights(torch_backend, x, **options)
        assert torch.equal(y, variant.weights(array_api, x.detach(), **options))
        (dx,) = torch.autograd.grad(y, x, dy)
        wanted = variant.gradients(array_api, x.detach(), dy.detach(), **options)
        torch.testing.assert_close(dx, wanted[0])
        assert len(stand_in.ranges) == 2 * count


def test_out_of_pytorch(stand_in: StandIn) -> None:
    x = torch.linspace(-1.0, 1.0, 6).reshape(2, 3)
    out = torch.zeros(2, 3)
    weight = torch.ones(2, 3, requires_grad=True)
    product = (out * weight).sum()
    assert sv.softmax(x, out=out) is out
    assert len(stand_in.ranges) == 1
    # PyTorch sees that what it keeps for the derivative is no longer there.
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()
    with torch.inference_mode():
        inference = torch.zeros(2, 3)
        assert sv.softmax(x, out=inference) is inference
    torch.testing.assert_close(inference, out)


class Seen(TorchDispatchMode):
    """Sees operations, and lets them pass."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


class TestTensorsThatAreNotPlainMemory:
    """Operations of PyTorch serve them, which whoever follows those sees."""

    x = torch.linspace(-2.0, 1.0, 12).reshape(3, 4)

    def wanted(self, x: Any) -> Any:
        return array_api.softmax(x, axis=1, where=None, out=None)

    def test_modes(self, stand_in: StandIn) -> None:
        with Seen() as seen:
            y = sv.softmax(self.x)
            sv.softmax_vjp(self.x, self.x)
        assert seen.count
        assert not stand_in.ranges
        assert torch.equal(y, self.wanted(self.x))

    def test_transforms(self, stand_in: StandIn) -> None:
        batched = torch.func.vmap(lambda x: sv.softmax(x, axis=0))(self.x)
        assert torch.equal(batched, self.wanted(self.x))
        # What is inside of a transform, and has no part in it, is memory as ever.
        stand_in.ranges.clear()
        torch.func.vmap(lambda x: x + sv.softmax(self.x[0]))(self.x)
        assert len(stand_in.ranges) == 1

    def test_fake_tensors(self, stand_in: StandIn) -> None:
        with FakeTensorMode():
            assert sv.softmax(torch.empty(3, 4)).shape == (3, 4)
        assert sv.softmax(torch.empty(3, 4, device="meta")).is_meta
        assert not stand_in.ranges

    def test_negated(self, stand_in: StandIn) -> None:
        negated = torch.complex(self.x, -self.x).conj().imag
        assert negated.is_neg()
        assert torch.equal(sv.softmax(negated), self.wanted(self.x))
        assert not stand_in.ranges

    def test_zeros_that_are_not_stored(self, stand_in: StandIn) -> None:
        zeros: Any = torch._efficientzerotensor((3, 4))
        assert torch.equal(sv.softmax(zeros), torch.full((3, 4), 0.25))
        assert torch.equal(sv.softmax_vjp(self.x, zeros), torch.zeros(3, 4))
        assert not stand_in.ranges

    def test_other_classes(self, stand_in: StandIn) -> None:
        class Own(torch.Tensor):
            pass

        sv.softmax(self.x.as_subclass(Own))
        assert not stand_in.ranges
        sv.softmax(torch.nn.Parameter(self.x))
        assert len(stand_in.ranges) == 1


def test_what_kernels_do_not_take(stand_in: StandIn) -> None:
    number = 2**53 + 1
    x, dy = np.linspace(-1.0, 1.0, 12).reshape(3, 4), np.ones((3, 4))
    y = sv.ssmax(x, number, -number)
    np.testing.assert_array_equal(
        y, array_api.ssmax(x, number, -number, n=None, axis=1, where=None, out=None)
    )
    assert len(sv.ssmax_vjp(x, dy, number, 0.0)) == 3
    tensor = torch.from_numpy(x)
    np.testing.assert_array_equal(sv.ssmax(tensor, number, -number), y)
    for shape in ((0, 3), (3, 0)):
        empty = np.zeros(shape, np.float32)
        assert sv.softmax(empty).shape == sv.softmax_vjp(empty, empty).shape == shape
        dx, ds, db = sv.ssmax_vjp(empty, empty, np.ones((1, 1)), 0.5)
        assert (dx.shape, ds.shape, db.shape) == (shape, (1, 1), ())
        assert (ds.dtype, db.dtype) == (np.float64, np.float32)
        assert not ds.any()
        assert not db.any()
        assert sv.softmax(torch.from_numpy(empty)).shape == shape
    assert not stand_in.ranges


class TestWithoutNumba:
    @pytest.fixture(autouse=True)
    def gone(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setitem(sys.modules, "numba", None)
        for name in [name for name in sys.modules if name.startswith(f"{_cpu.__name__}.")]:
            monkeypatch.delitem(sys.modules, name)
        for load in (numpy_rows.kernels, _cpu_rows.kernels):
            load.cache_clear()
        yield
        for load in (numpy_rows.kernels, _cpu_rows.kernels):
            load.cache_clear()

    def test_other_numerics_serve_silently(self) -> None:
        x = np.linspace(-3.0, 2.0, 12, dtype=np.float32).reshape(3, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for variant in VARIANTS:
                wanted = variant.weights(array_api, x, axis=1)
                np.testing.assert_array_equal(variant.weights(numpy_backend, x, axis=1), wanted)
                tensor = torch.from_numpy(x)
                found = variant.weights(torch_backend, tensor, axis=1)
                np.testing.assert_array_equal(found, wanted)
                for one, other in zip(
                    variant.gradients(numpy_backend, x, x, axis=1),
                    variant.gradients(array_api, x, x, axis=1),
                    strict=True,
                ):
                    np.testing.assert_array_equal(one, other)
        assert numpy_rows.kernels() is None
        assert _cpu_rows.kernels() is None

    def test_claims(self) -> None:
        assert cpu_backend.CLAIMS == array_api.CLAIMS
        claims = {key: claim for key, claim in array_api.CLAIMS.items() if key[1] != "bfloat16"}
        assert claims == numpy_backend.CLAIMS


def test_claims_with_the_kernels() -> None:
    assert cpu_backend.CLAIMS == _cpu.CLAIMS
    assert cpu_backend.DEVICE == "cpu"
    assert numpy_backend.CLAIMS["ssmax", "float32"] == _cpu.CLAIMS["ssmax", "float32"]
    assert {dtype for _, dtype in numpy_backend.CLAIMS} == {"float16", "float32", "float64"}
    for backend in (numpy_backend, cpu_backend):
        with pytest.raises(AttributeError, match="CLAIM'"):
            _ = backend.CLAIM


def test_a_numba_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.3 or less')")
    code = f"""
import sys, warnings
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np
import softmax_variants as sv
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    for _ in range(2):
        print(sv.softmax(np.zeros(4)))
print(len(seen), seen[0].category.__name__, seen[0].message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    *values, warned = done.stdout.splitlines()
    assert values == ["[0.25 0.25 0.25 0.25]"] * 2
    assert warned == (
        "1 RuntimeWarning Numba cannot be used, and slower operations compute softmax variants: "
        "Numba needs NumPy 2.3 or less"
    )


def test_a_numba_whose_llvm_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{_cpu.__name__}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("llvmlite.binding.llvm_version_info", (15, 0, 7))
    from softmax_variants_backends._cpu._load import load

    message = "operations compute softmax variants: the kernels need Numba 0.62 or newer"
    with pytest.warns(RuntimeWarning, match=message):
        assert load(NumpyArrays()) is None


def test_import_loads_no_numba() -> None:
    code = (
        "import sys, numpy, softmax_variants, softmax_variants_backends.numpy; "
        "assert 'numba' not in sys.modules; "
        "import softmax_variants_backends.torch; assert 'numba' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
