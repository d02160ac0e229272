"""Weights and gradients of CUDA tensors by the row kernels.

None stands for what they do not take, for the array-API numerics: no bindings or compiler, AMD's
GPUs and old ones, tensors that are not plain memory.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ._plain import plain

if TYPE_CHECKING:
    from softmax_variants_backends._cuda._rows import RowKernels

    from ._variant import Parameter, Variant

__all__ = ["gradients", "kernels_on", "weights"]

# PyTorch's own annotations leave these out.
_current_device: Any = getattr(torch._C, "_cuda_getDevice", None)
_increment_version: Any = increment_version


@cache
def kernels_on(index: int) -> RowKernels | None:
    """Return the kernels on a device, None if they cannot be had."""
    if torch.version.hip is not None:
        return None
    try:
        from softmax_variants_backends._cuda._launch_torch import launcher_on
    except ImportError:
        return None
    launcher = launcher_on(index)
    if launcher is None:
        return None
    from softmax_variants_backends._cuda._rows import RowKernels

    return RowKernels(launcher)


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
    index = x.get_device()
    kernels = kernels_on(index)
    if kernels is None or not plain(index, (x, s, b, n, where, out)):
        return None
    arguments = (variant.function, variant.axis, variant.form, x, s, b, n, where, out)
    value: Tensor | None
    if _current_device() == index:
        value = kernels.weights(*arguments)
    else:
        with torch.cuda.device(index):
            value = kernels.weights(*arguments)
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
    index = x.get_device()
    kernels = kernels_on(index)
    if kernels is None or not plain(index, (x, dy, s, b, n, where)):
        return None
    arguments: Any = (
        *(variant.function, variant.axis, variant.form, variant.detach_extrema),
        *(x, dy, s, b, n, where),
    )
    if _current_device() == index:
        return kernels.gradients(*arguments)
    with torch.cuda.device(index):
        return kernels.gradients(*arguments)
