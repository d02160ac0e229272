"""What each backend needs, and whether it is there: found out without importing a framework."""

from __future__ import annotations

import importlib.util
from dataclasses import astuple, dataclass, fields
from importlib import metadata

from ._catalogue import BACKEND_MODULES
from ._cpu_status import cpu_kernels_problem
from ._cuda_status import (
    NO_GPU,
    driver_library,
    driver_loads,
    gpu_problem,
    torch_kernels_problem,
)
from ._dispatch import ENTRY_POINT_GROUP
from ._versions import numbers

__all__ = ["BackendStatus", "BackendTable", "backends"]


@dataclass(frozen=True)
class BackendStatus:
    """One backend: what it runs on, and whether it can run here."""

    name: str
    """What ``backend=`` takes."""
    library: str
    """The array library; of a third party's backend, the package."""
    version: str | None
    """Version installed, None if none is known."""
    installed: bool
    """Whether the library is installed."""
    usable: bool | None
    """Whether the backend can be used here; None if only importing it could tell."""
    reason: str = ""
    """Why it is not usable, or not known to be, or does without its kernels."""
    install: str = ""
    """The command that mends this, where one does."""


_UNKNOWN = "unknown"
"""The version of a library whose package left no metadata; it is not judged by it."""

_CELLS = {True: "yes", False: "no", None: "-"}


class BackendTable(tuple[BackendStatus, ...]):
    """The backends, a tuple that prints as a table, one line a backend."""

    __slots__ = ()

    def __repr__(self) -> str:
        rows = [[field.name for field in fields(BackendStatus)]]
        rows += [[_CELLS.get(value, str(value)) for value in astuple(status)] for status in self]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


@dataclass(frozen=True)
class _Requirement:
    """The library that one of our backends needs."""

    title: str
    module: str
    distributions: tuple[str, ...]
    minimum: str
    """Oldest version supported, as the package metadata says it too."""
    install: str


_REQUIREMENTS = {
    "numpy": _Requirement(
        title="NumPy",
        module="numpy",
        distributions=("numpy",),
        minimum="2.0",
        install="pip install --upgrade numpy",
    ),
    "torch": _Requirement(
        title="PyTorch",
        module="torch",
        distributions=("torch",),
        minimum="2.6",
        install='pip install "softmax-variants[torch]"',
    ),
    "cupy": _Requirement(
        title="CuPy",
        module="cupy",
        # One distribution for each CUDA (or built from source), all with the module cupy.
        distributions=("cupy-cuda12x", "cupy-cuda13x", "cupy"),
        minimum="13.4",
        install='pip install "softmax-variants[cuda12]", for CUDA 13 [cuda13]',
    ),
    "jax": _Requirement(
        title="JAX",
        module="jax",
        distributions=("jax",),
        minimum="0.5",
        install="pip install --upgrade jax",
    ),
    "dask": _Requirement(
        title="Dask",
        module="dask",
        distributions=("dask",),
        minimum="2025.1",
        install='pip install --upgrade "dask[array]"',
    ),
    "array_api": _Requirement(
        title="any array-API namespace",
        module="array_api_compat",
        distributions=("array-api-compat",),
        minimum="1.12",
        install="pip install --upgrade array-api-compat",
    ),
}


def backends() -> BackendTable:
    """Return which backends there are, which can be used here, and what the others need.

    No array library is imported to find out. Backends that other packages register (entry points
    of the group ``softmax_variants.backends``) are listed, not loaded.

    Returns
    -------
    BackendTable
        A tuple of :class:`BackendStatus`, which prints as a table.

    Examples
    --------
    >>> import softmax_variants as sv
    >>> [status.name for status in sv.backends() if status.usable][0]
    'numpy'
    """
    own = [_own_status(name) for name in BACKEND_MODULES]
    others = sorted(metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)
    return BackendTable(own + [_third_party_status(entry) for entry in others])


def _own_status(name: str) -> BackendStatus:
    needed = _REQUIREMENTS[name]
    version = _version(needed)
    installed = version is not None
    reason, install = "", ""
    if version is None:
        reason, install = f"{needed.title} is not installed", needed.install
    elif version != _UNKNOWN and numbers(version) < numbers(needed.minimum):
        reason, install = f"{needed.title} is older than {needed.minimum}", needed.install
    elif name == "cupy" and not driver_loads():
        reason = f"the NVIDIA driver's library {driver_library()} cannot be loaded"
    elif name == "cupy" and gpu_problem() == NO_GPU:
        reason = NO_GPU
    usable = not reason
    if usable:
        reason, install = _without_kernels(name)
    return BackendStatus(name, needed.title, version, installed, usable, reason, install)


def _without_kernels(name: str) -> tuple[str, str]:
    """Return which kernels a usable backend does without, and why, and the command that helps.

    The array-API numerics serve in their place.
    """
    missing, extras = [], []
    if name in ("numpy", "torch"):
        problem, extra = cpu_kernels_problem()
        missing += [f"without CPU kernels: {problem}"] * bool(problem)
        extras += [extra] * bool(extra)
    if name in ("torch", "cupy"):
        problem, extra = torch_kernels_problem() if name == "torch" else (gpu_problem(), "")
        missing += [f"without CUDA kernels: {problem}"] * bool(problem)
        extras += [extra] * bool(extra)
    install = f'pip install "softmax-variants[{",".join(extras)}]"' if extras else ""
    return "; ".join(missing), install


def _third_party_status(entry: metadata.EntryPoint) -> BackendStatus:
    taken = entry.name in BACKEND_MODULES
    return BackendStatus(
        name=entry.name,
        library=entry.dist.name if entry.dist else entry.module,
        version=entry.dist.version if entry.dist else None,
        installed=True,
        usable=False if taken else None,
        reason=f"the name is taken: pass the module {entry.value}" if taken else "not loaded",
    )


def _version(needed: _Requirement) -> str | None:
    """Return the version of a library that is installed, None if it is not."""
    spec = importlib.util.find_spec(needed.module)
    if spec is None or spec.origin is None:  # a folder of that name, without a module in it
        return None
    for distribution in needed.distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return _UNKNOWN
