"""Replaced attention is saved and loaded, and what it has learned with it."""

from __future__ import annotations

import re

import pytest
import torch
from transformers import LlamaForCausalLM

from softmax_variants.torch import SASoftmax, Softmax, SSMax
from softmax_variants.transformers import (
    load_attention,
    replace_attention,
    restore_attention,
    save_attention,
)
from transformers_support.small_models import result, small_model, tokens

VARIANTS = {
    "ssmax": {"length": 9, "bias": 0.5, "dtype": torch.float32},
    "ssmax not learned": {"init": 0.43, "learned": False},
    "sa_softmax": {"form": "plain", "detach_extrema": True},
    "softmax": {},
}


def learned(model):
    """Return a model whose s and b are all different."""
    for i, module in enumerate(m for m in model.modules() if isinstance(m, SSMax)):
        with torch.no_grad():
            for tensor in module.state_dict().values():
                tensor.add_(torch.arange(4) / 8 + i)
    return model


@pytest.mark.parametrize("variant", VARIANTS)
def test_saved_and_loaded(tmp_path, variant):
    model = replace_attention(small_model("llama"), variant.split()[0], **VARIANTS[variant])
    expected = result(learned(model), input_ids=tokens(2, 6))
    model.save_pretrained(tmp_path)
    file = save_attention(model, tmp_path)
    assert file == tmp_path / "softmax_variants.safetensors"
    other = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
    assert load_attention(other, tmp_path) is other
    assert str(other) == str(model)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert mine.dtype == theirs.dtype
    torch.testing.assert_close(result(other, input_ids=tokens(2, 6)), expected, rtol=0, atol=0)


def test_different_layers_are_saved_as_such(tmp_path):
    made = [SSMax(4, init=0.43, dtype=torch.float64), Softmax()]
    model = replace_attention(small_model("llama"), lambda name, layer: made[layer.layer_idx])
    save_attention(model, tmp_path / "new folder")
    other = load_attention(small_model("llama"), tmp_path / "new folder")
    kinds = [type(layer.self_attn.softmax_variant) for layer in other.model.layers]
    assert kinds == [SSMax, Softmax]
    expected = result(model, input_ids=tokens(2, 6))
    torch.testing.assert_close(result(other, input_ids=tokens(2, 6)), expected, rtol=0, atol=0)


def test_state_dict_round_trip():
    model = learned(replace_attention(small_model("llama"), "ssmax", length=9))
    other = replace_attention(small_model("llama"), "ssmax", length=9)
    before = result(other, input_ids=tokens(2, 6))
    other.load_state_dict(model.state_dict())
    expected = result(model, input_ids=tokens(2, 6))
    torch.testing.assert_close(result(other, input_ids=tokens(2, 6)), expected, rtol=0, atol=0)
    assert (before - expected).abs().max() > 1e-3


def test_a_loaded_model_is_restored(tmp_path):
    save_attention(replace_attention(small_model("llama"), "sa_softmax"), tmp_path)
    model = load_attention(small_model("llama", "eager"), tmp_path)
    assert isinstance(model.model.layers[0].self_attn.softmax_variant, SASoftmax)
    assert restore_attention(model).config._attn_implementation == "eager"


def test_wrong_files_and_models(tmp_path):
    with pytest.raises(ValueError, match="attention of this LlamaForCausalLM was not replaced"):
        save_attention(small_model("llama"), tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape("save_attention(model, folder) writes")):
        load_attention(small_model("llama"), tmp_path)
    save_attention(replace_attention(small_model("llama")), tmp_path)
    other = small_model("llama", num_hidden_layers=3)
    with pytest.raises(ValueError, match=r"only in the model: model\.layers\.2\.self_attn"):
        load_attention(other, tmp_path)
    assert other.config._attn_implementation == "sdpa"
    assert not any("softmax_variant" in name for name, _ in other.named_modules())
    other = small_model("llama", num_attention_heads=2)
    with pytest.raises(ValueError, match=r"self_attn has 2 attention heads, which SSMax\(heads=4"):
        load_attention(other, tmp_path)
    assert other.config._attn_implementation == "sdpa"
