"""Weights and gradients of tensors on the CPU by the row kernels.

None stands for what they do not take, for the array-API numerics: no Numba, tensors that are not
plain memory.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from torch.autograd.graph import increment_version

from softmax_variants_backends._cpu._load import load

from ._plain import plain

if TYPE_CHECKING:
    from torch import Tensor

    from softmax_variants_backends._cpu._rows import RowKernels

    from ._variant import Parameter, Variant

__all__ = ["gradients", "kernels", "weights"]

_CPU = -1

# PyTorch's own annotations leave it out.
_increment_version: Any = increment_version


@cache
def kernels() -> RowKernels | None:
    """Return the kernels, None if they cannot be had."""
    from softmax_variants_backends._cpu._torch_arrays import TorchArrays

    return load(TorchArrays())


def weights(
    variant: Variant,
    x: Tensor,
    s: Parameter,
    b: Parameter,
    n: Parameter,
    where: Tensor | None,
    out: Tensor | None,
) -> Tensor | None:
    """Return the weights, in ``out`` if given."""
    rows = kernels()
    if rows is None or not plain(_CPU, (x, s, b, n, where, out)):
        return None
    value: Tensor | None = rows.weights(
        variant.function, variant.axis, variant.form, x, s, b, n, where, out
    )
    if out is not None and value is not None and not out.is_inference():
        # Autograd is to see that a tensor it keeps has changed.
        _increment_version(out)
    return value


def gradients(
    variant: Variant,
    x: Tensor,
    dy: Tensor,
    s: Parameter,
    b: Parameter,
    n: Parameter,
    where: Tensor | None,
) -> tuple[Tensor, ...] | None:
    """Return (dx,), of SSMax (dx, ds, db)."""
    rows = kernels()
    if rows is None or not plain(_CPU, (x, dy, s, b, n, where)):
        return None
    return rows.gradients(
        *(variant.function, variant.axis, variant.form, variant.detach_extrema),
        *(x, dy, s, b, n, where),
    )
