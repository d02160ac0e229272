"""Checks of the arguments that say which keys a query sees, and what they come to.

Tensors on a GPU are not looked at, with the exceptions that comments name.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from softmax_variants._libraries import describe
from softmax_variants_backends.torch.attention import AttentionMask, Band

__all__ = ["MaskArguments", "Window", "build_mask", "check_tensor"]

Window: TypeAlias = int | tuple[int | None, int | None] | None

_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)


@dataclass(frozen=True, eq=False)
class MaskArguments:
    """The arguments of a call, as the user gave them."""

    mask: Tensor | None
    causal: bool
    window: Window
    offset: int | None
    cache_position: Tensor | None
    key_lengths: Tensor | None
    cu_seqlens: Tensor | None


def build_mask(
    arguments: MaskArguments,
    *,
    batch: int | None,
    heads: int | None,
    queries: int,
    keys: int,
    device: torch.device,
) -> tuple[AttentionMask, Tensor | None]:
    """Return which keys each query sees, and the additive mask as far as it is one.

    ``batch`` and ``heads`` are None where only the mask knows them.
    """
    low, high = _limits(arguments)
    shown, bias = _mask(arguments.mask, (batch, heads, queries, keys), device)
    if batch is None and shown is not None and shown.shape[0] != 1:
        batch = shown.shape[0]
    documents = positions = None
    if arguments.cu_seqlens is not None:
        documents = _documents(arguments, queries, keys)
    offset = _offset(arguments, queries, keys)
    if arguments.cache_position is not None:
        positions = _positions(arguments.cache_position, batch, queries, device)
        if batch is None and positions.shape[0] != 1:
            batch = positions.shape[0]
        # Without a limit, positions are of no account.
        positions = None if low is None and high is None else positions
    lengths = _lengths(arguments.key_lengths, batch, keys, device)
    low, high = (None if edge is None else edge + offset for edge in (low, high))
    band = Band(queries, keys, low, high)
    if arguments.causal and shown is not None and shown.shape[2] > 1:
        around = AttentionMask(band, device, positions, lengths=None, documents=documents)
        _contradiction(shown, around)
    return AttentionMask(band, device, positions, lengths, documents, shown), bias


def check_tensor(argument: str, value: object, wanted: str) -> Tensor:
    """Return an argument that is a dense tensor."""
    if not isinstance(value, Tensor):
        msg = f"{argument} must be {wanted}, got {describe(value)}"
        raise TypeError(msg)
    if value.layout is not torch.strided:
        msg = (
            f"{argument} must be a dense tensor, got one of layout {value.layout}: "
            f"call its to_dense() first"
        )
        raise TypeError(msg)
    return value


def _limits(arguments: MaskArguments) -> tuple[int | None, int | None]:
    """Return the first key that a query sees and one past the last, about its position."""
    if not isinstance(arguments.causal, bool):
        msg = (
            f"causal must be a bool, got {describe(arguments.causal)}; which keys are visible "
            f"goes in as mask="
        )
        raise TypeError(msg)
    left, right = _window(arguments.window)
    if arguments.causal:
        if right is not None and right > 0 and arguments.window is not None:
            msg = (
                f"causal=True hides all keys after a query, but window={arguments.window} shows "
                f"{right} of them: pass window=({left}, 0), or leave out causal=True"
            )
            raise ValueError(msg)
        right = 0
    return None if left is None else -left, None if right is None else right + 1


def _window(window: object) -> tuple[int | None, int | None]:
    if window is None:
        return None, None
    if isinstance(window, int) and not isinstance(window, bool):
        if window < 1:
            msg = f"window must be at least 1, the query's own key, got {window}; None is no window"
            raise ValueError(msg)
        return window - 1, 0
    pair = tuple(window) if isinstance(window, Sequence) and not isinstance(window, str) else ()
    if len(pair) != 2 or not all(
        side is None or (isinstance(side, int) and not isinstance(side, bool)) for side in pair
    ):
        got = f"({', '.join(describe(side) for side in pair)})" if pair else describe(window)
        msg = (
            f"window must be an int, a pair (left, right) of ints or None, the numbers of keys "
            f"before and after the query's own, or None, got {got}"
        )
        raise TypeError(msg)
    left, right = pair
    if any(side is not None and side < 0 for side in pair):
        msg = (
            f"window must have no negative side, got {(left, right)}: 0 is no key on that side, "
            f"None all of them"
        )
        raise ValueError(msg)
    return left, right


def _offset(arguments: MaskArguments, queries: int, keys: int) -> int:
    """Return the position of the first query among the keys, 0 where tensors say more."""
    offset = arguments.offset
    if offset is not None and (isinstance(offset, bool) or not isinstance(offset, int)):
        msg = (
            f"offset must be an int, got {describe(offset)}; positions in a tensor go in as "
            f"cache_position="
        )
        raise TypeError(msg)
    if arguments.cache_position is not None:
        if offset is not None:
            msg = (
                "offset and cache_position both say where the queries stand among the keys: "
                "pass one of them"
            )
            raise ValueError(msg)
        return 0
    if arguments.cu_seqlens is not None:
        if offset not in (None, 0):
            msg = (
                f"offset must be left out beside cu_seqlens, whose documents start at position 0, "
                f"got {offset}"
            )
            raise ValueError(msg)
        return 0
    return keys - queries if offset is None else offset


def _integers(argument: str, value: object, shapes: str, device: torch.device) -> Tensor:
    tensor = check_tensor(argument, value, f"an integer tensor of shape {shapes}")
    if tensor.dtype not in _INTEGERS:
        msg = f"{argument} must have an integer dtype, got {tensor.dtype}"
        raise TypeError(msg)
    # Small tensors are often made on the CPU; a copy of one to the device is not waited for.
    if tensor.device != device and tensor.device.type != "cpu":
        msg = f"{argument} must be on the CPU or on {device}, got a tensor on {tensor.device}"
        raise ValueError(msg)
    return tensor


def _positions(value: object, batch: int | None, queries: int, device: torch.device) -> Tensor:
    shapes = "(queries,) or (batch, queries)"
    tensor = _integers("cache_position", value, shapes, device)
    wanted = "batch" if batch is None else batch
    fits = tensor.ndim in (1, 2) and tensor.shape[-1] == queries
    if fits and tensor.ndim == 2 and batch is not None:
        fits = tensor.shape[0] in (1, batch)
    if not fits:
        msg = (
            f"cache_position must have shape ({queries},) or ({wanted}, {queries}), one position "
            f"for each query, got {tuple(tensor.shape)}"
        )
        raise ValueError(msg)
    return tensor.reshape(-1, queries).to(device, torch.int64, non_blocking=True)


def _lengths(value: object, batch: int | None, keys: int, device: torch.device) -> Tensor | None:
    if value is None:
        return None
    tensor = _integers("key_lengths", value, "(batch,)", device)
    if tensor.ndim != 1 or (batch is not None and tensor.shape[0] != batch):
        wanted = "batch" if batch is None else batch
        msg = (
            f"key_lengths must have shape ({wanted},), one length for each entry of the batch, "
            f"got {tuple(tensor.shape)}"
        )
        raise ValueError(msg)
    if tensor.device.type == "cpu" and not torch.compiler.is_compiling():
        wrong = [length for length in tensor.tolist() if not 0 <= length <= keys]
        if wrong:
            msg = f"key_lengths must be from 0 to the number of keys {keys}, got {wrong[0]}"
            raise ValueError(msg)
    return tensor.to(device, torch.int64, non_blocking=True)


def _documents(arguments: MaskArguments, queries: int, keys: int) -> tuple[int, ...]:
    if arguments.cache_position is not None:
        msg = (
            "cache_position has no meaning beside cu_seqlens, whose documents start at position "
            "0: pass one of them"
        )
        raise ValueError(msg)
    if queries != keys:
        msg = (
            f"cu_seqlens divides queries and keys alike, so that there must be as many of both, "
            f"got {queries} queries and {keys} keys"
        )
        raise ValueError(msg)
    value = arguments.cu_seqlens
    tensor = check_tensor("cu_seqlens", value, "an integer tensor of shape (documents + 1,)")
    if tensor.dtype not in _INTEGERS:
        msg = f"cu_seqlens must have an integer dtype, got {tensor.dtype}"
        raise TypeError(msg)
    if tensor.ndim != 1 or tensor.shape[0] == 0:
        msg = f"cu_seqlens must have shape (documents + 1,), got {tuple(tensor.shape)}"
        raise ValueError(msg)
    # A tensor on a GPU is waited for here: the documents decide which kernels run.
    bounds: list[int] = tensor.tolist()
    lengths = tuple(stop - start for start, stop in itertools.pairwise(bounds))
    if bounds[0] != 0 or bounds[-1] != queries or any(length < 0 for length in lengths):
        shown = ", ".join(map(str, bounds[:8])) + (", ..." if len(bounds) > 8 else "")
        msg = (
            f"cu_seqlens must rise from 0 to the length {queries}, each entry the start of a "
            f"document and the end of the one before, got ({shown}), which ends at {bounds[-1]}"
        )
        raise ValueError(msg)
    return lengths


def _mask(
    value: object, shape: tuple[int | None, int | None, int, int], device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """Return the boolean mask with four axes and the last in full, and the additive one."""
    if value is None:
        return None, None
    mask = check_tensor("mask", value, "a boolean or floating tensor, or None")
    if mask.dtype != torch.bool and not mask.dtype.is_floating_point:
        msg = (
            f"mask must have dtype bool, True where a key is visible, or a floating one, which is "
            f"added to the logits, got {mask.dtype}: where it holds 1 for visible and 0 for "
            f"hidden keys, pass mask != 0"
        )
        raise TypeError(msg)
    if mask.device != device:
        msg = f"mask must be on the device of the queries, {device}, got one on {mask.device}"
        raise ValueError(msg)
    fits = mask.ndim <= 4 and all(
        own == 1 or full is None or own == full
        for own, full in zip(reversed(mask.shape), reversed(shape), strict=False)
    )
    if not fits:
        wanted = ", ".join(
            name if size is None else str(size)
            for name, size in zip(("batch", "heads", "", ""), shape, strict=True)
        )
        msg = (
            f"mask must broadcast to (batch, heads, queries, keys) = ({wanted}), got shape "
            f"{tuple(mask.shape)}; a padding mask of shape (batch, keys) goes in as "
            f"mask[:, None, None, :]"
        )
        raise ValueError(msg)
    mask = mask[(None,) * (4 - mask.ndim)]
    mask = mask.expand(-1, -1, -1, shape[3])
    if mask.shape[2] > 1 and mask.stride(2) == 0:
        # A mask of keys that has been expanded along the queries.
        mask = mask[:, :, :1]
    if mask.dtype == torch.bool:
        return mask, None
    # NaN compares as False and stays visible, to be seen in the result.
    hidden = mask.detach() <= torch.finfo(mask.dtype).min / 2
    return ~hidden, mask


def _contradiction(shown: Tensor, around: AttentionMask) -> None:
    """Raise if a mask with rows of its own shows a key that ``causal=True`` hides."""
    if torch.compiler.is_compiling() or (
        shown.is_cuda and torch.cuda.is_current_stream_capturing()
    ):
        # A recorded program cannot stop at what a tensor holds.
        return
    # A GPU is waited for here: two answers about the same key leave no right result. With the
    # causal part in the mask, causal=True can be left out, and the wait with it.
    wrong = shown & ~around.visible().dense(0, around.band.queries, 0, around.band.keys)
    if bool(wrong.any()):
        query, key = wrong.flatten(0, 1).any(0).nonzero()[0].tolist()
        msg = (
            f"mask shows key {key} to query {query}, which causal=True hides: leave out "
            f"causal=True if the mask is right, or hide with it what comes after each query; a "
            f"mask of padding only has a query axis of length 1"
        )
        raise ValueError(msg)
