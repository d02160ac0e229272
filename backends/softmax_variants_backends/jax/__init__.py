"""The family on JAX arrays, one operation at a time or in programs that the user compiles.

With 64 bits enabled (``JAX_ENABLE_X64=1``) narrow dtypes are evaluated through binary64, without
them everything in two words of binary32. Reverse-mode derivatives are the vjp's, once; forward
mode and second derivatives raise. ``softmax_variants_backends.jax.compiled`` has the same
functions compiled by ``jax.jit``.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from softmax_variants_backends.array_api import CLAIMS as _WITH_FLOAT64

from ._functions import differentiable, gradients

__all__ = [
    "CLAIMS",
    "FLUSHES_SUBNORMALS",
    "NAMESPACE",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

NAMESPACE = "jax.numpy"


def _has_float64() -> bool:
    return bool(jnp.result_type(float) == jnp.float64)


def _flushing() -> tuple[str, ...]:
    """Return the dtypes whose subnormal numbers count as 0 on a CPU.

    There XLA sets the processor to take subnormal operands as 0 and to flush results to 0.
    Measured with JAX 0.10: binary32 2**-127 + 0 is 0, as is binary64 2**-1023 + 0. It counts where
    logits have the working type or its range; the casts of the other dtypes are our own.
    """
    return ("float64",) if _has_float64() else ("bfloat16", "float32")


def _claims() -> dict[tuple[str, str], str | float]:
    if _has_float64():
        return dict(_WITH_FLOAT64)
    return {
        (function, dtype): "tight" if dtype == "float32" else "faithful"
        for function, dtype in _WITH_FLOAT64
        if dtype != "float64"
    }


def __getattr__(name: str) -> Any:
    # They depend on the process's configuration, which may change after the import.
    if name == "CLAIMS":
        return _claims()
    if name == "FLUSHES_SUBNORMALS":
        return _flushing()
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def _no_out(out: Any) -> None:
    if out is not None:
        msg = "out must be None: JAX arrays cannot be written to"
        raise ValueError(msg)


def softmax(x: Any, *, axis: int, where: Any, out: None) -> Any:
    """Return softmax of ``x`` along ``axis``; see ``softmax_variants.softmax``."""
    _no_out(out)
    return differentiable("softmax", (x,), {"axis": axis, "where": where})


def ssmax(x: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: None) -> Any:
    """Return SSMax of ``x`` along ``axis``; see ``softmax_variants.ssmax``."""
    _no_out(out)
    return differentiable("ssmax", (x, s, b), {"n": n, "axis": axis, "where": where})


def sa_softmax(x: Any, *, form: str, detach_extrema: bool, axis: int, where: Any, out: None) -> Any:
    """Return SA-Softmax of ``x`` along ``axis``; see ``softmax_variants.sa_softmax``."""
    _no_out(out)
    gate = {"form": form, "detach_extrema": detach_extrema}
    return differentiable("sa_softmax", (x,), {**gate, "axis": axis, "where": where})


def softmax_vjp(x: Any, dy: Any, *, axis: int, where: Any) -> Any:
    """Return dx of softmax; see ``softmax_variants.softmax_vjp``."""
    return gradients("softmax_vjp", (x, dy), {"axis": axis, "where": where})


def ssmax_vjp(
    x: Any, dy: Any, s: Any, b: Any, *, n: Any, axis: int, where: Any
) -> tuple[Any, Any, Any]:
    """Return (dx, ds, db) of SSMax; see ``softmax_variants.ssmax_vjp``."""
    options = {"n": n, "axis": axis, "where": where}
    found: tuple[Any, Any, Any] = gradients("ssmax_vjp", (x, dy, s, b), options)
    return found


def sa_softmax_vjp(
    x: Any, dy: Any, *, form: str, detach_extrema: bool, axis: int, where: Any
) -> Any:
    """Return dx of SA-Softmax; see ``softmax_variants.sa_softmax_vjp``."""
    gate = {"form": form, "detach_extrema": detach_extrema}
    return gradients("sa_softmax_vjp", (x, dy), {**gate, "axis": axis, "where": where})
