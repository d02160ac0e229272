"""What the kernels for CPUs need, and whether it is there: found out without importing it."""

from __future__ import annotations

import importlib.util
from importlib import metadata

from ._versions import numbers

__all__ = ["NUMBA_MINIMUM", "cpu_kernels_problem"]

NUMBA_MINIMUM = "0.62"
"""Oldest version supported, as the package metadata says it too."""


def cpu_kernels_problem() -> tuple[str, str]:
    """Return why the kernels cannot serve, and the extra that helps; "" if nothing is known."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed", "cpu"
    try:
        version = metadata.version("numba")
    except metadata.PackageNotFoundError:  # it is not judged by it
        return "", ""
    if numbers(version) < numbers(NUMBA_MINIMUM):
        return f"Numba is older than {NUMBA_MINIMUM}", "cpu"
    return "", ""
