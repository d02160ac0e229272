"""CuPy's launcher, on a CuPy of our own: what it compiles, launches, and hands on."""

from __future__ import annotations

import ctypes
import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import softmax_variants_backends
from softmax_variants_backends._cuda._compile import CompileError
from softmax_variants_backends._cuda._launch import Limits, Module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = Module("Half", "ssmax", gradients=True, parts=4)


class Array(np.ndarray[Any, Any]):
    @property
    def data(self) -> Any:  # type: ignore[override]
        return SimpleNamespace(ptr=self.ctypes.data)


class DriverError(RuntimeError):
    def __init__(self, status: int) -> None:
        super().__init__(f"CUDA error {status}")
        self.status = status


class NVRTCError(RuntimeError):
    pass


class CuPy:
    def __init__(self) -> None:
        self.launches: list[tuple[Any, ...]] = []
        self.attributes: list[tuple[int, int, int]] = []
        self.options: list[tuple[str, ...]] = []
        self.loaded: list[bytes] = []
        self.statuses: list[int] = []
        self.contexts = 0
        self.compiles = True
        fake: Any = ModuleType("cupy")
        fake.ndarray = lambda shape, dtype: np.empty(shape, dtype).view(Array)
        fake.empty_like = np.empty_like
        machine = self

        class CubinModule:
            def load(self, code: bytes) -> None:
                machine.loaded.append(code)

            def get_function(self, name: str) -> Any:
                return SimpleNamespace(ptr=77)

        fake.cuda = SimpleNamespace(
            driver=SimpleNamespace(
                launchKernel=self._launch,
                funcSetAttribute=lambda *setting: self.attributes.append(setting),
                CUDADriverError=DriverError,
            ),
            nvrtc=SimpleNamespace(
                getVersion=lambda: (13, 0),
                getSupportedArchs=lambda: [80, 90],
                createProgram=lambda *_: 3,
                compileProgram=self._compile,
                getCUBIN=lambda program: b"code",
                getProgramLog=lambda program: "error 1",
                destroyProgram=lambda program: None,
                NVRTCError=NVRTCError,
            ),
            runtime=SimpleNamespace(
                is_hip=False,
                driverGetVersion=lambda: 13000,
                memGetInfo=self._context,
                getDevice=lambda: 0,
            ),
            get_current_stream=lambda: SimpleNamespace(ptr=5),
            Device=lambda index: SimpleNamespace(
                compute_capability="90",
                attributes={"MaxSharedMemoryPerBlockOptin": 232448},
            ),
            Module=CubinModule,
        )
        self.module = fake

    def _launch(self, *arguments: Any) -> None:
        self.launches.append(arguments)
        if self.statuses and (status := self.statuses.pop(0)):
            raise DriverError(status)

    def _compile(self, program: int, options: tuple[str, ...]) -> None:
        self.options.append(options)
        if not self.compiles:
            raise NVRTCError("NVRTC_ERROR_COMPILATION (6)")

    def _context(self) -> None:
        self.contexts += 1


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[CuPy, Any]]:
    machine = CuPy()
    monkeypatch.setitem(sys.modules, "cupy", machine.module)
    monkeypatch.setenv("SOFTMAX_VARIANTS_CACHE", str(tmp_path))
    name = "softmax_variants_backends._cuda._launch_cupy"
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield machine, importlib.import_module(name)
    sys.modules.pop(name, None)


def test_a_launch(cupy: tuple[CuPy, Any]) -> None:
    machine, module = cupy
    launcher = module.launcher_on(0)
    assert launcher is module.launcher_on(0)
    assert launcher.limits == Limits((9, 0), 232448)
    kernel = launcher.kernel(ROWS, "rows_16", 5000)
    assert machine.attributes == [(77, 8, 232448), (77, 14, 1)]
    launcher.kernel(ROWS, "rows_4", 5000)
    assert len(machine.loaded) == 1
    # Options beyond ours would make other code than PyTorch's: CuPy's own flush subnormals.
    (options,) = machine.options
    assert "-ftz=false" in options
    assert "-ftz=true" not in options
    launcher.launch(kernel, 12, 256, 5000, b"argument")
    ((*place, pointers, extra),) = machine.launches
    assert place == [77, 12, 1, 1, 256, 1, 1, 5000, 5]
    assert extra == 0
    address = ctypes.c_void_p.from_address(pointers).value
    assert address is not None
    assert ctypes.string_at(address, 8) == b"argument"


