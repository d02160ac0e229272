"""Whether tensors may be handed to kernels that know nothing of PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["plain"]

# PyTorch's own annotations leave these out.
_dispatch_modes: Any = torch._C._len_torch_dispatch_stack
_tracing_state: Any = torch._C._get_tracing_state
_is_wrapped: Any = torch._C._functorch.is_functorch_wrapped_tensor


def plain(index: int, values: tuple[Any, ...]) -> bool:
    """Return whether tensors are memory of the device, and nobody follows operations on them.

    ``index`` is that of the device, -1 for the CPU. (Tensors without memory have it, too: it is for
    the caller to know that its own are on the CPU.) What a mode or a tracer is to see are
    operations of PyTorch, and a launch is none.
    """
    for value in values:
        if value is None:
            continue
        kind = type(value)
        if kind is Tensor or kind is torch.nn.Parameter:
            # A tensor may be stored with the other sign; one of a transform, even of one that is
            # over, only stands for memory.
            if value.get_device() != index or value.is_neg() or _is_wrapped(value):
                return False
        elif isinstance(value, Tensor):
            return False
    return not _dispatch_modes() and _tracing_state() is None
