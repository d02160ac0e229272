"""What the CUDA kernels need, and whether it is there: found out without touching a GPU."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import re
import sys
from pathlib import Path

__all__ = ["NO_GPU", "driver_library", "driver_loads", "gpu_problem", "torch_kernels_problem"]

NO_GPU = "no NVIDIA GPU is found"

_CAPABILITY = (8, 0)
"""Compute capability that the kernels need."""


def driver_library() -> str:
    """Return the name of the driver's library."""
    return "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def driver_loads() -> bool:
    """Return whether NVIDIA's driver is installed."""
    # The library comes with the driver, not with CUDA or CuPy: where it loads, a driver is
    # installed. It is not initialised, which would tie this process to a GPU.
    return _loads(driver_library())


def torch_kernels_problem() -> tuple[str, str]:
    """Return why the kernels cannot serve PyTorch, and the extra that helps; "" if nothing.

    Nothing is the matter with a PyTorch that does not know CUDA.
    """
    cuda, hip = _torch_built_for()
    if hip is not None:
        return "they are for NVIDIA GPUs", ""
    if cuda is None:
        return "", ""
    if not driver_loads():
        return f"the NVIDIA driver's library {driver_library()} cannot be loaded", ""
    problem = gpu_problem()
    if problem:
        return problem, ""
    extra = "cuda12" if cuda.startswith("12.") else "cuda13"
    # Of a folder named cuda, or of CUDA's packages without this one, there is no such module.
    try:
        found = importlib.util.find_spec("cuda.bindings")
    except ModuleNotFoundError:
        found = None
    if found is None:
        return "cuda-bindings is not installed", extra
    return ("", "") if _nvrtc_loads() else ("CUDA's compiler NVRTC is not found", extra)


def gpu_problem() -> str:
    """Return what is the matter with the GPUs, "" if nothing is known to be."""
    capabilities = _capabilities()
    if capabilities is None:
        return ""
    if not capabilities:
        return NO_GPU
    if max(capabilities) < _CAPABILITY:
        have, need = (".".join(map(str, one)) for one in (max(capabilities), _CAPABILITY))
        return f"they need compute capability {need}, the GPU has {have}"
    return ""


def _torch_built_for() -> tuple[str | None, str | None]:
    """Return the versions of CUDA and of HIP that PyTorch is built for: its file says them."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None, None
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None, None
    found = (
        re.search(rf"^{name}\b.*=\s*'([^']+)'", text, re.MULTILINE) for name in ("cuda", "hip")
    )
    cuda, hip = (None if one is None else one.group(1) for one in found)
    return cuda, hip


def _nvrtc_loads() -> bool:
    # Where the bindings look for it, which pathfinder, their own package, knows.
    try:
        importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("nvrtc")
    except (ImportError, RuntimeError):
        return False
    return True


def _capabilities() -> list[tuple[int, int]] | None:
    """Return the GPUs' compute capabilities as the driver's management library knows them.

    It ties this process to no GPU. None if there is no such library.
    """
    name = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
    if not _loads(name):
        return None
    library = ctypes.CDLL(name)
    if library.nvmlInit_v2() != 0:
        return []
    try:
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return None
        found = []
        for index in range(count.value):
            device, major, minor = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
            if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) != 0:
                continue
            parts = ctypes.byref(major), ctypes.byref(minor)
            if library.nvmlDeviceGetCudaComputeCapability(device, *parts) == 0:
                found.append((major.value, minor.value))
        return found
    finally:
        library.nvmlShutdown()


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