def test_a_thread_without_a_context(cupy: tuple[CuPy, Any]) -> None:
    machine, module = cupy
    machine.statuses = [201, 0]
    module.launcher_on(0).launch(77, 1, 32, 0, b"")
    assert (len(machine.launches), machine.contexts) == (2, 1)


@pytest.mark.parametrize("statuses", [[700], [201, 700]])
def test_errors_are_cupys_own(statuses: list[int], cupy: tuple[CuPy, Any]) -> None:
    machine, module = cupy
    machine.statuses = statuses
    with pytest.raises(DriverError, match="700"):
        module.launcher_on(0).launch(77, 1, 32, 0, b"")


def test_a_source_that_does_not_compile(cupy: tuple[CuPy, Any]) -> None:
    machine, module = cupy
    machine.compiles = False
    with pytest.raises(CompileError, match="error 1"):
        module.launcher_on(0).kernel(ROWS, "rows_4", 5000)


def test_where_there_are_no_kernels(cupy: tuple[CuPy, Any]) -> None:
    machine, module = cupy
    parts: Any = machine.module.cuda

    def missing() -> Any:
        raise RuntimeError("libnvrtc.so.13: cannot open shared object file")

    parts.runtime.is_hip = True
    assert module.launcher_on(0) is None
    parts.runtime.is_hip = False
    parts.nvrtc.getSupportedArchs = lambda: [80]
    assert module.launcher_on(1) is None
    parts.nvrtc.getSupportedArchs = missing
    assert module.launcher_on(2) is None


def test_arrays(cupy: tuple[CuPy, Any]) -> None:
    _, module = cupy
    launcher = module.launcher_on(0)
    array = np.zeros((4, 6), np.float16).view(Array)[::-1, ::2]
    address, kind = launcher.locate(array)
    assert address == array.ctypes.data
    assert launcher.locate(array.copy())[1] != kind
    assert launcher.layout(array) == ((4, 3), (-6, 2), "float16")
    # A field of a record: no whole number of elements lies between two.
    field = np.zeros(4, [("flag", "u1"), ("x", "f4")])["x"].view(Array)
    assert launcher.layout(field).dtype not in ("float16", "float32", "float64")
    assert launcher.empty((2, 3), "float64").dtype == np.float64
    assert launcher.empty_like(array.copy()).flags.c_contiguous
    assert launcher.empty_like(np.zeros((3, 4)).T.view(Array)).strides == (8, 32)


class Kernels:
    """Takes everything, or nothing, and says on which device."""

    def __init__(self, machine: Any, *, taken: bool) -> None:
        self.machine, self.taken = machine, taken

    def weights(self, function: str, axis: int, form: str | None, *rest: Any) -> Any:
        return (function, axis, form, rest, self.machine.current) if self.taken else None

    def gradients(
        self, function: str, axis: int, form: str | None, detach_extrema: bool, *rest: Any
    ) -> Any:
        if not self.taken:
            return None
        found = (function, axis, form, detach_extrema, rest, self.machine.current)
        return (found, "ds", "db") if function == "ssmax" else (found,)


