"""SA-Softmax attention and the query scale on CUDA, by kernels in Triton.

Nothing here waits for the device, and Triton is imported at the first call only.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from ._triton_configs import (
    Config,
    forward_config,
    keys_config,
    queries_config,
    rows_config,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "available",
    "backward",
    "forward",
    "has_triton",
    "scale_queries",
    "scale_queries_backward",
    "statistics_size",
]

_HALF = (torch.float16, torch.bfloat16)
# Elements of a program of the query-scale kernels: 16 bytes a thread, 8 loads in flight.
_SCALE_ELEMENTS = 8192


@cache
def has_triton() -> bool:
    """Return whether there are NVIDIA's CUDA and a Triton that takes the kernels."""
    if torch.version.hip is not None:
        return False
    try:
        version: str = import_module("triton").__version__
    except ImportError:
        return False
    # Kernels take tuples from 3.3 on.
    return tuple(int(part) for part in version.split(".")[:2]) >= (3, 3)


def available(q: Tensor, v: Tensor | None = None) -> bool:
    """Return whether the attention kernels take these queries (and values).

    They take float16 and bfloat16 on CUDA devices of compute capability 8.0 or later, with head
    dimensions from 16 to 256 that are multiples of 8.
    """
    dims = [q.shape[-1]] if v is None else [q.shape[-1], v.shape[-1]]
    return (
        q.is_cuda
        and q.dtype in _HALF
        and has_triton()
        and all(16 <= dim <= 256 and dim % 8 == 0 for dim in dims)
        and torch.cuda.get_device_capability(q.device) >= (8, 0)
    )


def statistics_size(q: Tensor, v: Tensor, *, form: str, extrema: bool) -> int:
    """Return the number of elements of the statistics that :func:`forward` returns.

    With ``extrema`` they hold softmax attention's output too, at two bytes an element.
    """
    rows = q.shape[0] * q.shape[1] * q.shape[2]
    if form == "plain":
        return rows
    return rows * 5 + rows * v.shape[-1] * q.element_size() // 4 if extrema else rows * 3


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    start: Tensor,
    stop: Tensor,
    mask: Tensor | None,
    *,
    form: str,
    scale: float,
    extrema: bool,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """Return SA-Softmax attention, and what its derivative needs.

    Parameters
    ----------
    q, k, v : Tensor
        (batch, heads, queries, dim), (batch, kv_heads, keys, dim), (batch, kv_heads, keys, dim_v),
        as :func:`available` takes them; any strides.
    start, stop : Tensor
        int32 of shape (batch or 1, queries): query i sees keys start_i <= j < stop_i.
    mask : Tensor or None
        bool of shape (batch or 1, heads or 1, queries or 1, keys): and is True there.
    form : str
        The gate.
    scale : float
        Factor of the dot products.
    extrema : bool
        Whether the statistics shall serve a derivative through the extrema.

    Returns
    -------
    out : Tensor
        (batch, heads, queries, dim_v), contiguous, of q's dtype.
    statistics : Tensor
        float32, one-dimensional, of :func:`statistics_size` elements.
    """
    from ._triton_forward import forward_kernel

    batch, heads, queries, dim = q.shape
    dim_v = v.shape[-1]
    extrema = extrema and form != "plain"
    out = q.new_empty(batch, heads, queries, dim_v)
    statistics = torch.empty(
        statistics_size(q, v, form=form, extrema=extrema), dtype=torch.float32, device=q.device
    )
    if out.numel() == 0:
        return out, statistics
    if scale == 0.0 or k.shape[2] == 0:
        # All logits are 0, or there are none: no weights.
        return out.zero_(), statistics
    if scale < 0.0:
        q, scale = -q, -scale
    q, k, v = (_rows_contiguous(x) for x in (q, k, v))
    softmax_out, numbers = _parts(statistics, out, extrema=extrema)
    width = max(_padded(dim), _padded(dim_v))
    config = config or forward_config(
        width, _capability(q.device), extrema=extrema, has_mask=mask is not None
    )
    grid = (_blocks(queries, config.block_m), batch * heads)
    forward_kernel[grid](
        q,
        k,
        v,
        out,
        softmax_out,
        numbers,
        start,
        stop,
        _mask_bytes(mask, start),
        _strides(q),
        _strides(k),
        _strides(v),
        _bounds_stride(start),
        _mask_strides(mask),
        heads,
        heads // k.shape[1],
        queries,
        scale,
        form=form,
        extrema=extrema,
        has_mask=mask is not None,
        dim=dim,
        dim_v=dim_v,
        block_dim=_padded(dim),
        block_dim_v=_padded(dim_v),
        block_m=config.block_m,
        block_n=config.block_n,
        num_warps=config.warps,
        num_stages=config.stages,
    )
    return out, statistics


def backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    dout: Tensor,
    statistics: Tensor,
    start: Tensor,
    stop: Tensor,
    mask: Tensor | None,
    *,
    form: str,
    detach_extrema: bool,
    scale: float,
    queries_configuration: Config | None = None,
    keys_configuration: Config | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dq, dk, dv), contiguous; ``extrema`` of :func:`forward` was ``not detach_extrema``.

    Equal arguments give equal bits: nothing is added in an order that changes.
    """
    from ._triton_backward import keys_kernel, queries_kernel
    from ._triton_backward_rows import query_blocks_kernel, rows_kernel

    batch, heads, queries, dim = q.shape
    kv_heads, keys, dim_v = v.shape[1:]
    extrema = not detach_extrema and form != "plain"
    dq, dk, dv = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
    if out.numel() == 0 or scale == 0.0 or keys == 0:
        return dq.zero_(), dk.zero_(), dv.zero_()
    negative = scale < 0.0
    if negative:
        q, scale = -q, -scale
    q, k, v, dout = (_rows_contiguous(x) for x in (q, k, v, dout))
    out = out.contiguous()
    softmax_out, numbers = _parts(statistics, out, extrema=extrema)
    rows = torch.empty(
        (3 if extrema else 1, batch, heads, queries), dtype=torch.float32, device=q.device
    )
    width = max(_padded(dim), _padded(dim_v))
    shared: dict[str, Any] = {
        "form": form,
        "extrema": extrema,
        "has_mask": mask is not None,
        "dim": dim,
        "dim_v": dim_v,
        "block_dim": _padded(dim),
        "block_dim_v": _padded(dim_v),
    }
    config = rows_config(width)
    rows_kernel[(_blocks(queries, config.block_m), batch * heads)](
        q,
        k,
        v,
        out,
        softmax_out,
        dout,
        numbers,
        rows,
        start,
        stop,
        _mask_bytes(mask, start),
        _strides(q),
        _strides(k),
        _strides(v),
        _strides(dout),
        _bounds_stride(start),
        _mask_strides(mask),
        heads,
        heads // kv_heads,
        queries,
        scale,
        **shared,
        block_m=config.block_m,
        block_n=config.block_n,
        num_warps=config.warps,
        num_stages=config.stages,
    )
    config = queries_configuration or queries_config(width, _capability(q.device))
    queries_kernel[(_blocks(queries, config.block_m), batch * heads)](
        q,
        k,
        v,
        dout,
        dq,
        numbers,
        rows,
        start,
        stop,
        _mask_bytes(mask, start),
        _strides(q),
        _strides(k),
        _strides(v),
        _strides(dout),
        _bounds_stride(start),
        _mask_strides(mask),
        heads,
        heads // kv_heads,
        queries,
        scale,
        **shared,
        block_m=config.block_m,
        block_n=config.block_n,
        num_warps=config.warps,
        num_stages=config.stages,
    )
    config = keys_configuration or keys_config(width, _capability(q.device))
    key_blocks = _blocks(keys, config.block_n)
    ranges = torch.empty((start.shape[0], key_blocks, 4), dtype=torch.int32, device=q.device)
    query_blocks_kernel[(key_blocks, start.shape[0])](
        start,
        stop,
        ranges,
        _bounds_stride(start),
        queries,
        block_m=config.block_m,
        block_n=config.block_n,
        chunk=16,
        num_warps=4,
    )
    keys_kernel[(key_blocks, batch * kv_heads)](
        q,
        k,
        v,
        dout,
        dk,
        dv,
        numbers,
        rows,
        ranges,
        start,
        stop,
        _mask_bytes(mask, start),
        _strides(q),
        _strides(k),
        _strides(v),
        _strides(dout),
        _bounds_stride(start),
        0 if start.shape[0] == 1 else ranges.stride(0),
        _mask_strides(mask),
        kv_heads,
        queries,
        keys,
        scale,
        group=heads // kv_heads,
        **shared,
        block_m=config.block_m,
        block_n=config.block_n,
        num_warps=config.warps,
        num_stages=config.stages,
    )
    return dq.neg_() if negative else dq, dk, dv


def scale_queries(q: Tensor, c: Tensor) -> Tensor:
    """Return c q, computed in float32 and rounded once.

    ``q`` has up to 4 dimensions; ``c`` is float32 or float64, which is rounded to float32 first,
    and broadcasts to its shape with the last axis of length 1. The result is laid out like q.
    """
    from ._triton_query_scale import scale_kernel

    out = torch.empty_like(q)
    if q.numel() == 0:
        return out
    c = _four(c.expand(*q.shape[:-1], 1))
    x, y = (_four(t) for t in (_rows_contiguous(q), out))
    _, heads, queries, dim = x.shape
    rows = x.numel() // dim
    block = max(1, _SCALE_ELEMENTS // _padded(dim))
    scale_kernel[(_blocks(rows, block),)](
        x,
        c,
        y,
        (heads, queries, rows),
        _strides(x),
        _strides(c),
        _strides(y),
        dim=dim,
        block_dim=_padded(dim),
        block=block,
        num_warps=4,
    )
    return out


def scale_queries_backward(
    q: Tensor, dout: Tensor, c: Tensor, *, need_dq: bool = True, need_rows: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    """Return dq = c dout, rounded once, and the float32 sums of q dout over the last axis.

    The sums have the shape of q with the last axis of length 1. What is not needed is None.
    """
    from ._triton_query_scale import scale_backward_kernel

    dq = torch.empty_like(q) if need_dq else None
    sums = q.new_empty((*q.shape[:-1], 1), dtype=torch.float32) if need_rows else None
    if q.numel() == 0 or not (need_dq or need_rows):
        return dq, None if sums is None else sums.zero_()
    c = _four(c.expand(*q.shape[:-1], 1))
    x, dy = (_four(_rows_contiguous(t)) for t in (q, dout))
    target = x if dq is None else _four(dq)
    _, heads, queries, dim = x.shape
    rows = x.numel() // dim
    block = max(1, _SCALE_ELEMENTS // _padded(dim))
    scale_backward_kernel[(_blocks(rows, block),)](
        x,
        dy,
        c,
        target,
        c if sums is None else sums,
        (heads, queries, rows),
        _strides(x),
        _strides(dy),
        _strides(c),
        _strides(target),
        need_dq=need_dq,
        need_sums=need_rows,
        dim=dim,
        block_dim=_padded(dim),
        block=block,
        num_warps=4,
    )
    return dq, sums


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    """Return a device's compute capability; Triton's interpreter, on the CPU, has any."""
    if device.type != "cuda":
        return (9, 0)
    return torch.cuda.get_device_capability(device)


def _blocks(length: int, block: int) -> int:
    return -(-length // block)


def _padded(dim: int) -> int:
    """Return the head dimension of a tile: a power of two, at least a matrix instruction's 16."""
    return max(16, 1 << (dim - 1).bit_length())


def _rows_contiguous(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def _strides(x: Tensor) -> tuple[int, ...]:
    return x.stride()[:3]


def _four(x: Tensor) -> Tensor:
    """Return a view with four dimensions."""
    return x.reshape((1,) * (4 - x.dim()) + x.shape)


def _bounds_stride(start: Tensor) -> int:
    return 0 if start.shape[0] == 1 else start.stride(0)


def _mask_bytes(mask: Tensor | None, placeholder: Tensor) -> Tensor:
    return placeholder if mask is None else mask.view(torch.uint8)


def _mask_strides(mask: Tensor | None) -> tuple[int, ...]:
    if mask is None:
        return (0, 0, 0, 0)
    return tuple(
        0 if length == 1 else stride
        for length, stride in zip(mask.shape, mask.stride(), strict=True)
    )


def _parts(statistics: Tensor, out: Tensor, *, extrema: bool) -> tuple[Tensor, Tensor]:
    """Return where softmax attention's output lies in the statistics, and the rest of them."""
    if not extrema:
        return statistics, statistics
    split = out.numel() * out.element_size() // 4
    return statistics[:split].view(out.dtype), statistics[split:]
