"""visible_keys counts what a mask written entry by entry shows."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings

from attention_support.dense import dense_mask
from attention_support.examples import Example, examples
from softmax_variants.torch import visible_keys

EVERYWHERE = torch.ones(4, 4, dtype=torch.bool)
ONE_TOO_LATE = EVERYWHERE.tril(1).repeat(2, 1, 1, 1)
ONE_TOO_LATE[1, 0, 1, 3] = True


@settings(max_examples=150, deadline=None, derandomize=True)
@given(examples())
def test_counts_are_those_of_the_dense_mask(example: Example):
    _, _, queries, keys = example.shape
    counts = visible_keys(queries, keys, **example.arguments)
    assert counts.dtype == torch.int64
    assert counts.shape[0] in (1, example.batch)
    assert counts.shape[1] in (1, example.heads)
    assert counts.shape[2:] == (queries, 1)
    wanted = dense_mask(*example.shape, **example.arguments).sum(-1, keepdim=True)
    assert torch.equal(counts.expand(wanted.shape), wanted)


@pytest.mark.parametrize("causal", [False, True])
def test_left_padding(causal: bool):
    padding = torch.tensor([[True] * 5, [False, False, True, True, True], [False] * 5])
    counts = visible_keys(5, mask=padding[:, None, None, :], causal=causal)
    assert counts.shape == (3, 1, 5, 1)
    wanted = [[1, 2, 3, 4, 5], [0, 0, 1, 2, 3]] if causal else [[5] * 5, [3] * 5]
    assert counts.flatten(1).tolist() == [*wanted, [0] * 5]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_additive_masks(dtype: torch.dtype):
    low = torch.finfo(dtype).min
    # Sums of a causal mask and one of padding reach -inf; half of the smallest is a logit.
    mask = torch.tensor([0.0, low, -math.inf, low + low, 0.75 * low, 0.25 * low, -3.5], dtype=dtype)
    assert visible_keys(1, mask=mask).item() == 3
    assert visible_keys(1, mask=torch.tensor([math.nan, 0.0, low], dtype=dtype)).item() == 2


def test_packed_documents_in_windows():
    bounds = torch.tensor([0, 4, 4, 5, 11], dtype=torch.int32)
    counts = visible_keys(11, cu_seqlens=bounds, causal=True, window=3)
    assert counts.flatten().tolist() == [1, 2, 3, 3, 1, 1, 2, 3, 3, 3, 3]
    counts = visible_keys(11, cu_seqlens=bounds, window=(1, None))
    assert counts.flatten().tolist() == [4, 4, 3, 2, 1, 6, 6, 5, 4, 3, 2]
    assert visible_keys(11, cu_seqlens=bounds).flatten().tolist() == [4] * 4 + [1] + [6] * 6


def test_caches():
    assert visible_keys(3, 10, causal=True).flatten().tolist() == [8, 9, 10]
    assert visible_keys(3, 10, causal=True, offset=4).flatten().tolist() == [5, 6, 7]
    assert visible_keys(1, 10, causal=True, window=4).item() == 4
    # A static cache: its end is not yet written, and positions may run beyond it.
    positions = torch.tensor([[3, 4], [9, 25]])
    counts = visible_keys(2, 10, causal=True, cache_position=positions)
    assert counts.flatten(1).tolist() == [[4, 5], [10, 10]]
    assert visible_keys(2, 10, causal=True, offset=-1).flatten().tolist() == [0, 1]


def test_lengths():
    counts = visible_keys(3, key_lengths=torch.tensor([0, 2, 3]), causal=True)
    assert counts.flatten(1).tolist() == [[0, 0, 0], [1, 2, 2], [1, 2, 3]]
    assert visible_keys(3, key_lengths=torch.tensor([0, 2])).flatten(1).tolist() == [
        [0] * 3,
        [2] * 3,
    ]


def test_long_sequences_need_no_mask():
    length = 2**19  # whose mask would have 2**38 entries
    counts = visible_keys(length, causal=True, window=4096).flatten()
    assert counts.sum() == 4096 * 4097 // 2 + 4096 * (length - 4096)
    padding = torch.ones(1, 1, 1, length, dtype=torch.bool)
    padding[..., : length // 2] = False
    assert visible_keys(length, mask=padding, causal=True).max() == length // 2
    documents = torch.arange(0, length + 1, 1024)
    assert visible_keys(length, cu_seqlens=documents, causal=True).max() == 1024


def test_nothing_to_count():
    assert visible_keys(0).shape == (1, 1, 0, 1)
    assert visible_keys(3, 0).flatten().tolist() == [0, 0, 0]
    assert visible_keys(0, cu_seqlens=torch.tensor([0])).shape == (1, 1, 0, 1)


def test_number_of_keys_is_that_of_the_mask():
    assert visible_keys(1, mask=torch.ones(6, dtype=torch.bool)).item() == 6
    assert visible_keys(3, mask=torch.ones(3, 1, dtype=torch.bool)).flatten().tolist() == [3] * 3


def test_mask_expanded_along_its_queries_is_one_of_padding():
    padding = torch.tensor([False, True, True, True]).expand(4, 4)
    assert visible_keys(4, mask=padding, causal=True).flatten().tolist() == [0, 1, 2, 3]


def test_result_may_be_changed():
    counts = visible_keys(3)
    counts += 1
    assert counts.flatten().tolist() == [4] * 3


def test_device():
    assert visible_keys(3, causal=True, device="meta").device.type == "meta"
    assert visible_keys(3, causal=True).device.type == "cpu"
    with torch.device("meta"):
        assert visible_keys(3, causal=True).device.type == "meta"


WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (TypeError, "queries must be an int, got float 4.0", {"queries": 4.0}),
    (ValueError, "keys must be at least 0, got -1", {"keys": -1}),
    (TypeError, "pass mask != 0", {"mask": torch.ones(4, 4, dtype=torch.int64)}),
    (TypeError, "mask must be a boolean or floating tensor, or None, got list", {"mask": [True]}),
    (
        ValueError,
        r"mask must broadcast to .* = \(batch, heads, 4, 4\), got shape \(2, 3\)",
        {"mask": torch.ones(2, 3, dtype=torch.bool), "keys": 4},
    ),
    (
        ValueError,
        r"mask shows key 1 to query 0, which causal=True hides: leave out",
        {"mask": EVERYWHERE, "causal": True},
    ),
    (
        ValueError,
        r"mask shows key 3 to query 1, .* a mask of padding only",
        {
            "mask": ONE_TOO_LATE,
            "causal": True,
            "offset": 1,
        },
    ),
    (TypeError, "causal must be a bool, got .*mask=", {"causal": EVERYWHERE}),
    (ValueError, "window must be at least 1, the query's own key, got 0", {"window": 0}),
    (TypeError, "window must be an int, a pair .* got True", {"window": True}),
    (TypeError, r"window must be an int, a pair .* got \(float 1.0, int 2\)", {"window": (1.0, 2)}),
    (
        TypeError,
        r"window must be an int, a pair .* got \(int 1, int 2, int 3\)",
        {"window": (1, 2, 3)},
    ),
    (ValueError, "window must have no negative side", {"window": (-1, 0)}),
    (
        ValueError,
        r"window=\(1, 2\) shows 2 of them: pass window=\(1, 0\)",
        {"window": (1, 2), "causal": True},
    ),
    (TypeError, "offset must be an int, got .*cache_position=", {"offset": torch.tensor(3)}),
    (ValueError, "pass one of them", {"offset": 1, "cache_position": torch.arange(4)}),
    (
        TypeError,
        "cache_position must have an integer dtype, got torch.float32",
        {"cache_position": torch.ones(4)},
    ),
    (
        ValueError,
        r"cache_position must have shape \(4,\) or \(batch, 4\)",
        {"cache_position": torch.arange(3)},
    ),
    (
        ValueError,
        r"cache_position must have shape \(4,\) or \(2, 4\), .* got \(3, 4\)",
        {
            "cache_position": torch.zeros(3, 4, dtype=torch.int64),
            "mask": torch.ones(2, 1, 1, 4) > 0,
        },
    ),
    (TypeError, "key_lengths must be an integer tensor", {"key_lengths": [3]}),
    (
        ValueError,
        "key_lengths must be on the CPU or on cpu",
        {"key_lengths": torch.ones(1, device="meta").long(), "mask": EVERYWHERE},
    ),
    (ValueError, r"key_lengths must have shape \(batch,\)", {"key_lengths": torch.tensor(3)}),
    (
        ValueError,
        "key_lengths must be from 0 to the number of keys 4, got 5",
        {"key_lengths": torch.tensor([1, 5])},
    ),
    (
        ValueError,
        "offset must be left out beside cu_seqlens",
        {"cu_seqlens": torch.tensor([0, 4]), "offset": 2},
    ),
    (
        ValueError,
        "cache_position has no meaning beside cu_seqlens",
        {"cu_seqlens": torch.tensor([0, 4]), "cache_position": torch.arange(4)},
    ),
    (
        ValueError,
        "as many of both, got 4 queries and 5 keys",
        {"cu_seqlens": torch.tensor([0, 4]), "keys": 5},
    ),
    (
        ValueError,
        r"cu_seqlens must rise from 0 to the length 4.* got \(1, 4\)",
        {"cu_seqlens": torch.tensor([1, 4])},
    ),
    (
        ValueError,
        r"cu_seqlens must rise .* got \(0, 3\), which ends at 3",
        {"cu_seqlens": torch.tensor([0, 3])},
    ),
    (ValueError, "cu_seqlens must rise", {"cu_seqlens": torch.tensor([0, 3, 2, 4])}),
    (TypeError, "cu_seqlens must have an integer dtype", {"cu_seqlens": torch.tensor([0.0, 4.0])}),
    (
        ValueError,
        r"cu_seqlens must have shape \(documents \+ 1,\), got \(\)",
        {"cu_seqlens": torch.tensor(0)},
    ),
    (TypeError, "mask must be a dense tensor.*to_dense", {"mask": EVERYWHERE.to_sparse()}),
]


@pytest.mark.parametrize(("error", "message", "arguments"), WRONG, ids=[m for _, m, _ in WRONG])
def test_wrong_arguments(error: type[Exception], message: str, arguments: dict[str, Any]):
    with pytest.raises(error, match=message):
        visible_keys(**{"queries": 4, **arguments})
