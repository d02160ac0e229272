"""SSMax as a scale on the queries: q' = round(c q) with c = s ln n + b, and its derivatives.

The logits (c q) k are c times q k, so that any softmax attention with q' for q is SSMax attention
with q. What it costs is memory traffic, so in eager mode forward and backward are one kernel each
where Triton is at hand; compiled programs get plain operations to fuse with what is around them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import _triton_launch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["scale_factor", "scale_factor_of_counts", "scale_queries", "widest_dtype"]


def scale_factor(s: Tensor | float, b: Tensor | float, n: Tensor | float) -> Tensor | float:
    """Return c = s ln n + b, in float64; 0 where n is 0, and there without gradients.

    In float64 its rounding errors are far below that of the product with q: in float16, ln n is
    off by 1e-3 and n overflows at 65520.
    """
    if isinstance(n, Tensor):
        n = _widened(n)
        none = n == 0.0
        # ln 1 stands in for ln 0, whose product with a gradient of 0 would be NaN.
        c = _affine(s, torch.where(none, 1.0, n).log(), b)
        return torch.where(none, 0.0, c)
    log_n = math.log(n)
    if isinstance(s, Tensor) or isinstance(b, Tensor):
        return _affine(s, log_n, b)
    return s * log_n + b


def scale_factor_of_counts(s: Tensor | float, b: Tensor | float, n: Tensor) -> Tensor:
    """Return the same for counts of the widest dtype that are at least 1, with four axes."""
    return _affine(s, n.log(), b)


def widest_dtype(device: torch.device) -> torch.dtype:
    """Return the widest floating dtype that a device has."""
    return torch.float32 if device.type == "mps" else torch.float64


def _widened(value: Tensor) -> Tensor:
    return value.to(widest_dtype(value.device))


def _affine(s: Tensor | float, log_n: Tensor | float, b: Tensor | float) -> Tensor:
    """Return s ln n + b, not all of them numbers, in the widest dtype."""
    if not (isinstance(log_n, Tensor) and log_n.ndim):
        # Beside logarithms with axes, the product would be in their dtype anyway.
        s, b = (_widened(value) if isinstance(value, Tensor) else value for value in (s, b))
    c: Any = s * log_n
    factor: Tensor = c + b if isinstance(b, Tensor) or b != 0.0 else c
    return factor


def scale_queries(q: Tensor, c: Tensor | float, dtype: torch.dtype) -> Tensor:
    """Return c q, rounded once to ``dtype``; c broadcasts to q with the last axis of length 1."""
    if not isinstance(c, Tensor):
        c = torch.full((1,), c, dtype=widest_dtype(q.device), device=q.device)
    if _in_plain_operations(q):
        return _product(q, c, dtype)
    scaled: Tensor = _apply(q, c, dtype)
    return scaled


def _working(q: Tensor, dtype: torch.dtype) -> torch.dtype:
    """Return a dtype whose rounding is lost in that of the result."""
    return torch.float32 if dtype.itemsize == 2 else widest_dtype(q.device)


def _finite(c: Tensor) -> Tensor:
    """Return NaN for infinities: a row of -inf would count as hidden, not as wrong."""
    return c.nan_to_num(nan=math.nan, posinf=math.nan, neginf=math.nan)


def _product(q: Tensor, c: Tensor, dtype: torch.dtype) -> Tensor:
    """Return c q by differentiable operations."""
    working = _working(q, dtype)
    return (q.to(working) * _finite(c.to(working))).to(dtype)


def _inner(q: Tensor, dq_scaled: Tensor, c: Tensor) -> Tensor:
    """Return dc: the sums of q dq' over all that c was broadcast along.

    Products of 16-bit numbers are exact in float32; those of float32 are off by 2^-24 each, in
    float32 as they come. The sums are in c's float64.
    """
    products = (q.float() if q.dtype.itemsize == 2 else q) * dq_scaled
    return _reduced(products.sum(-1, keepdim=True, dtype=c.dtype), c)


def _reduced(rows: Tensor, c: Tensor) -> Tensor:
    """Sum rows of c's gradient to c's shape, in its dtype."""
    extra = rows.ndim - c.ndim
    axes = [*range(extra), *(extra + a for a, size in enumerate(c.shape) if size == 1)]
    axes = [axis for axis in axes if rows.shape[axis] != 1]
    if axes:
        rows = rows.sum(axes, keepdim=True, dtype=c.dtype)
    return rows.reshape(c.shape).to(c.dtype)


class _ScaledQueries(torch.autograd.Function):
    """c q, with one pass over the queries forward and one backward."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, c: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.dtype, ctx.q_dtype = dtype, q.dtype
        # Only c's gradient needs q, which may be the last to hold that memory.
        ctx.save_for_backward(q if ctx.needs_input_grad[1] else None, c)
        ctx.save_for_forward(q, c)
        if _has_kernel(q, dtype):
            return _triton_launch.scale_queries(q, c)
        factor = _finite(c.to(_working(q, dtype)))
        # With out= the product is computed in the factor's dtype and rounded as it is written.
        return torch.mul(q, factor, out=torch.empty_like(q, dtype=dtype))

    @staticmethod
    def backward(ctx: Any, dq_scaled: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        q, c = ctx.saved_tensors
        needs_q, needs_c, _ = ctx.needs_input_grad
        in_one = needs_c and not (torch.is_grad_enabled() or _in_plain_operations(dq_scaled))
        if in_one and _has_kernel(q, dq_scaled.dtype):
            dq, rows = _triton_launch.scale_queries_backward(q, dq_scaled, c, need_dq=needs_q)
            return dq, None if rows is None else _reduced(rows, c), None
        # Differentiable, for derivatives of higher orders.
        dq = scale_queries(dq_scaled, c, ctx.q_dtype) if needs_q else None
        return dq, _inner(q, dq_scaled, c) if needs_c else None, None

    @staticmethod
    def jvp(ctx: Any, q_tangent: Tensor | None, c_tangent: Tensor | None, _: None) -> Tensor:
        q, c = ctx.saved_tensors
        working = _working(q, ctx.dtype)
        tangent = torch.zeros((), dtype=working, device=q.device)
        if q_tangent is not None:
            tangent = tangent + q_tangent.to(working) * c.to(working)
        if c_tangent is not None:
            tangent = tangent + q.to(working) * c_tangent.to(working)
        return tangent.to(ctx.dtype)


# PyTorch's own annotations leave these untyped.
_apply: Callable[..., Any] = _ScaledQueries.apply
_transforms_active: Callable[[], bool] = torch._C._are_functorch_transforms_active
_is_batched: Callable[[Tensor], bool] = torch._C._functorch.is_legacy_batchedtensor


def _in_plain_operations(q: Tensor) -> bool:
    """Return whether to leave derivatives, batching and kernels to PyTorch."""
    # Gradients for a batch of cotangents are batched tensors outside of torch.func's transforms.
    return torch.compiler.is_compiling() or _transforms_active() or _is_batched(q)


def _has_kernel(q: Tensor, other: torch.dtype) -> bool:
    """Return whether there is a kernel for queries and scaled ones of these dtypes."""
    same = q.dtype == other and q.dtype.itemsize == 2
    return same and q.is_cuda and q.ndim <= 4 and _triton_launch.has_triton()
