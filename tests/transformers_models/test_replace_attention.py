"""Which models are changed, how, and which are left untouched."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
import torch
from torch import nn
from transformers import (
    AttentionMaskInterface,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    BloomConfig,
    BloomModel,
    CLIPConfig,
    CLIPModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    T5Config,
    T5Model,
)
from transformers.masking_utils import causal_mask_function

from softmax_variants.torch import SASoftmax, Softmax, SSMax
from softmax_variants.transformers import register, replace_attention, restore_attention
from softmax_variants.transformers._attention_function import attention_forward, attention_mask
from transformers_support.small_models import VOCABULARY, padding, result, small_model, tokens

TINY = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2}
GROUPED = {
    **TINY,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "head_dim": 8,
}
CLOSE = {"rtol": 1e-11, "atol": 1e-11}


def bart(seed: int = 5) -> BartForConditionalGeneration:
    torch.manual_seed(seed)
    config = BartConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=32,
        init_std=0.4,
        pad_token_id=0,
    )
    return BartForConditionalGeneration(config).double().eval()


def clip(seed: int = 5) -> CLIPModel:
    torch.manual_seed(seed)
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = CLIPConfig(
        text_config={**sizes, "vocab_size": VOCABULARY, "eos_token_id": 1},
        vision_config={**sizes, "image_size": 8, "patch_size": 4},
        projection_dim=8,
    )
    return CLIPModel(config).double().eval()


REFUSED = {
    "gemma2": (
        lambda: Gemma2ForCausalLM(Gemma2Config(**GROUPED)),
        "model.layers.0.self_attn (Gemma2Attention) caps its logits (softcap), softcap=50.0",
    ),
    "gemma2 without caps": (
        lambda: Gemma2ForCausalLM(Gemma2Config(**GROUPED, attn_logit_softcapping=None)),
        "model.layers.0.self_attn (Gemma2Attention) is part of Gemma2Model, which does not support",
    ),
    "gpt_oss": (
        lambda: GptOssForCausalLM(GptOssConfig(**GROUPED, num_local_experts=2)),
        "model.layers.0.self_attn (GptOssAttention) has attention sinks",
    ),
    "t5": (
        lambda: T5Model(T5Config(vocab_size=VOCABULARY, d_model=16, d_ff=16, num_layers=1)),
        "encoder.block.0.layer.0.SelfAttention (T5Attention) adds a position bias",
    ),
    "bloom": (
        lambda: BloomModel(BloomConfig(vocab_size=VOCABULARY, hidden_size=16, n_layer=1, n_head=2)),
        "h.0.self_attention (BloomAttention) computes its attention itself, not through",
    ),
    "weights returned": (
        lambda: BertModel(
            BertConfig(
                **TINY,
                num_attention_heads=4,
                attn_implementation="eager",
                output_attentions=True,
            )
        ),
        "encoder.layer.0.attention.self (BertSelfAttention) is to return its attention weights",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("variant", ["ssmax", "softmax"])
def test_a_model_that_cannot_be_served_is_untouched(kind, variant):
    make, message = REFUSED[kind]
    model = make()
    implementation, keys = model.config._attn_implementation, list(model.state_dict())
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        replace_attention(model, variant)
    assert f"{type(model).__name__} is left as it is" in str(raised.value)
    assert model.config._attn_implementation == implementation != "softmax_variants"
    assert list(model.state_dict()) == keys


class UnreadAttention(nn.Module):
    """Looks its attention function up elsewhere than in forward."""

    def look_up(self):
        return ALL_ATTENTION_FUNCTIONS["sdpa"]  # noqa: F821 (never called)

    def forward(self, x):
        return x


class BiasedAttention(nn.Module):
    """Passes a term of its logits where the mask goes."""

    def forward(self, q, k, v, bias):
        interface = ALL_ATTENTION_FUNCTIONS.get_interface("sdpa", None)  # noqa: F821 (never called)
        return interface(self, q, k, v, bias, scaling=1.0)


def test_one_refused_layer_refuses_the_model():
    model = small_model("llama")
    model.model.layers[1].self_attn = UnreadAttention()
    with pytest.raises(ValueError, match=r"layers\.1\.self_attn \(UnreadAttention\) calls its att"):
        replace_attention(model)
    assert not hasattr(model.model.layers[0].self_attn, "softmax_variant")
    model.model.layers[1].self_attn = BiasedAttention()
    with pytest.raises(ValueError, match=r"\(BiasedAttention\) passes bias in place of"):
        replace_attention(model)
    model.model.layers[1].self_attn = nn.MultiheadAttention(8, 2)
    with pytest.raises(
        ValueError, match=r"self_attn \(MultiheadAttention\) computes its attention"
    ):
        replace_attention(model)
    # Asked for the other layer alone, it does not stand in the way.
    first = replace_attention(model, layers=lambda name: "layers.0" in name)
    assert isinstance(first.model.layers[0].self_attn.softmax_variant, SSMax)


def test_the_default_is_neutral_and_length_is_not():
    model = replace_attention(small_model("llama"))
    own = model.model.layers[1].self_attn.softmax_variant
    assert repr(own) == "SSMax(heads=4, init=0.0, bias=1.0)"
    model = replace_attention(model, "ssmax", length=64, bias=0.5)
    own = model.model.layers[1].self_attn.softmax_variant
    assert repr(own) == "SSMax(heads=4, init='log_length', length=64, bias=0.5)"
    model = replace_attention(model, "ssmax", init="mean_log_length", length=64, learned=False)
    own = model.model.layers[1].self_attn.softmax_variant
    assert list(own.parameters()) == []


def test_parameters_are_like_the_layers():
    model = small_model("llama", dtype=torch.bfloat16)
    assert replace_attention(model).model.layers[0].self_attn.softmax_variant.s.dtype == (
        torch.bfloat16
    )
    model = replace_attention(model, dtype=torch.float32)
    assert model.model.layers[0].self_attn.softmax_variant.s.dtype == torch.float32
    assert result(model, input_ids=tokens(1, 4)).isfinite().all()
    meta = replace_attention(small_model("llama").to("meta"))
    assert meta.model.layers[0].self_attn.softmax_variant.s.is_meta


def test_restoring_gives_the_model_back():
    ids = tokens(2, 6)
    for implementation in ("sdpa", "eager"):
        model = small_model("llama", implementation)
        expected, keys = result(model, input_ids=ids), list(model.state_dict())
        replace_attention(model, "ssmax", init=2.0)
        replace_attention(model, "sa_softmax")
        assert (result(model, input_ids=ids) - expected).abs().max() > 1e-3
        assert restore_attention(model) is model
        torch.testing.assert_close(result(model, input_ids=ids), expected, rtol=0, atol=0)
        assert model.config._attn_implementation == implementation
        assert list(model.state_dict()) == keys
        with pytest.raises(ValueError, match="attention of this LlamaForCausalLM was not replaced"):
            restore_attention(model)


def test_the_model_in_a_model():
    whole = small_model("llama")
    replace_attention(whole.model, "sa_softmax")
    expected = result(replace_attention(small_model("llama"), "sa_softmax"), input_ids=tokens(1, 5))
    torch.testing.assert_close(result(whole, input_ids=tokens(1, 5)), expected, rtol=0, atol=0)
    restore_attention(whole)
    assert whole.config._attn_implementation == "sdpa"


def test_chosen_layers():
    ids = tokens(2, 6)
    model = replace_attention(
        small_model("llama"),
        "ssmax",
        init=2.0,
        layers=lambda name: name.startswith("model.layers.1"),
    )
    kinds = [type(layer.self_attn.softmax_variant) for layer in model.model.layers]
    assert kinds == [Softmax, SSMax]
    # The first layer is as it was.
    hidden = model(input_ids=ids, output_hidden_states=True).hidden_states
    expected = small_model("llama")(input_ids=ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(hidden[1], expected[1], **CLOSE)
    assert (hidden[2] - expected[2]).abs().max() > 1e-3


def test_a_function_that_makes_the_variants():
    made = {
        "model.layers.0.self_attn": SSMax(4, init=0.43, dtype=torch.float64),
        "model.layers.1.self_attn": SASoftmax("minmax"),
    }
    model = replace_attention(small_model("llama"), lambda name, layer: made[name])
    for name, variant in made.items():
        assert model.get_submodule(name).softmax_variant is variant
    assert result(model, input_ids=tokens(1, 5)).isfinite().all()


def test_encoder_and_decoder():
    model, own = replace_attention(bart()), bart()
    heads = {name: m.heads for name, m in model.named_modules() if isinstance(m, SSMax)}
    assert sorted(heads.values()) == [2, 2, 4]  # the decoder's two, the encoder's one
    inputs = {"input_ids": tokens(2, 7), "attention_mask": padding(2, 7, "right")}
    decoder = {"decoder_input_ids": tokens(2, 5, seed=2)}
    torch.testing.assert_close(
        result(model, **inputs, **decoder), result(own, **inputs, **decoder), **CLOSE
    )
    generated = [m.generate(**inputs, max_new_tokens=5, num_beams=2) for m in (model, own)]
    assert generated[0].tolist() == generated[1].tolist()


def test_a_model_of_two_models():
    inputs = {
        "input_ids": tokens(2, 5),
        "pixel_values": torch.randn(2, 3, 8, 8, dtype=torch.float64),
        "attention_mask": padding(2, 5, "right"),
    }
    expected = clip()(**inputs)
    whole = replace_attention(clip(), "ssmax")
    assert sum(isinstance(m, SSMax) for m in whole.modules()) == 2
    for name in ("text_embeds", "image_embeds"):
        torch.testing.assert_close(whole(**inputs)[name], expected[name], **CLOSE)
    restore_attention(whole)
    torch.testing.assert_close(whole(**inputs).logits_per_text, expected.logits_per_text)
    parts = {part.config._attn_implementation for part in (whole, whole.text_model)}
    assert parts == {"sdpa"}


def test_copies_keep_their_variants():
    model = replace_attention(small_model("llama"), "ssmax", init=2.0)
    expected = result(model, input_ids=tokens(1, 5))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(result(other, input_ids=tokens(1, 5)), expected)
        restore_attention(other)
    torch.testing.assert_close(result(model, input_ids=tokens(1, 5)), expected)


def test_a_model_without_variants_says_so():
    register()
    model = small_model("llama", "softmax_variants")
    with pytest.raises(ValueError, match=r"LlamaAttention \(layer_idx 0\) has no variant"):
        model(input_ids=tokens(1, 3))
    expected = result(small_model("llama"), input_ids=tokens(1, 3))
    replace_attention(model)
    torch.testing.assert_close(result(model, input_ids=tokens(1, 3)), expected, **CLOSE)
    restore_attention(model)
    torch.testing.assert_close(result(model, input_ids=tokens(1, 3)), expected, **CLOSE)


def test_weights_are_not_returned():
    model = replace_attention(small_model("llama"))
    with pytest.raises(ValueError, match="was asked for its attention weights"):
        model(input_ids=tokens(1, 3), output_attentions=True)


@pytest.mark.parametrize(
    ("keyword", "reason"),
    [
        ("softcap", "caps its logits"),
        ("s_aux", "has attention sinks"),
        ("position_bias", "adds a position bias"),
        ("head_mask", "masks whole heads"),
        ("cache", "keeps its keys and values in a paged cache"),
    ],
)
def test_what_comes_with_the_call_is_refused(keyword, reason):
    layer = replace_attention(small_model("llama")).model.layers[0].self_attn
    q = torch.zeros(1, 4, 3, 8)
    assert attention_forward(layer, q, q, q, None, **{keyword: None})[0].shape == (1, 3, 4, 8)
    with pytest.raises(ValueError, match=rf"LlamaAttention \(layer_idx 0\) {reason}"):
        attention_forward(layer, q, q, q, None, **{keyword: torch.ones(1)})


def test_documents_that_cannot_be_told():
    layer = replace_attention(small_model("llama")).model.layers[0].self_attn
    q, starts = torch.zeros(1, 4, 3, 8), torch.tensor([0, 1, 3])
    two = {"cu_seq_lens_q": starts, "cu_seq_lens_k": starts}
    with pytest.raises(ValueError, match="needs both cu_seq_lens_q and cu_seq_lens_k"):
        attention_forward(layer, q, q, q, None, cu_seq_lens_q=starts)
    with pytest.raises(ValueError, match="documents packed into one row"):
        attention_forward(layer, *[q.expand(2, 4, 3, 8)] * 3, None, **two)
    two["cu_seq_lens_k"] = torch.tensor([0, 2, 3])
    with pytest.raises(ValueError, match="documents packed into one row"):
        attention_forward(layer, q, q, q, None, **two)


def test_a_window_without_a_mask():
    layer = replace_attention(small_model("llama"), "sa_softmax").model.layers[0].self_attn
    generator = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(1, 4, 6, 8, generator=generator) for _ in range(3))
    sees = torch.ones(6, 6, dtype=torch.bool).tril().triu(-2)
    expected = attention_forward(layer, q, k, v, sees[None, None])[0]
    windowed = attention_forward(layer, q, k, v, None, sliding_window=3)[0]
    torch.testing.assert_close(windowed, expected)
    last = attention_forward(layer, q[:, :, -1:], k, v, None, sliding_window=3)[0]
    torch.testing.assert_close(last, expected[:, -1:])
    with pytest.raises(ValueError, match="a window of 3 keys that is not causal"):
        attention_forward(layer, q, k, v, None, sliding_window=3, is_causal=False)


def test_masks_are_left_out_only_where_none_says_the_same():
    make = AttentionMaskInterface()["sdpa"]
    causal = {"batch_size": 1, "mask_function": causal_mask_function}
    for sizes in (
        {"q_length": 4, "kv_length": 4},
        {"q_length": 1, "kv_length": 4, "q_offset": 3},
        {"q_length": 1, "kv_length": 4, "q_offset": 9, "kv_offset": 6},
    ):
        assert attention_mask(**causal, **sizes) is None
    for sizes in (
        # The second part of a prompt; caches with room for more keys, and their first token.
        {"q_length": 2, "kv_length": 4, "q_offset": 2},
        {"q_length": 4, "kv_length": 8, "q_offset": torch.tensor(0)},
        {"q_length": 1, "kv_length": 8, "q_offset": torch.tensor(0)},
        {"q_length": 1, "kv_length": 8, "q_offset": 3},
        {"q_length": 4, "kv_length": 4, "local_size": 3},
    ):
        mask = attention_mask(**causal, **sizes)
        assert mask.dtype == torch.bool
        expected = make(**causal, **sizes, allow_is_causal_skip=False)
        torch.testing.assert_close(mask, expected)


WRONG = {
    "variant='entmax'": (ValueError, "variant must be 'softmax', 'ssmax' or 'sa_softmax'"),
    "variant=3": (TypeError, "variant must be 'softmax', 'ssmax', 'sa_softmax' or a function"),
    "variant='ssmax', form='plain'": (ValueError, "form is not an option of variant 'ssmax'"),
    "variant='sa_softmax', length=8": (ValueError, "length is not an option of variant 'sa_soft"),
    "variant='sa_softmax', form='sharp'": (ValueError, "form must be one of"),
    "variant='softmax', bias=1.0": (ValueError, "bias is not an option of variant 'softmax'"),
    "bias=0.5": (ValueError, "bias alone does not say what s starts from"),
    "length=1": (ValueError, "length must be at least 2"),
    "init=0.43, length=8": (ValueError, "length is used by init='log_length' and"),
    "layers='all'": (TypeError, "layers must be a function of a layer's name or None"),
    "layers=lambda name: False": (ValueError, "layers chose none of the attention layers: model."),
    "variant=lambda name, layer: None": (TypeError, "variant must return a Softmax, SSMax or"),
    "variant=lambda name, layer: Softmax(1)": (ValueError, "a layer's variant runs along the keys"),
    "variant=lambda name, layer, one=SSMax(4): one": (ValueError, "one module for several layers"),
    "variant=lambda name, layer: SSMax(2)": (ValueError, "self_attn has 4 attention heads, which"),
    "variant=lambda name, layer: Softmax(), bias=1.0": (ValueError, "bias is not an option of a v"),
}


@pytest.mark.parametrize("call", WRONG)
def test_wrong_options(call):
    error, message = WRONG[call]
    model = small_model("llama")
    with pytest.raises(error, match=re.escape(message)):
        eval(f"replace_attention(model, {call})")
    assert model.config._attn_implementation == "sdpa"
    assert not any("softmax_variant" in name for name, _ in model.named_modules())


def test_wrong_models():
    for wrong in (nn.Linear(2, 2), "bert-base-uncased", nn.DataParallel(small_model("bert"))):
        with pytest.raises(TypeError, match="model must be a PreTrainedModel of transformers, got"):
            replace_attention(wrong)
        with pytest.raises(TypeError, match="model must be a PreTrainedModel of transformers, got"):
            restore_attention(wrong)


def test_heads_that_are_not_known():
    model = small_model("llama")
    for layer in model.model.layers:
        layer.self_attn.config = None
    with pytest.raises(ValueError, match=r"number of attention heads of model\.layers\.0\.self_at"):
        replace_attention(model)
    assert model.config._attn_implementation == "sdpa"
