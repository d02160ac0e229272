"""Calls of PyTorch's attention kernels, with what all calls for one attention have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.attention import bias as _biases
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["Call", "zeros"]

# PyTorch's own annotations leave this untyped.
_causal_lower_right: Callable[[int, int], Any] = _biases.causal_lower_right


@dataclass(frozen=True, eq=False)
class Call:
    """scaled_dot_product_attention with its options."""

    scale: float
    dropout_p: float

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        *,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the attention of q, k and v."""
        grouped = q.shape[1] != k.shape[1]
        if grouped and not _kernel_shares_heads(q, mask):
            group = q.shape[1] // k.shape[1]
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            grouped = False
        # The comparison itself, where compiled for any number of heads, would not be a bool.
        options = {"enable_gqa": True} if grouped else {}
        return scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout_p,
            is_causal=is_causal,
            scale=self.scale,
            **options,
        )

    def has_lower_right(self, q: Tensor, k: Tensor, v: Tensor) -> bool:
        """Return whether a kernel has a flag for causal masks aligned with the last key."""
        if not q.is_cuda or torch.compiler.is_compiling():
            # Elsewhere PyTorch writes all of the mask; torch.compile does not take its class.
            return False
        cuda: Any = torch.backends.cuda
        is_causal, grouped = False, q.shape[1] != k.shape[1]
        parameters = cuda.SDPAParams(q, k, v, None, self.dropout_p, is_causal, grouped)
        return bool(
            cuda.can_use_flash_attention(parameters) or cuda.can_use_efficient_attention(parameters)
        )

    def lower_right(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return causal attention in which the last query sees all keys."""
        out: Tensor = scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=_causal_lower_right(q.shape[2], k.shape[2]),
            dropout_p=self.dropout_p,
            scale=self.scale,
            enable_gqa=q.shape[1] != k.shape[1],
        )
        return out


def _kernel_shares_heads(q: Tensor, mask: Tensor | None) -> bool:
    """Return whether a kernel lets several heads of queries use one of keys and values."""
    # Those of CUDA that do take neither a mask nor float32, and what PyTorch falls back on there
    # writes all weights.
    return not q.is_cuda or (mask is None and q.dtype.itemsize == 2)


def zeros(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the attention of queries that see nothing: zeros, with gradients 0 in q, k and v."""
    # Sums over no elements are 0 whatever the tensors hold, and pass gradients of 0 on.
    nothing = q[..., :0].sum(-1, keepdim=True) + (k[:, :, :0].sum() + v[:, :, :0].sum())
    return nothing.expand(*q.shape[:-1], v.shape[-1]).contiguous()
