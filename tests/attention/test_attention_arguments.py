"""What attention is wrongly given is named, with what it must be and what to do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from softmax_variants.torch import SASoftmax, Softmax, SSMax, attention

Q, K, V = torch.ones(2, 4, 3, 8), torch.ones(2, 2, 5, 8), torch.ones(2, 2, 5, 6)
MASK = torch.ones(3, 5, dtype=torch.bool)


def meta(x: Tensor) -> Tensor:
    return x.to("meta")


WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (TypeError, r"q must be a tensor of shape \(batch, heads, queries, dim\)", {"q": [1.0]}),
    (
        ValueError,
        r"k must have shape \(batch, kv_heads, keys, dim\), got \(2, 5, 8\)",
        {"k": K[:, 0]},
    ),
    (ValueError, r"k must have q's batch 2, got 1: q has shape \(2, 4, 3, 8\)", {"k": K[:1]}),
    (ValueError, "k must have q's dim 8, got 7", {"k": K[..., :7]}),
    (
        ValueError,
        r"v must have k's batch, heads and keys \(2, 2, 5\), got .*4, 6",
        {"v": V[:, :, :4]},
    ),
    (ValueError, "got 3 heads in q and 2 in k and v", {"q": Q[:, :3]}),
    (ValueError, "got 4 heads in q and 0 in k and v", {"k": K[:, :0], "v": V[:, :0]}),
    (
        ValueError,
        "got 5 heads in q and 4 in k and v; .* the length after the heads",
        {"q": torch.ones(2, 5, 4, 8), "k": torch.ones(2, 4, 5, 8), "v": torch.ones(2, 4, 5, 8)},
    ),
    (ValueError, "q must have a dim of at least 1", {"q": Q[..., :0], "k": K[..., :0]}),
    (
        TypeError,
        "k must have q's dtype torch.float32, got torch.float64: convert",
        {"k": K.double()},
    ),
    (ValueError, "v must be on q's device cpu, got a tensor on meta", {"v": meta(V)}),
    (
        TypeError,
        "q must have one of the dtypes .* got torch.int64: convert it first",
        {"q": Q.long()},
    ),
    (TypeError, "k must have one of the dtypes .* got torch.complex64", {"k": K.cfloat()}),
    (TypeError, "q must be a dense tensor.*to_dense", {"q": Q.to_sparse()}),
    (TypeError, "mask must have dtype bool.*pass mask != 0", {"mask": MASK.int()}),
    (
        ValueError,
        r"= \(2, 4, 3, 5\), got shape \(2, 5\); .*mask\[:, None, None, :\]",
        {"mask": MASK[:2]},
    ),
    (ValueError, "mask must be on the device of the queries", {"mask": meta(MASK)}),
    (
        ValueError,
        "mask shows key 3 to query 0, which causal=True hides",
        {"mask": MASK, "causal": True},
    ),
    (
        ValueError,
        "mask shows key 1 to query 0, which causal=True hides",
        {"mask": MASK, "causal": True, "cache_position": torch.arange(3)},
    ),
    (ValueError, r"key_lengths must have shape \(2,\)", {"key_lengths": torch.tensor([5])}),
    (ValueError, "as many of both, got 3 queries and 5 keys", {"cu_seqlens": torch.tensor([0, 3])}),
    (ValueError, "window must be at least 1", {"window": 0}),
    (ValueError, "variant must be one of 'softmax', .* got 'softmx'", {"variant": "softmx"}),
    (TypeError, "variant must be one of .* got type", {"variant": SSMax}),
    (ValueError, "s is used by variant='ssmax' only, got it with variant='softmax'", {"s": 0.4}),
    (ValueError, "b is used by variant='ssmax' only", {"b": torch.zeros(())}),
    (ValueError, "n is used by variant='ssmax' only", {"n": 5, "variant": "sa_softmax"}),
    (ValueError, "form is used by variant='sa_softmax' only", {"form": "plain"}),
    (ValueError, "detach_extrema is used by variant='sa_softmax' only", {"detach_extrema": True}),
    (ValueError, "form must be one of .* got 'gated'", {"form": "gated", "variant": "sa_softmax"}),
    (ValueError, "s must be left out beside variant=SSMax", {"variant": SSMax(4), "s": 0.4}),
    (ValueError, "form must be left out beside", {"variant": SASoftmax(), "form": "plain"}),
    (ValueError, "n must be left out beside variant=Softmax", {"variant": Softmax(), "n": 4}),
    (ValueError, "an SSMax with as many heads as q, 4, got one with 2", {"variant": SSMax(2)}),
    (ValueError, "a Softmax along the keys, .* got one along axis 1", {"variant": Softmax(1)}),
    (ValueError, "n must be positive and finite, got int 0", {"variant": "ssmax", "n": 0}),
    (ValueError, "s must be finite, got float inf", {"variant": "ssmax", "s": math.inf}),
    (
        ValueError,
        r"s must be a number, or broadcast to \(2, 4, 3, 1\), .* \(4, 1, 1\), .* got shape \(4,\)",
        {"variant": "ssmax", "s": torch.ones(4)},
    ),
    (ValueError, "s must be on q's device", {"variant": SSMax(4, device="meta")}),
    (
        TypeError,
        "scale must be a number or None, got a PyTorch array",
        {"scale": torch.tensor(1.0)},
    ),
    (ValueError, "scale must be positive and finite, got float 0.0", {"scale": 0.0}),
    (ValueError, "dropout_p must be at least 0 and less than 1, got 1.0", {"dropout_p": 1.0}),
    (TypeError, "dropout_p must be a number, got True", {"dropout_p": True}),
]


@pytest.mark.parametrize(("error", "message", "arguments"), WRONG, ids=[m for _, m, _ in WRONG])
def test_wrong_arguments(error: type[Exception], message: str, arguments: dict[str, Any]):
    with pytest.raises(error, match=message):
        attention(**{"q": Q, "k": K, "v": V, **arguments})


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_quantized_tensors():
    quantized = torch.quantize_per_tensor(V, 0.1, 0, torch.quint8)
    with pytest.raises(
        TypeError, match=r"v must .* got torch.quint8: call its dequantize\(\) first"
    ):
        attention(Q, K, quantized)


def test_masks_that_go_with_causal():
    shown = torch.ones(3, 5, dtype=torch.bool).tril(2)
    for mask in (shown, shown & (torch.arange(5) > 0), torch.ones(1, 5, dtype=torch.bool)):
        attention(Q, K, V, mask=mask, causal=True)
    attention(Q, K, V, mask=torch.ones(5, dtype=torch.bool).expand(2, 1, 3, 5), causal=True)
    # One query sees all that its mask shows.
    attention(Q[:, :, :1], K, V, mask=torch.ones(2, 1, 1, 5, dtype=torch.bool), causal=True)


def test_arguments_are_not_changed():
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(x.shape, generator=generator) for x in (Q, K, V))
    mask = torch.randn(3, 5, generator=generator)
    mask[0, 0] = -math.inf
    kept = [x.clone() for x in (q, k, v, mask)]
    for variant in ("softmax", "ssmax", "sa_softmax"):
        attention(q, k, v, variant=variant, mask=mask, window=4)
    assert all(torch.equal(one, other) for one, other in zip((q, k, v, mask), kept, strict=True))
