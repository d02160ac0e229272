"""Kernels for rows on CPUs, compiled by Numba: for NumPy arrays and PyTorch tensors alike."""

from __future__ import annotations

__all__ = ["CLAIMS"]

CLAIMS: dict[tuple[str, str], str | float] = {
    (function, dtype): "tight" if dtype == "float64" else 0.5 + 2.0**-18
    for function in ("softmax", "ssmax", "sa_softmax")
    for dtype in ("float16", "bfloat16", "float32", "float64")
}
"""Accuracy class, or largest error in ULP, by function and dtype."""
