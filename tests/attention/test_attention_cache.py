"""Decoding with a cache of keys and values gives what attention gives for all tokens at once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from attention_support.examples import leaves
from softmax_variants.torch import attention

LENGTH = 13
VARIANTS: dict[str, dict[str, Any]] = {
    "softmax": {"variant": "softmax"},
    "ssmax": {"variant": "ssmax", "s": torch.tensor([0.4, 0.9]).view(2, 1, 1), "b": 0.1},
    "sa_softmax": {"variant": "sa_softmax"},
    "plain": {"variant": "sa_softmax", "form": "plain"},
}
by_variant = pytest.mark.parametrize("variant", VARIANTS)


def tensors() -> list[Tensor]:
    shapes = (3, 2, LENGTH, 4), (3, 1, LENGTH, 4), (3, 1, LENGTH, 5)
    return [value.detach() for value in leaves(21, *shapes)]


def agree(got: list[Tensor], wanted: Tensor) -> None:
    joined = torch.cat(got, dim=2)
    assert torch.allclose(joined, wanted, rtol=0.0, atol=1e-13)
    # Each token's own answer: were n that of another token, SSMax would differ far more.
    assert not torch.allclose(joined.roll(1, dims=2), wanted, rtol=0.0, atol=1e-3)


@by_variant
@pytest.mark.parametrize("chunk", [1, 4, 5])
def test_growing_cache(variant: str, chunk: int):
    q, k, v = tensors()
    options = VARIANTS[variant]
    got = []
    for first in range(0, LENGTH, chunk):
        stop = min(first + chunk, LENGTH)
        rows = slice(first, stop)
        got.append(attention(q[:, :, rows], k[:, :, :stop], v[:, :, :stop], causal=True, **options))
    agree(got, attention(q, k, v, causal=True, **options))


@by_variant
@pytest.mark.parametrize("chunk", [1, 3])
def test_static_cache(variant: str, chunk: int):
    """Keys that are not yet written come after the positions of the queries."""
    q, k, v = tensors()
    options = VARIANTS[variant]
    got, as_offset = [], []
    for first in range(0, LENGTH, chunk):
        rows = torch.arange(first, min(first + chunk, LENGTH))
        got.append(attention(q[:, :, rows], k, v, causal=True, cache_position=rows, **options))
        as_offset.append(attention(q[:, :, rows], k, v, causal=True, offset=first, **options))
    agree(got, attention(q, k, v, causal=True, **options))
    agree(as_offset, attention(q, k, v, causal=True, **options))


@by_variant
def test_cache_of_a_sliding_window(variant: str):
    """Keys that have left the window are dropped, and the last query sees all that are left."""
    q, k, v = tensors()
    options, window = VARIANTS[variant], 5
    got = []
    for token in range(LENGTH):
        kept = slice(max(0, token + 1 - window), token + 1)
        row = q[:, :, token : token + 1]
        got.append(attention(row, k[:, :, kept], v[:, :, kept], causal=True, **options))
    whole = attention(q, k, v, causal=True, window=window, **options)
    agree(got, whole)
    in_full = [
        attention(q[:, :, [t]], k[:, :, : t + 1], v[:, :, : t + 1], window=window, **options)
        for t in range(LENGTH)
    ]
    agree(in_full, whole)


@by_variant
def test_left_padded_batch(variant: str):
    """A padded sequence gets the answers that it gets alone."""
    q, k, v = tensors()
    options = VARIANTS[variant]
    padding = torch.arange(LENGTH) >= torch.tensor([0, 4, 11])[:, None]
    mask = padding[:, None, None, :]
    whole = attention(q, k, v, causal=True, mask=mask, **options)
    for entry, first in enumerate((0, 4, 11)):
        own = [value[entry : entry + 1, :, first:] for value in (q, k, v)]
        alone = attention(*own, causal=True, **options)
        assert torch.allclose(whole[entry : entry + 1, :, first:], alone, rtol=0.0, atol=1e-13)
        assert whole[entry, :, :first].eq(0).all()
    decoded = [
        attention(
            q[:, :, [t]], k[:, :, : t + 1], v[:, :, : t + 1], mask=mask[..., : t + 1], **options
        )
        for t in range(LENGTH)
    ]
    agree(decoded, whole)


@by_variant
def test_packed_documents(variant: str):
    q, k, v = (value[:1] for value in tensors())
    options = VARIANTS[variant]
    bounds = [0, 3, 4, 13]
    packed = attention(q, k, v, causal=True, cu_seqlens=torch.tensor(bounds), **options)
    alone = []
    for first, stop in pairwise(bounds):
        own = [value[:, :, first:stop] for value in (q, k, v)]
        alone.append(attention(*own, causal=True, **options))
    agree(alone, packed)


@by_variant
def test_right_padded_batch(variant: str):
    q, k, v = tensors()
    options = VARIANTS[variant]
    lengths = torch.tensor([13, 6, 1])
    whole = attention(q, k, v, key_lengths=lengths, **options)
    for entry, length in enumerate(lengths.tolist()):
        own = [value[entry : entry + 1, :, :length] for value in (q, k, v)]
        alone = attention(*own, **options)
        got = whole[entry : entry + 1, :, :length]
        assert torch.allclose(got, alone, rtol=0.0, atol=1e-13)
