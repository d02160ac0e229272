"""CuPy's array-API namespace with casts that keep subnormal numbers.

CuPy compiles its kernels with ``-ftz=true``: its own casts from and to float32 replace subnormal
numbers by 0. Instructions written out in PTX are compiled as they stand.
"""

from __future__ import annotations

from typing import Any

import array_api_compat.cupy as compat
import cupy

__all__ = ["namespace"]

_widen = cupy.ElementwiseKernel(
    "float32 x",
    "float64 y",
    'asm("cvt.f64.f32 %0, %1;" : "=d"(y) : "f"(x));',
    "softmax_variants_widen",
)
_narrow = cupy.ElementwiseKernel(
    "float64 x",
    "float32 y",
    'asm("cvt.rn.f32.f64 %0, %1;" : "=f"(y) : "d"(x));',
    "softmax_variants_narrow",
)
_KERNELS = {("float32", "float64"): _widen, ("float64", "float32"): _narrow}


class _Namespace:
    """The functions of ``array_api_compat.cupy``, with another ``astype``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(compat, name)

    @staticmethod
    def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
        """Return ``x`` as ``dtype``, rounded once, subnormal numbers kept."""
        kernel = _KERNELS.get((str(x.dtype), str(cupy.dtype(dtype))))
        if kernel is None or cupy.cuda.runtime.is_hip:
            return getattr(compat, "astype")(x, dtype, copy=copy)  # noqa: B009  (not in its stubs)
        return kernel(x)


namespace = _Namespace()
