"""Where the kernels cannot serve, and what then does; their cache; errors that are not hidden."""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from cuda_support.emulated_launcher import EmulatedLauncher
from softmax_variants_backends import array_api
from softmax_variants_backends._cuda import _compile
from softmax_variants_backends._cuda._compile import CompileError, cubin_of, options_of, serves
from softmax_variants_backends._cuda._launch import Limits, Module
from softmax_variants_backends._cuda._rows import RowKernels
from softmax_variants_backends.torch import _cuda_rows, _variant
from softmax_variants_backends.torch import cuda as cuda_backend
from softmax_variants_backends.torch._plain import plain
from softmax_variants_backends.torch._variant import variant_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SUMS = Module("")
ROWS = Module("Half", "ssmax", gradients=True, parts=4)


class Compiler:
    """Compiles to its options, and counts."""

    def __init__(self, version: tuple[int, int] = (13, 0)) -> None:
        self.version = version
        self.compiled = 0

    def compile(self, source: str, options: Sequence[str], /) -> bytes:
        assert "KERNEL" in source
        self.compiled += 1
        return "\n".join([str(self.version), *options]).encode()


class TestCache:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("SOFTMAX_VARIANTS_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache" / "cuda"

    def test_compiled_once(self, folder: Path) -> None:
        compiler = Compiler()
        first = cubin_of(SUMS, (9, 0), compiler)
        assert cubin_of(SUMS, (9, 0), compiler) == first
        assert compiler.compiled == 1
        assert [path.suffix for path in folder.iterdir()] == [".cubin"]

    def test_whatever_changes_the_code_is_compiled_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compiler = Compiler()
        seen = {cubin_of(SUMS, (9, 0), compiler), cubin_of(SUMS, (8, 0), compiler)}
        seen |= {cubin_of(ROWS, (9, 0), compiler)}
        seen |= {cubin_of(ROWS._replace(parts=8), (9, 0), compiler)}
        newer = Compiler((13, 1))
        seen |= {cubin_of(SUMS, (9, 0), newer)}
        assert (len(seen), compiler.compiled, newer.compiled) == (5, 4, 1)
        source = _compile.source_of
        monkeypatch.setattr(_compile, "source_of", lambda module: source(module) + "//")
        cubin_of(SUMS, (9, 0), compiler)
        assert compiler.compiled == 5

    @pytest.mark.parametrize("damage", [b"", b"\0" * 32, b"half"])
    def test_a_damaged_file_is_replaced(self, damage: bytes, folder: Path) -> None:
        compiler = Compiler()
        whole = cubin_of(SUMS, (9, 0), compiler)
        (file,) = folder.iterdir()
        stored = file.read_bytes()
        file.write_bytes(damage or stored[:-1])
        assert cubin_of(SUMS, (9, 0), compiler) == whole
        assert file.read_bytes() == stored
        assert compiler.compiled == 2

    def test_a_folder_that_cannot_be_written(self, folder: Path) -> None:
        folder.parent.write_text("a file in its place")
        compiler = Compiler()
        assert cubin_of(SUMS, (9, 0), compiler) == cubin_of(SUMS, (9, 0), compiler)
        assert compiler.compiled == 2

    def test_a_full_disk(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> Any:
            raise OSError("no space left on device")

        monkeypatch.setattr("pathlib.Path.replace", full)
        assert cubin_of(SUMS, (9, 0), Compiler())
        assert not list(folder.iterdir())

    def test_a_user_without_a_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nobody() -> Any:
            raise RuntimeError("Could not determine home directory.")

        for name in ("SOFTMAX_VARIANTS_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("pathlib.Path.home", nobody)
        assert cubin_of(SUMS, (9, 0), Compiler())

    @pytest.mark.parametrize(
        ("platform", "variable"), [("linux", "XDG_CACHE_HOME"), ("win32", "LOCALAPPDATA")]
    )
    def test_the_platforms_folder(
        self, platform: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SOFTMAX_VARIANTS_CACHE")
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(variable, str(tmp_path))
        cubin_of(SUMS, (9, 0), Compiler())
        assert len(list((tmp_path / "softmax_variants" / "cuda").iterdir())) == 1

    def test_threads_that_start_together(self) -> None:
        compiler, found = Compiler(), []
        threads = [
            threading.Thread(target=lambda: found.append(cubin_of(SUMS, (9, 0), compiler)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(found), len(set(found)), compiler.compiled) == (8, 1, 1)


def test_options() -> None:
    options = options_of(ROWS, (9, 0))
    assert {"-arch=sm_90", "-fmad=false", "-ftz=false", "-std=c++17"} <= {*options}
    assert {"-DSTORAGE=Half", "-DFUNCTION=SSMAX", "-DGRADIENTS=1", "-DPARTS=4"} <= {*options}
    assert "-arch=sm_120" in options_of(SUMS, (12, 0))
    assert not any(option.startswith("-D") for option in options_of(SUMS, (12, 0)))


@pytest.mark.parametrize(
    ("capability", "compiler", "driver", "expected"),
    [
        ((9, 0), (13, 0), 13000, True),
        ((8, 0), (12, 4), 13010, True),
        ((9, 0), (13, 2), 13000, True),
        ((7, 5), (13, 0), 13000, False),
        ((12, 1), (13, 0), 13000, False),  # a GPU that the compiler does not know
        ((9, 0), (13, 0), 12080, False),  # a driver that is older than the compiler's CUDA
    ],
)
def test_what_serves(
    capability: tuple[int, int], compiler: tuple[int, int], driver: int, expected: bool
) -> None:
    architectures = [75, 80, 86, 89, 90, 100, 120]
    found = serves(capability, compiler=compiler, architectures=architectures, driver=driver)
    assert found is expected


def test_kernels_that_do_not_compile() -> None:
    class Broken(EmulatedLauncher):
        def kernel(self, module: Module, name: str, shared: int, /) -> Any:
            raise CompileError("rows.cu(1): error: no")

    kernels = RowKernels(Broken())
    x = torch.randn(3, 4)
    with pytest.warns(RuntimeWarning, match=r"softmax do not compile here.*error: no"):
        assert kernels.weights("softmax", 1, None, x, *[None] * 5) is None
    # Said once.
    assert kernels.weights("softmax", 0, None, x, *[None] * 5) is None
    assert kernels.weights("softmax", 1, None, x, *[None] * 5) is None


def test_errors_of_a_launch_are_not_hidden() -> None:
    class Failing(EmulatedLauncher):
        def launch(self, *_: Any) -> None:
            raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")

    kernels = RowKernels(Failing())
    x = torch.randn(3, 4)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="ILLEGAL_ADDRESS"):
            kernels.weights("softmax", 1, None, x, *[None] * 5)


class TestPyTorch:
    """PyTorch's way to the kernels, on tensors of the CPU."""

    @pytest.fixture(autouse=True)
    def launcher(self, monkeypatch: pytest.MonkeyPatch) -> EmulatedLauncher:
        launcher = EmulatedLauncher()
        kernels = RowKernels(launcher)
        monkeypatch.setattr(_cuda_rows, "kernels_on", lambda index: kernels)
        monkeypatch.setattr(_cuda_rows, "_current_device", lambda: -1)
        return launcher

    def weights(self, x: Any, s: Any = 1.0, where: Any = None, out: Any = None) -> Any:
        return _cuda_rows.weights(variant_of("ssmax", 1), x, s, 0.0, None, where, out)

    def gradients(self, x: Any, dy: Any, s: Any = 1.0) -> Any:
        return _cuda_rows.gradients(variant_of("ssmax", 1), x, dy, s, 0.0, None, None)

    def test_plain_tensors(self, launcher: EmulatedLauncher) -> None:
        x = torch.randn(3, 4)
        assert self.weights(x, torch.nn.Parameter(torch.ones(()))) is not None
        assert self.gradients(x, x) is not None
        assert launcher.launched == ["rows", "rows", "sum_terms"]

    def test_no_kernels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_cuda_rows, "kernels_on", lambda index: None)
        x = torch.randn(3, 4)
        assert self.weights(x) is None
        assert self.gradients(x, x) is None

    def test_tensors_that_are_not_their_memory(self) -> None:
        class Own(torch.Tensor):
            pass

        x = torch.randn(3, 4)
        mirrored = torch.complex(x, x).conj().imag  # stored with the other sign
        assert mirrored.is_neg()
        for other in (mirrored, x.as_subclass(Own)):
            assert self.weights(other) is None
            assert self.weights(x, s=other[:, :1]) is None
            assert self.gradients(x, other) is None

    def test_tensors_of_another_device(self) -> None:
        x = torch.randn(3, 4)
        assert not plain(0, (x, None, 1.0))
        assert plain(x.get_device(), (x, None, 1.0))

    def test_who_follows_operations_sees_them(self) -> None:
        class Mode(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                return func(*args, **(kwargs or {}))

        x = torch.randn(3, 4)
        with Mode():
            assert self.weights(x) is None
        assert self.weights(x) is not None
        seen: list[Any] = []

        def traced(x: torch.Tensor) -> torch.Tensor:
            seen.append(self.weights(x))
            return x + 1.0

        with pytest.warns(DeprecationWarning, match="trace"):
            torch.jit.trace(traced, (x,), check_trace=False)
        assert seen == [None]

    def test_tensors_of_a_transform(self) -> None:
        seen = []

        def per_row(row: torch.Tensor) -> torch.Tensor:
            seen.append(_cuda_rows.weights(variant_of("softmax", 0), row, *[None] * 5))
            return row

        torch.vmap(per_row)(torch.randn(3, 4))
        assert seen == [None]

    def test_out_is_a_change_in_place(self) -> None:
        x, out = torch.randn(3, 4), torch.zeros(3, 4)
        before = out._version
        assert self.weights(x, out=out) is out
        assert out._version > before
        with torch.inference_mode():
            inference = torch.zeros(3, 4)
        assert self.weights(x, out=inference) is inference

    def test_another_device_is_made_current(
        self, monkeypatch: pytest.MonkeyPatch, launcher: EmulatedLauncher
    ) -> None:
        entered = []

        class Device:
            def __init__(self, index: int) -> None:
                self.index = index

            def __enter__(self) -> None:
                entered.append((self.index, len(launcher.launched)))

            def __exit__(self, *_: object) -> None:
                entered.append((self.index, len(launcher.launched)))

        monkeypatch.setattr(_cuda_rows, "_current_device", lambda: 1)
        monkeypatch.setattr(torch.cuda, "device", Device)
        x = torch.randn(3, 4)
        assert self.weights(x) is not None
        assert self.gradients(x, x) is not None
        assert entered == [(-1, 0), (-1, 1), (-1, 1), (-1, 3)]


class TestVariant:
    """Tensors of CUDA go to the kernels, what they do not take and all others go on."""

    @pytest.mark.parametrize("taken", [True, False])
    def test_cuda(self, taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        x: Any = SimpleNamespace(is_cpu=False, is_cuda=True)
        variant = variant_of("softmax", 0)
        monkeypatch.setattr(_cuda_rows, "weights", lambda *_: "kernels" if taken else None)
        monkeypatch.setattr(_cuda_rows, "gradients", lambda *_: ("kernels",) if taken else None)
        monkeypatch.setattr(_variant._functions, "softmax", lambda *_, **__: "operations")
        monkeypatch.setattr(_variant._functions, "softmax_vjp", lambda *_, **__: "operations")
        expected: Any = "kernels" if taken else "operations"
        assert variant.weights(x, None, None, None, None) == expected
        assert variant.gradients(x, x, None, None, None, None) == (expected,)

    def test_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def never(*_: Any) -> Any:
            raise AssertionError

        monkeypatch.setattr(_cuda_rows, "weights", never)
        monkeypatch.setattr(_cuda_rows, "gradients", never)
        x = torch.randn(4)
        variant = variant_of("softmax", 0)
        assert variant.weights(x, None, None, None, None).shape == x.shape
        assert len(variant.gradients(x, x, None, None, None, None)) == 1


class Status(int):
    """A status of the bindings."""

    @property
    def name(self) -> str:
        return {0: "CUDA_SUCCESS", 201: "CUDA_ERROR_INVALID_CONTEXT"}.get(self, "CUDA_ERROR_OTHER")

    @property
    def value(self) -> int:
        return int(self)


class Bindings:
    """``cuda.bindings`` on a machine of our own."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.architectures = [80, 90]
        self.launch_statuses: list[int] = []
        self.log = b""
        self.driver = self._module(
            "driver",
            cuDeviceGet=0,
            cuDevicePrimaryCtxRetain="context",
            cuDeviceGetAttribute=232448,
            cuDriverGetVersion=13000,
            cuLibraryLoadData="library",
            cuLibraryGetKernel=77,
            cuKernelSetAttribute=None,
            cuCtxSetCurrent=None,
        )
        self.driver.CUresult = type(
            "CUresult", (Status,), {"CUDA_SUCCESS": 0, "CUDA_ERROR_INVALID_CONTEXT": 201}
        )
        self.driver.CUfunction = lambda address: ("function", address)
        self.driver.CUdevice_attribute = SimpleNamespace(
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN=97
        )
        self.driver.CUfunction_attribute = SimpleNamespace(
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="shared",
            CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED="clusters",
        )
        self.driver.cuLaunchKernel = self._launch
        self.driver.cuGetErrorString = lambda status: (0, b"what it means")
        self.nvrtc = self._module(
            "nvrtc",
            nvrtcVersion=(13, 0),
            nvrtcCreateProgram="program",
            nvrtcDestroyProgram=None,
            nvrtcGetCUBINSize=5,
            nvrtcGetCUBIN=None,
            nvrtcGetProgramLogSize=8,
        )
        self.nvrtc.nvrtcResult = SimpleNamespace(NVRTC_SUCCESS=0)
        self.nvrtc.nvrtcGetSupportedArchs = lambda: (Status(0), self.architectures)
        self.nvrtc.nvrtcCompileProgram = lambda *_: (Status(6 if self.log else 0),)
        self.nvrtc.nvrtcGetProgramLog = self._write_log

    def _module(self, name: str, **results: Any) -> Any:
        module: Any = ModuleType(name)
        for function, result in results.items():
            setattr(module, function, self._function(function, result))
        return module

    def _function(self, name: str, result: Any) -> Any:
        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append((name, *arguments))
            values = () if result is None else result if isinstance(result, tuple) else (result,)
            return (Status(0), *values)

        return call

    def _launch(self, *arguments: Any) -> tuple[Any]:
        self.calls.append(("cuLaunchKernel", *arguments))
        status = self.launch_statuses.pop(0) if self.launch_statuses else 0
        return (self.driver.CUresult(status),)

    def _write_log(self, program: Any, log: bytearray) -> tuple[Any]:
        log[: len(self.log)] = self.log
        return (Status(0),)

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


class TestBindings:
    @pytest.fixture
    def bindings(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> Iterator[tuple[Bindings, Any]]:
        bindings = Bindings()
        package: Any = ModuleType("cuda.bindings")
        package.driver, package.nvrtc = bindings.driver, bindings.nvrtc
        monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
        monkeypatch.setitem(sys.modules, "cuda.bindings", package)
        monkeypatch.setenv("SOFTMAX_VARIANTS_CACHE", str(tmp_path))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
        name = "softmax_variants_backends._cuda._launch_torch"
        monkeypatch.delitem(sys.modules, name, raising=False)
        module: Any = importlib.import_module(name)
        monkeypatch.setattr(module, "_current_stream", lambda index: 5)
        yield bindings, module
        sys.modules.pop(name, None)

    def test_a_launch(self, bindings: tuple[Bindings, Any]) -> None:
        machine, module = bindings
        launcher = module.launcher_on(0)
        assert launcher is module.launcher_on(0)
        assert launcher.limits == Limits((9, 0), 232448)
        kernel = launcher.kernel(ROWS, "rows_16", 5000)
        assert kernel == ("function", 77)
        settings = [call[:2] for call in machine.named("cuKernelSetAttribute")]
        assert settings == [("shared", 232448), ("clusters", 1)]
        launcher.kernel(ROWS, "rows_4", 5000)
        assert len(machine.named("cuLibraryLoadData")) == 1
        assert len(machine.named("cuKernelSetAttribute")) == 3
        launcher.launch(kernel, 12, 256, 5000, b"argument")
        ((*place, pointers, extra),) = machine.named("cuLaunchKernel")
        assert place == [kernel, 12, 1, 1, 256, 1, 1, 5000, 5]
        assert extra == 0
        address = ctypes.c_void_p.from_address(pointers).value
        assert address is not None
        assert ctypes.string_at(address, 8) == b"argument"

    def test_a_thread_without_a_context(self, bindings: tuple[Bindings, Any]) -> None:
        machine, module = bindings
        launcher = module.launcher_on(0)
        machine.launch_statuses = [201, 0]
        launcher.launch("kernel", 1, 32, 0, b"")
        assert machine.named("cuCtxSetCurrent") == [("context",)]
        assert len(machine.named("cuLaunchKernel")) == 2

    @pytest.mark.parametrize("statuses", [[700], [201, 700]])
    def test_errors(self, statuses: list[int], bindings: tuple[Bindings, Any]) -> None:
        machine, module = bindings
        launcher = module.launcher_on(0)
        machine.launch_statuses = statuses
        with pytest.raises(RuntimeError, match=r"^CUDA_ERROR_OTHER: what it means$"):
            launcher.launch("kernel", 1, 32, 0, b"")

    def test_a_source_that_does_not_compile(self, bindings: tuple[Bindings, Any]) -> None:
        machine, module = bindings
        launcher = module.launcher_on(0)
        machine.log = b"error 1"
        with pytest.raises(CompileError, match=r"error 1$"):
            launcher.kernel(ROWS, "rows_4", 5000)
        assert machine.named("nvrtcDestroyProgram") == [("program",)]

    def test_a_gpu_that_the_compiler_does_not_know(self, bindings: tuple[Bindings, Any]) -> None:
        machine, module = bindings
        machine.architectures = [80]
        assert module.launcher_on(0) is None

    def test_no_compiler(self, bindings: tuple[Bindings, Any]) -> None:
        machine, module = bindings

        def missing() -> Any:
            raise RuntimeError("Failure finding libnvrtc.so")

        machine.nvrtc.nvrtcGetSupportedArchs = missing
        assert module.launcher_on(0) is None


class TestKernelsOn:
    @pytest.fixture(autouse=True)
    def forget(self) -> Iterator[None]:
        _cuda_rows.kernels_on.cache_clear()
        yield
        _cuda_rows.kernels_on.cache_clear()

    def launcher_is(self, launcher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        module: Any = ModuleType("launch")
        module.launcher_on = lambda index: launcher
        monkeypatch.setitem(sys.modules, "softmax_variants_backends._cuda._launch_torch", module)

    def test_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.launcher_is(EmulatedLauncher(), monkeypatch)
        assert isinstance(_cuda_rows.kernels_on(0), RowKernels)

    def test_amd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.launcher_is(EmulatedLauncher(), monkeypatch)
        monkeypatch.setattr(torch.version, "hip", "6.4")
        assert _cuda_rows.kernels_on(0) is None

    def test_no_compiler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.launcher_is(None, monkeypatch)
        assert _cuda_rows.kernels_on(0) is None

    def test_no_bindings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cuda", None)
        name = "softmax_variants_backends._cuda._launch_torch"
        monkeypatch.delitem(sys.modules, name, raising=False)
        assert _cuda_rows.kernels_on(0) is None


class TestClaims:
    """What is claimed of CUDA tensors is claimed where the kernels serve them."""

    @pytest.mark.parametrize("there", [True, False])
    def test_pytorch(self, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(cuda_backend, "kernels_on", lambda index: "kernels" if there else None)
        self.check(cuda_backend.CLAIMS, there)

    def test_pytorch_without_a_gpu(self) -> None:
        assert cuda_backend.DEVICE == "cuda"
        self.check(cuda_backend.CLAIMS, there=torch.cuda.is_available())
        with pytest.raises(AttributeError, match="CLAIM"):
            _ = cuda_backend.CLAIM

    def check(self, claims: dict[tuple[str, str], str | float], there: bool) -> None:
        assert claims.keys() == array_api.CLAIMS.keys()
        assert claims["softmax", "float32"] == 0.5 + 2.0 ** (-15 if there else -13)
        assert claims["ssmax", "float64"] == "tight"
