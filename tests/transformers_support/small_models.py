"""Small models with random weights, and dense attention to judge them by."""

from __future__ import annotations

import torch
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    Llama4ForCausalLM,
    Llama4TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    ModernBertConfig,
    ModernBertModel,
)
from transformers.masking_utils import eager_mask

import softmax_variants as sv
from softmax_variants.torch import SASoftmax, SSMax

VOCABULARY = 48
WINDOW = 4
DECODERS = ("llama", "mistral", "gpt2")
MODELS = (*DECODERS, "bert")


def small_model(
    kind: str, implementation: str = "sdpa", dtype: torch.dtype = torch.float64, **options
):
    """Return a model with random weights, the same for every implementation.

    Grouped-query heads in Llama and Mistral, a window of 4 keys in Mistral, chunks of 4 in one of
    Llama 4's layers, and a window on both sides in one of ModernBERT's; weights far from 0, so that
    attention is far from uniform.
    """
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2}
    more = sizes | {"initializer_range": 0.4, "attn_implementation": implementation} | options
    grouped = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 32}
    torch.manual_seed(7)
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**grouped | more))
    elif kind == "mistral":
        window = {"sliding_window": WINDOW}
        model = MistralForCausalLM(MistralConfig(**grouped | window | more))
    elif kind == "llama4":
        chunks = {"attention_chunk_size": WINDOW, "intermediate_size_mlp": 32, "moe_layers": []}
        config = Llama4TextConfig(**grouped | chunks | more, head_dim=8, no_rope_layers=[1, 0])
        model = Llama4ForCausalLM(config)
    elif kind == "modernbert":
        special = dict.fromkeys(("pad", "bos", "eos", "cls", "sep"), 0)
        special = {f"{name}_token_id": number for name, number in special.items()}
        heads = {"num_attention_heads": 4, "intermediate_size": 32, "local_attention": WINDOW}
        model = ModernBertModel(ModernBertConfig(**heads | special | more))
    elif kind == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(num_attention_heads=4, **more))
    else:
        heads = {"num_attention_heads": 4, "intermediate_size": 32}
        model = BertModel(BertConfig(**heads, **more))
    if kind in DECODERS:
        model.generation_config.eos_token_id = None
        model.generation_config.pad_token_id = 0
    return model.to(dtype).eval()


def tokens(batch: int, length: int, seed: int = 1) -> torch.Tensor:
    """Return random tokens, none of them the padding."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, VOCABULARY, (batch, length), generator=generator)


def padding(batch: int, length: int, side: str) -> torch.Tensor:
    """Return a padding mask: sequence i has i tokens of padding on a side."""
    keep = torch.arange(length) < length - torch.arange(batch)[:, None]
    return (keep.flip(1) if side == "left" else keep).long()


def result(model, **inputs) -> torch.Tensor:
    """Return a model's logits or hidden states."""
    output = model(**inputs)
    return output.logits if hasattr(output, "logits") else output.last_hidden_state


def dense_attention(module, query, key, value, attention_mask, scaling=None, **options):
    """Attention by the function of rows, from weights that are written out."""
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    logits = query @ key.transpose(-1, -2) * scaling
    # None only if everything is visible: eager masks stand for causality too.
    where = None if attention_mask is None else attention_mask == 0
    variant = module.variant_of_the_test
    if isinstance(variant, SSMax):
        rows = (variant.heads, 1, 1)
        b = 0.0 if variant.b is None else variant.b.view(rows)
        weights = sv.ssmax(logits, variant.s.view(rows), b, where=where)
    elif isinstance(variant, SASoftmax):
        weights = sv.sa_softmax(
            logits, form=variant.form, detach_extrema=variant.detach_extrema, where=where
        )
    else:
        weights = sv.softmax(logits, where=where)
    return (weights @ value).transpose(1, 2), weights


def make_dense(model, layers):
    """Let a model compute the variants of layers densely."""
    AttentionInterface.register("dense_for_tests", dense_attention)
    AttentionMaskInterface.register("dense_for_tests", eager_mask)
    own = dict(model.named_modules())
    for name, variant in layers.items():
        own[name].variant_of_the_test = variant
    model.set_attn_implementation("dense_for_tests")
    return model
