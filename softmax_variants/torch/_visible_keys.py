"""How many keys each query sees."""

from __future__ import annotations

import torch
from torch import Tensor

from softmax_variants._libraries import describe

from ._mask_arguments import MaskArguments, Window, build_mask

__all__ = ["visible_keys"]


def visible_keys(
    queries: int,
    keys: int | None = None,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    window: Window = None,
    offset: int | None = None,
    cache_position: Tensor | None = None,
    key_lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    device: torch.device | str | int | None = None,
) -> Tensor:
    r"""Count the keys that each query sees: the n of SSMax, :math:`c_i = s \ln n_i + b`.

    A key is counted if every argument that is given lets the query see it. Only a mask with a row
    for each query is looked at in full; nothing else makes a (queries, keys) array.

    Parameters
    ----------
    queries : int
        Number of queries.
    keys : int, optional
        Number of keys, those of a cache included. By default the length of the last axis of
        `mask`, if it has one of more than 1, else `queries`.
    mask : Tensor, optional
        Boolean, True where a key is visible, or floating, added to the logits: then entries of
        :math:`-\infty`, or below half of the most negative finite number of its dtype, are hidden.
        Broadcasts to (batch, heads, queries, keys); a padding mask of shape (batch, keys) goes in
        as ``mask[:, None, None, :]``.
    causal : bool, default False
        Whether a query sees no key after its own position.
    window : int or pair of int, optional
        A sliding window: w for the query's own key and the w - 1 before it, or a pair (left, right)
        of the numbers of keys before and after its own, None for all of them.
    offset : int, optional
        Position of the first query among the keys, for `causal` and `window`. By default
        keys - queries: the queries are the last ones, as when decoding with a cache.
    cache_position : Tensor, optional
        In place of `offset`, the position of each query: integers of shape (queries,) or
        (batch, queries).
    key_lengths : Tensor, optional
        Of sequences padded on the right, the number of keys that are real: integers of shape
        (batch,).
    cu_seqlens : Tensor, optional
        Of documents packed one after another, where each starts, and the end of the last:
        integers, rising from 0 to queries = keys. A query sees only its own document.
    device : optional
        Of the result. By default that of the tensors given, or PyTorch's default.

    Returns
    -------
    Tensor
        int64, of shape (batch or 1, heads or 1, queries, 1), so that it broadcasts along queries
        of shape (batch, heads, queries, dim).

    Raises
    ------
    TypeError
        If an argument is of the wrong type or dtype.
    ValueError
        If an argument has a wrong shape, device or value, or two contradict each other: a mask with
        a row for each query that shows what `causal` hides; `offset` beside `cache_position`.

    See Also
    --------
    ssmax_query_scale : What the counts are for.
    attention : Attention, with the same arguments.

    Notes
    -----
    What tensors on a GPU hold is not waited for, but for `cu_seqlens` and for a mask with a row for
    each query beside ``causal=True``. Lengths there that are out of range are clipped.

    Examples
    --------
    Causal; the same in a window of 3; two tokens decoded after 8 in a cache; two packed documents,
    of 2 and 3 tokens:

    >>> import torch
    >>> from softmax_variants.torch import visible_keys
    >>> visible_keys(5, causal=True).flatten().tolist()
    [1, 2, 3, 4, 5]
    >>> visible_keys(5, causal=True, window=3).flatten().tolist()
    [1, 2, 3, 3, 3]
    >>> visible_keys(2, 10, causal=True).flatten().tolist()
    [9, 10]
    >>> visible_keys(5, causal=True, cu_seqlens=torch.tensor([0, 2, 5])).flatten().tolist()
    [1, 2, 1, 2, 3]

    Two sequences of 4, the second padded on the left:

    >>> padding = torch.tensor([[True, True, True, True], [False, False, True, True]])
    >>> visible_keys(4, mask=padding[:, None, None, :], causal=True).squeeze().tolist()
    [[1, 2, 3, 4], [0, 0, 1, 2]]
    """
    queries = _size("queries", queries)
    if keys is None:
        given = isinstance(mask, Tensor) and mask.ndim > 0 and mask.shape[-1] != 1
        keys = mask.shape[-1] if given and mask is not None else queries
    keys = _size("keys", keys)
    found = _device(device, (mask, cache_position, key_lengths, cu_seqlens))
    arguments = MaskArguments(mask, causal, window, offset, cache_position, key_lengths, cu_seqlens)
    own, _ = build_mask(arguments, batch=None, heads=None, queries=queries, keys=keys, device=found)
    counts = own.counts(torch.int64)
    counts = counts.expand(*counts.shape[:2], queries, 1).contiguous()
    return counts if device is None else counts.to(device)


def _size(argument: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{argument} must be an int, got {describe(value)}"
        raise TypeError(msg)
    if value < 0:
        msg = f"{argument} must be at least 0, got {value}"
        raise ValueError(msg)
    return value


def _device(device: torch.device | str | int | None, tensors: tuple[object, ...]) -> torch.device:
    """Return where to count: where the mask is, or another tensor, on a GPU if one is there."""
    devices = [tensor.device for tensor in tensors if isinstance(tensor, Tensor)]
    if not devices:
        return torch.get_default_device() if device is None else torch.device(device)
    if isinstance(tensors[0], Tensor):
        return devices[0]
    return next((found for found in devices if found.type != "cpu"), devices[0])