class TestBackend:
    """CuPy's backend, on the kernels and beside them."""

    @pytest.fixture(params=[True, False])
    def backend(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[tuple[Any, bool]]:
        machine = CuPy()
        fake = machine.module
        fake.ElementwiseKernel = lambda *source: source
        state = SimpleNamespace(current=0)

        class Device:
            def __init__(self, index: int) -> None:
                self.index = index

            def __enter__(self) -> None:
                self.before, state.current = state.current, self.index

            def __exit__(self, *_: object) -> None:
                state.current = self.before

        fake.cuda.Device = Device
        fake.cuda.runtime.getDevice = lambda: state.current
        monkeypatch.setitem(sys.modules, "cupy", fake)
        monkeypatch.setitem(sys.modules, "array_api_compat.cupy", ModuleType("compat"))
        name = "softmax_variants_backends.cupy"
        module: Any = importlib.import_module(name)
        rows: Any = importlib.import_module(f"{name}._rows")
        kernels = Kernels(state, taken=request.param)
        monkeypatch.setattr(rows, "kernels_on", lambda index: kernels if index < 2 else None)
        monkeypatch.setattr(module, "kernels_on", lambda index: kernels if request.param else None)

        class Operations:
            def __getattr__(self, function: str) -> Any:
                def call(*arguments: Any, xp: Any, **options: Any) -> Any:
                    return ("operations", function, arguments, options)

                return call

        monkeypatch.setattr(rows, "_functions", Operations())
        yield module, request.param
        for own in [own for own in sys.modules if own.startswith(name)]:
            del sys.modules[own]
        vars(softmax_variants_backends).pop("cupy", None)

    @pytest.mark.parametrize("device", [0, 1])
    def test_weights(self, device: int, backend: tuple[Any, bool]) -> None:
        module, taken = backend
        x: Any = SimpleNamespace(device=SimpleNamespace(id=device))
        common = {"axis": 1, "where": "mask", "out": "out"}
        gate = {"form": "plain", "detach_extrema": True}
        calls = [
            (module.softmax, (x,), {}, (None,) * 3),
            (module.ssmax, (x, "s", "b"), {"n": "n"}, ("s", "b", "n")),
            (module.sa_softmax, (x,), gate, (None,) * 3),
        ]
        for function, arguments, options, parameters in calls:
            got = function(*arguments, **options, **common)
            name = function.__name__
            if taken:
                form = options.get("form")
                assert got == (name, 1, form, (x, *parameters, "mask", "out"), device)
            else:
                assert got == ("operations", name, arguments, options | common)

    @pytest.mark.parametrize("device", [0, 1])
    def test_gradients(self, device: int, backend: tuple[Any, bool]) -> None:
        module, taken = backend
        x: Any = SimpleNamespace(device=SimpleNamespace(id=device))
        common = {"axis": 1, "where": "mask"}
        gate = {"form": "plain", "detach_extrema": True}
        calls = [
            (module.softmax_vjp, (x, "dy"), {}, (None,) * 3),
            (module.sa_softmax_vjp, (x, "dy"), gate, (None,) * 3),
        ]
        for function, arguments, options, parameters in calls:
            got = function(*arguments, **options, **common)
            name = function.__name__
            if taken:
                rest = (x, "dy", *parameters, "mask")
                detach = options.get("detach_extrema", False)
                form = options.get("form")
                assert got == (name.removesuffix("_vjp"), 1, form, detach, rest, device)
            else:
                assert got == ("operations", name, arguments, options | common)
        if taken:
            dx, ds, db = module.ssmax_vjp(x, "dy", "s", "b", n="n", **common)
            rest = (x, "dy", "s", "b", "n", "mask")
            assert (dx, ds, db) == (("ssmax", 1, None, False, rest, device), "ds", "db")

    def test_devices_without_kernels(self, backend: tuple[Any, bool]) -> None:
        module, _ = backend
        x: Any = SimpleNamespace(device=SimpleNamespace(id=2))
        assert module.softmax(x, axis=0, where=None, out=None)[0] == "operations"
        assert module.softmax_vjp(x, x, axis=0, where=None)[0] == "operations"

    def test_claims(self, backend: tuple[Any, bool]) -> None:
        module, taken = backend
        assert module.CLAIMS["softmax", "float32"] == 0.5 + 2.0 ** (-15 if taken else -13)
        assert {dtype for _, dtype in module.CLAIMS} == {"float16", "float32", "float64"}
        with pytest.raises(AttributeError, match="CLAIM"):
            _ = module.CLAIM
