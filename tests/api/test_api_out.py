"""``out=``: who may be written into, and what it may share memory with."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import array_api_strict
import dask.array as da
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import softmax_variants as sv
from softmax_variants._memory import _overlaps_itself

if TYPE_CHECKING:
    from collections.abc import Callable

X: Any = np.zeros((2, 3))
T: Any = torch.zeros((2, 3))


def read_only() -> Any:
    array = np.zeros((2, 3))
    array.flags.writeable = False
    return array


def never_written(x: Any, library: str, article: str = "a") -> tuple[Any, Any, type, str]:
    """Return what happens to arrays of a library that ``out=`` is not for."""
    message = (
        f"out must be None where x is of {library} (only NumPy, CuPy and PyTorch arrays are "
        f"written into), got {article} {library} array of shape (2, 3) and dtype float32"
    )
    return x, x, TypeError, message


REFUSED = {
    "list": (X, [0.0], TypeError, "out must be a NumPy array or None, got list"),
    "library": (
        X,
        T,
        TypeError,
        "out must be a NumPy array like x, got a PyTorch array of shape (2, 3) and dtype float32",
    ),
    "dtype": (
        X,
        np.zeros((2, 3), np.float32),
        TypeError,
        "out must have x's dtype float64, got float32",
    ),
    "shape": (X, np.zeros((3, 2)), ValueError, "out must have x's shape (2, 3), got (3, 2)"),
    "read-only": (X, read_only(), ValueError, "out must be writable, got a read-only array"),
    "torch shape": (
        T,
        torch.zeros((3, 2)),
        ValueError,
        "out must have x's shape (2, 3), got (3, 2)",
    ),
    "device": (
        T,
        torch.zeros((2, 3), device="meta"),
        ValueError,
        "out must be on x's device cpu, got an array on meta",
    ),
    "expanded": (
        T,
        torch.zeros(3).expand(2, 3),
        ValueError,
        "out must not overlap itself, got an array in which elements share memory",
    ),
    "overlapping windows": (
        X,
        np.lib.stride_tricks.as_strided(np.zeros(4), (2, 3), (8, 8)),
        ValueError,
        "out must not overlap itself, got an array in which elements share memory",
    ),
    "requires grad": (
        T,
        torch.zeros((2, 3), requires_grad=True),
        ValueError,
        "out must not require grad, got a tensor with requires_grad=True",
    ),
    "strict": never_written(
        array_api_strict.zeros((2, 3), dtype=array_api_strict.float32), "array_api_strict", "an"
    ),
    "JAX": never_written(jnp.zeros((2, 3), "float32"), "JAX"),
    "Dask": never_written(da.zeros((2, 3), dtype="float32"), "Dask"),
}


@pytest.mark.parametrize(("x", "out", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(x: Any, out: Any, error: type[Exception], message: str) -> None:
    for function in (sv.softmax, sv.ssmax, sv.sa_softmax):
        with pytest.raises(error) as caught:
            function(x, out=out)
        assert str(caught.value) == message


def buffer(kind: str) -> Any:
    return np.zeros(64) if kind == "numpy" else torch.zeros(64, dtype=torch.float64)


def grid(memory: Any, offset: int, strides: tuple[int, int] = (3, 1)) -> Any:
    """Return a (2, 3) array within a buffer, at an offset and with strides in elements."""
    if isinstance(memory, np.ndarray):
        in_bytes = (8 * strides[0], 8 * strides[1])
        return np.lib.stride_tricks.as_strided(memory[offset:], (2, 3), in_bytes)
    return memory.as_strided((2, 3), strides, offset)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("offset", "strides"),
    [(0, (3, 1)), (6, (3, 1)), (6, (1, 2)), (50, (8, 2))],
    ids=["x itself", "just after", "just after, transposed", "far"],
)
def test_x_itself_or_disjoint(
    echo: Callable[..., ModuleType], kind: str, offset: int, strides: tuple[int, int]
) -> None:
    memory = buffer(kind)
    x, out = grid(memory, 0), grid(memory, offset, strides)
    assert sv.softmax(x, out=out, backend=echo(kind))[1]["out"] is out


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_interleaved_arrays_are_disjoint(echo: Callable[..., ModuleType], kind: str) -> None:
    memory = buffer(kind)
    x, out = grid(memory, 0, (6, 2)), grid(memory, 1, (6, 2))
    assert sv.softmax(x, out=out, backend=echo(kind))[1]["out"] is out


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("offset", "strides"),
    [(1, (3, 1)), (5, (3, 1)), (0, (1, 2)), (0, (6, 2))],
    ids=["shifted by one", "last element", "transposed in place", "every other"],
)
def test_partial_overlap_with_x(kind: str, offset: int, strides: tuple[int, int]) -> None:
    memory = buffer(kind)
    x, out = grid(memory, 0), grid(memory, offset, strides)
    with pytest.raises(ValueError, match=r"^out must be x itself or disjoint from it, got an arr"):
        sv.softmax(x, out=out)


def test_arrays_of_cupy_by_their_addresses(
    echo: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    class ndarray:  # noqa: N801  (CuPy's name)
        def __init__(self, array: Any) -> None:
            self.shape, self.strides, self.dtype = array.shape, array.strides, array.dtype
            self.device, self.data = 0, SimpleNamespace(ptr=array.ctypes.data)

    cupy: Any = ModuleType("cupy")
    cupy.ndarray = ndarray
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    memory = np.zeros(64)
    x: Any = ndarray(grid(memory, 0))
    for offset in (0, 6):
        out: Any = ndarray(grid(memory, offset))
        assert sv.softmax(x, out=out, backend=echo("cupy"))[1]["out"] is out
    with pytest.raises(ValueError, match=r"^out must be x itself or disjoint from it, got an arr"):
        sv.softmax(x, out=ndarray(grid(memory, 5)))
    empty: Any = ndarray(np.zeros((0, 3)))
    assert sv.softmax(empty, out=empty, backend=echo("cupy"))[1]["out"] is empty


def test_strides_of_axes_of_length_1_do_not_matter(echo: Callable[..., ModuleType]) -> None:
    memory = np.zeros(16)
    x = np.lib.stride_tricks.as_strided(memory, (1, 3), (800, 8))
    out = np.lib.stride_tricks.as_strided(memory, (1, 3), (24, 8))
    assert sv.softmax(x, out=out, backend=echo())[1]["out"] is out


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("argument", ["where", "s", "b", "n"])
def test_overlap_with_another_argument(kind: str, argument: str) -> None:
    memory = buffer(kind)
    x, out = grid(memory, 20), grid(memory, 0)
    if argument == "where":
        boolean = np.bool_ if kind == "numpy" else torch.bool
        value = memory.view(boolean)[40:43]
    else:
        value = memory[5:6]
    message = f"out must not overlap {argument}, got an array that shares memory with it"
    with pytest.raises(ValueError, match=f"^{message}$"):
        sv.ssmax(x, out=out, **{argument: value})


def test_empty_arrays_do_not_overlap(echo: Callable[..., ModuleType]) -> None:
    x = np.zeros((0, 3))
    assert sv.softmax(x, out=x[::-1], backend=echo())[1]["out"].size == 0
    t: Any = torch.zeros((0, 3))
    assert sv.softmax(t, out=t, backend=echo("torch"))[1]["out"] is t


def test_overlap_within_an_array_is_decided_exactly() -> None:
    # Against the addresses of all bytes, over layouts that no rule of thumb decides.
    generator = np.random.default_rng(20250218)
    verdicts = {True: 0, False: 0}
    for _ in range(500):
        shape = tuple(int(n) for n in generator.integers(1, 5, 3))
        strides = tuple(int(n) for n in generator.integers(-13, 14, 3))
        array = np.lib.stride_tricks.as_strided(np.zeros(400, np.uint8)[200:], shape, strides)
        offsets = [
            sum(i * s for i, s in zip(index, strides, strict=True)) for index in np.ndindex(*shape)
        ]
        overlaps = len(set(offsets)) < len(offsets)
        assert _overlaps_itself(array) == overlaps
        verdicts[overlaps] += 1
    assert min(verdicts.values()) > 100


def test_overlap_of_elements_of_several_bytes() -> None:
    memory = np.zeros(64, np.uint8)
    for step, overlaps in ((7, True), (8, False), (9, False)):
        array = np.ndarray((3,), np.float64, memory, 0, (step,))
        assert _overlaps_itself(array) == overlaps


class TestAutograd:
    MESSAGE = r"^out must be None where derivatives are recorded, got a tensor and {}"

    def test_recorded_inputs(self) -> None:
        recorded = torch.zeros((2, 3), requires_grad=True)
        s = torch.ones((2, 1), requires_grad=True)
        out = torch.empty((2, 3))
        with pytest.raises(ValueError, match=self.MESSAGE.format("x requires grad")):
            sv.softmax(recorded, out=out)
        with pytest.raises(ValueError, match=self.MESSAGE.format("s requires grad")):
            sv.ssmax(T, s, out=out)
        with pytest.raises(ValueError, match=self.MESSAGE.format("b requires grad")):
            sv.ssmax(T, b=s, out=out)

    def test_without_recording(self, echo: Callable[..., ModuleType]) -> None:
        out = torch.empty((2, 3))
        with torch.no_grad():
            _, options = sv.softmax(
                torch.zeros((2, 3), requires_grad=True), out=out, backend=echo("torch")
            )
        assert options["out"] is out

    # PyTorch's forward mode scripts functions of its own on first use.
    @pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
    def test_forward_mode(self) -> None:
        with pytest.raises(ValueError, match=self.MESSAGE.format("x has a forward-mode tangent")):
            torch.func.jvp(lambda t: sv.softmax(t, out=torch.empty((2, 3))), (T,), (T,))


def test_tensors_without_memory_pass(echo: Callable[..., ModuleType]) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    backend = echo("torch")
    meta: Any = torch.zeros((2, 3), device="meta")
    assert sv.softmax(meta, out=meta, backend=backend)[1]["out"] is meta
    with FakeTensorMode():
        fake: Any = torch.zeros((2, 3))
        assert sv.softmax(fake, out=fake, backend=backend)[1]["out"] is fake

    def call(t: Any) -> Any:
        assert sv.softmax(t, out=t, backend=backend)[1]["out"] is t
        return t

    assert torch.vmap(call)(T).shape == T.shape
