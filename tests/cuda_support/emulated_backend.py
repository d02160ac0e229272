"""The CUDA kernels as a backend of CPU tensors: what a GPU computes, without one.

``python -m softmax_variants conformance cuda_support.emulated_backend --smoke`` judges them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import softmax_variants_backends.torch as array_numerics
from cuda_support.emulated_launcher import EmulatedLauncher
from softmax_variants_backends._cuda._rows import RowKernels

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CLAIMS",
    "NAMESPACE",
    "EmulatedBackend",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

NAMESPACE = "torch"

_FUNCTIONS = ("softmax", "ssmax", "sa_softmax")

CLAIMS: dict[tuple[str, str], str | float] = {
    (function, dtype): 0.5 + 2.0**-15
    for function in _FUNCTIONS
    for dtype in ("float16", "bfloat16", "float32")
}
CLAIMS |= {(function, "float64"): "tight" for function in _FUNCTIONS}


class EmulatedBackend:
    """The six functions, on the kernels that one launcher runs."""

    NAMESPACE = NAMESPACE
    CLAIMS = CLAIMS

    def __init__(self, launcher: EmulatedLauncher) -> None:
        self.launcher = launcher
        self._kernels = RowKernels(launcher)

    def softmax(self, x: Tensor, *, axis: int, where: Any, out: Any) -> Tensor:
        y = self._kernels.weights("softmax", axis, None, x, None, None, None, where, out)
        if y is None:
            _explain(x)
            return array_numerics.softmax(x, axis=axis, where=where, out=out)
        return y

    def ssmax(
        self, x: Tensor, s: Any, b: Any, *, n: Any, axis: int, where: Any, out: Any
    ) -> Tensor:
        y = self._kernels.weights("ssmax", axis, None, x, s, b, n, where, out)
        if y is None:
            _explain(x, s, b)
            return array_numerics.ssmax(x, s, b, n=n, axis=axis, where=where, out=out)
        return y

    def sa_softmax(
        self, x: Tensor, *, form: str, detach_extrema: bool, axis: int, where: Any, out: Any
    ) -> Tensor:
        y = self._kernels.weights("sa_softmax", axis, form, x, None, None, None, where, out)
        if y is None:
            _explain(x)
            rest: Any = {"form": form, "detach_extrema": detach_extrema, "out": out}
            return array_numerics.sa_softmax(x, axis=axis, where=where, **rest)
        return y

    def softmax_vjp(self, x: Tensor, dy: Tensor, *, axis: int, where: Any) -> Tensor:
        found = self._kernels.gradients(
            "softmax", axis, None, False, x, dy, None, None, None, where
        )
        if found is None:
            _explain(x)
            return array_numerics.softmax_vjp(x, dy, axis=axis, where=where)
        dx: Tensor = found[0]
        return dx

    def ssmax_vjp(
        self, x: Tensor, dy: Tensor, s: Any, b: Any, *, n: Any, axis: int, where: Any
    ) -> tuple[Tensor, ...]:
        found = self._kernels.gradients("ssmax", axis, None, False, x, dy, s, b, n, where)
        if found is None:
            _explain(x, s, b)
            return array_numerics.ssmax_vjp(x, dy, s, b, n=n, axis=axis, where=where)
        return found

    def sa_softmax_vjp(
        self, x: Tensor, dy: Tensor, *, form: str, detach_extrema: bool, axis: int, where: Any
    ) -> Tensor:
        found = self._kernels.gradients(
            "sa_softmax", axis, form, detach_extrema, x, dy, None, None, None, where
        )
        if found is None:
            _explain(x)
            rest: Any = {"form": form, "detach_extrema": detach_extrema}
            return array_numerics.sa_softmax_vjp(x, dy, axis=axis, where=where, **rest)
        dx: Tensor = found[0]
        return dx


def _explain(x: Tensor, *parameters: Any) -> None:
    """Fail unless the kernels may leave this call to other numerics."""
    beyond = [own for own in parameters if isinstance(own, int) and not _is_float(own)]
    if x.numel() and not beyond:
        raise AssertionError(f"the kernels do not take {x.dtype} of {tuple(x.shape)}")


def _is_float(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


_backend = EmulatedBackend(EmulatedLauncher())
softmax, softmax_vjp = _backend.softmax, _backend.softmax_vjp
ssmax, ssmax_vjp = _backend.ssmax, _backend.ssmax_vjp
sa_softmax, sa_softmax_vjp = _backend.sa_softmax, _backend.sa_softmax_vjp
