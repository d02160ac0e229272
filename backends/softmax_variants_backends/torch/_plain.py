"""Whether tensors may be handed to kernels that know nothing of PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["plain"]

# PyTorch's own annotations leave these out.
_dispatch_modes: Any = torch._C._len_torch_dispatch_stack
_tracing_state: Any = torch._C._get_tracing_state
_transforms_active: Any = torch._C._are_functorch_transforms_active
_is_wrapped: Any = torch._C._functorch.is_functorch_wrapped_tensor


def plain(index: int, values: tuple[Any, ...]) -> bool:
    """Return whether tensors are memory of the device, and nobody follows operations on them.

    ``index`` is that of the device, -1 for the CPU. (Tensors without memory have it, too: it is for
    the caller to know that its own are on the CPU.) What a mode or a tracer is to see are
    operations of PyTorch, and a launch is none.
    """
    for value in values:
        kind = type(value)
        if kind is Tensor or kind is torch.nn.Parameter:
            # A tensor may be stored with the other sign.
            if value.get_device() != index or value.is_neg():
                return False
        elif isinstance(value, Tensor):
            return False
    if _dispatch_modes() or _tracing_state() is not None:
        return False
    return not (
        _transforms_active()
        and any(isinstance(value, Tensor) and _is_wrapped(value) for value in values)
    )
