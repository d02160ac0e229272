"""The attention function and the mask function that models of transformers call by name.

Both are registered under one name. A model whose attention function has no mask function of the
same name gets no mask at all: neither padding nor packed documents, and no causality either unless
the attention function knows what the absence of a mask stands for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from softmax_variants.torch import attention

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

__all__ = ["ATTRIBUTE", "NAME", "UNSERVED", "register"]

NAME = "softmax_variants"
"""Name of the attention implementation, as in ``config._attn_implementation``."""

ATTRIBUTE = "softmax_variant"
"""Name of the submodule of an attention layer that holds its variant."""

UNSERVED = {
    "block_indices": "attends to chosen blocks of keys",
    "cache": "keeps its keys and values in a paged cache (continuous batching)",
    "head_mask": "masks whole heads",
    "indices": "attends to chosen keys",
    "output_attentions": "was asked for its attention weights (output_attentions=True), which are "
    "never formed; restore_attention(model) and the implementation 'eager' return softmax's",
    "position_bias": "adds a position bias to its logits",
    "s_aux": "has attention sinks, terms of its own in the softmax's denominator",
    "sinks": "has attention sinks, terms of its own in the softmax's denominator",
    "softcap": "caps its logits (softcap)",
}
"""What changes a layer's weights and no variant takes into account, by the keyword it comes as."""

_make_mask: Callable[..., Tensor | None] = sdpa_mask


def register() -> None:
    """Make the attention implementation ``"softmax_variants"`` known to transformers.

    :func:`replace_attention` and :func:`load_attention` do so themselves. A process that gets a
    model with replaced attention by unpickling calls this once.

    Examples
    --------
    >>> from transformers import AttentionInterface, AttentionMaskInterface
    >>> from softmax_variants.transformers import register
    >>> register()
    >>> "softmax_variants" in AttentionInterface(), "softmax_variants" in AttentionMaskInterface()
    (True, True)
    """
    AttentionInterface.register(NAME, attention_forward)
    AttentionMaskInterface.register(NAME, attention_mask)


def attention_mask(
    *args: Any,
    q_length: int,
    kv_length: int,
    q_offset: int | Tensor = 0,
    kv_offset: int = 0,
    allow_is_causal_skip: bool = True,
    **options: Any,
) -> Tensor | None:
    """Return the boolean mask of a layer's kind, or None where `attention_forward` can tell it.

    None stands for a causal mask if there are several queries and for all keys visible if there is
    one (or the layer is not causal). So it may be returned only where the first query stands at
    the first key, or the one query at the last: not for a static cache that holds something (its
    offset is a tensor, known when the device has computed it) or has room beyond the one query.
    """
    aligned = isinstance(q_offset, int) and (
        q_offset == kv_offset if q_length > 1 else q_offset == kv_offset + kv_length - 1
    )
    return _make_mask(
        *args,
        q_length=q_length,
        kv_length=kv_length,
        q_offset=q_offset,
        kv_offset=kv_offset,
        allow_is_causal_skip=allow_is_causal_skip and aligned,
        **options,
    )


def attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: Tensor | None = None,
    cu_seq_lens_k: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Return the attention of one layer by its variant, (batch, queries, heads, dim), and None.

    n and the extrema of a row are those of the keys that its query sees, by the mask.
    """
    variant = getattr(module, ATTRIBUTE, None)
    layer = _title(module)
    if variant is None:
        msg = (
            f"{layer} has no variant to compute its attention with: call replace_attention(model, "
            f"...) or load_attention(model, ...) of softmax_variants.transformers; a model that "
            f"shares its config with one whose attention was replaced needs a copy of its own"
        )
        raise ValueError(msg)
    for keyword, reason in UNSERVED.items():
        if options.get(keyword) is not None and options[keyword] is not False:
            msg = f"{layer} {reason}: softmax_variants cannot compute its attention"
            raise ValueError(msg)
    if cu_seq_lens_q is not None or cu_seq_lens_k is not None:
        cu_seq_lens_q = _same_documents(layer, query, key, cu_seq_lens_q, cu_seq_lens_k)
    causal, window = False, None
    if attention_mask is None:
        queries, keys = query.shape[2], key.shape[2]
        one = queries == 1
        causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        causal = causal and not one
        if sliding_window is not None and sliding_window < keys:
            if not (causal or one):
                msg = (
                    f"{layer} has a window of {sliding_window} keys that is not causal, and no "
                    f"mask that says what lies in it: pass an attention_mask"
                )
                raise ValueError(msg)
            causal, window = True, sliding_window
        if causal and not one:
            # The first query stands at the first key. Keys behind the last query's are slots that
            # nothing was written to.
            key, value = key[:, :, :queries], value[:, :, :queries]
    output = attention(
        query,
        key,
        value,
        variant=variant,
        mask=attention_mask,
        causal=causal,
        window=window,
        cu_seqlens=cu_seq_lens_q,
        scale=scaling,
        dropout_p=dropout,
    )
    return output.transpose(1, 2).contiguous(), None


def _same_documents(
    layer: str, query: Tensor, key: Tensor, of_queries: Tensor | None, of_keys: Tensor | None
) -> Tensor:
    """Return where packed documents start, which must be the same for queries and keys."""
    if of_queries is None or of_keys is None:
        msg = f"{layer} needs both cu_seq_lens_q and cu_seq_lens_k, got one of them: pass both"
        raise ValueError(msg)
    if (
        query.shape[0] != 1
        or query.shape[2] != key.shape[2]
        or not (of_queries is of_keys or torch.equal(of_queries, of_keys))
    ):
        msg = (
            f"{layer} takes cu_seq_lens_q and cu_seq_lens_k for documents packed into one row, the "
            f"same for queries and keys: pass a batch of 1 without a cache, or an attention_mask"
        )
        raise ValueError(msg)
    return of_queries


def _title(module: nn.Module) -> str:
    """Return how messages name a layer, which does not know its own name."""
    index = getattr(module, "layer_idx", None)
    return type(module).__name__ + ("" if index is None else f" (layer_idx {index})")
