"""One function of the family with the options that are not tensors, and its numerics.

Weights and vjp's are computed by the row kernels for the CPU or for CUDA, where they take the
tensors, and elsewhere by the array-API backend, whatever derivatives are recorded around them. The
latter's functions are looked up at each call, so that other numerics can take their place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from softmax_variants_backends.array_api import _functions

from . import _cpu_rows, _cuda_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["Parameter", "Variant", "variant_of"]

Parameter: TypeAlias = "Tensor | float | None"
"""SSMax's s, b or n: a tensor, a Python number, or None where there is none."""


@dataclass(frozen=True)
class Variant:
    """A function of the family along an axis."""

    function: str
    axis: int
    form: str | None = None
    detach_extrema: bool = False

    def weights(
        self,
        x: Tensor,
        s: Parameter,
        b: Parameter,
        n: Parameter,
        where: Tensor | None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Return the weights of ``x``."""
        found: Tensor | None = None
        if x.is_cpu:
            found = _cpu_rows.weights(self, x, s, b, n, where, out)
        elif x.is_cuda:
            found = _cuda_rows.weights(self, x, s, b, n, where, out)
        if found is not None:
            return found
        compute: Callable[..., Tensor] = getattr(_functions, self.function)
        if self.function == "softmax":
            return compute(x, axis=self.axis, where=where, out=out)
        if self.function == "ssmax":
            return compute(x, s, b, n=n, axis=self.axis, where=where, out=out)
        return compute(x, axis=self.axis, where=where, out=out, **self._gate())

    def gradients(
        self,
        x: Tensor,
        dy: Tensor,
        s: Parameter,
        b: Parameter,
        n: Parameter,
        where: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """Return (dx,), of SSMax (dx, ds, db), by the vector-Jacobian product."""
        found: tuple[Tensor, ...] | None = None
        if x.is_cpu:
            found = _cpu_rows.gradients(self, x, dy, s, b, n, where)
        elif x.is_cuda:
            found = _cuda_rows.gradients(self, x, dy, s, b, n, where)
        if found is not None:
            return found
        compute: Callable[..., Any] = getattr(_functions, f"{self.function}_vjp")
        if self.function == "softmax":
            return (compute(x, dy, axis=self.axis, where=where),)
        if self.function == "ssmax":
            gradients: tuple[Tensor, ...] = compute(x, dy, s, b, n=n, axis=self.axis, where=where)
            return gradients
        return (compute(x, dy, axis=self.axis, where=where, **self._gate()),)

    def _gate(self) -> dict[str, Any]:
        return {"form": self.form, "detach_extrema": self.detach_extrema}

    def behind_batch(self) -> Variant:
        """Return the variant for tensors with one more axis in front."""
        return replace(self, axis=self.axis + 1)


@cache
def variant_of(
    function: str, axis: int, form: str | None = None, *, detach_extrema: bool = False
) -> Variant:
    """Return the variant, the same object each time: to make one takes a microsecond."""
    return Variant(function, axis, form, detach_extrema)
