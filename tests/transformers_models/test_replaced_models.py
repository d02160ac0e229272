"""Models with replaced attention compute what they should: under every kind of mask and cache."""

from __future__ import annotations

import pytest
import torch
from transformers import StaticCache

from softmax_variants.torch import SASoftmax, Softmax, SSMax, visible_keys
from softmax_variants.transformers import _attention_function, replace_attention
from transformers_support.small_models import (
    DECODERS,
    MODELS,
    make_dense,
    padding,
    result,
    small_model,
    tokens,
)

# Two ways of evaluating the same model in float64: the orders of sums differ, 2^-53 each, over two
# layers of 32 features that grow errors by less than 1e3.
CLOSE = {"rtol": 1e-11, "atol": 1e-11}
VARIANTS = {
    "ssmax": {"init": 0.7},
    "ssmax, bias": {"length": 3, "bias": 0.4},
    "sa_softmax": {},
    "sa_softmax, plain": {"form": "plain"},
    "softmax": {},
}


def replaced(model, variant):
    return replace_attention(model, variant.partition(",")[0], **VARIANTS[variant])


def variants_of(model):
    return {
        name.removesuffix(".softmax_variant"): module
        for name, module in model.named_modules()
        if isinstance(module, (SSMax, SASoftmax, Softmax))
    }


@pytest.mark.parametrize("side", ["none", "left", "right"])
@pytest.mark.parametrize("kind", MODELS)
def test_neutral_replacement_changes_nothing(kind, side):
    ids = tokens(3, 9)
    mask = torch.ones_like(ids) if side == "none" else padding(3, 9, side)
    inputs = {"input_ids": ids, "attention_mask": mask}
    # What a model computes at padding is of no use, and differs between implementations.
    real = mask.bool()
    expected = result(small_model(kind), **inputs)[real]
    actual = result(replace_attention(small_model(kind)), **inputs)[real]
    torch.testing.assert_close(actual, expected, **CLOSE)
    # In float32, as far from that as the model's own implementations, but for a factor of 2.
    wide = {"dtype": torch.float32}
    errors = [
        (result(small_model(kind, own, **wide), **inputs)[real] - expected).abs().max()
        for own in ("sdpa", "eager")
    ]
    actual = result(replace_attention(small_model(kind, **wide)), **inputs)[real]
    assert (actual - expected).abs().max() <= 2 * max(errors)


def test_the_layers_own_scale_is_kept():
    options = {"scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True}
    expected = result(small_model("gpt2", **options), input_ids=tokens(2, 7))
    actual = result(replace_attention(small_model("gpt2", **options)), input_ids=tokens(2, 7))
    torch.testing.assert_close(actual, expected, **CLOSE)


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_unchanged_at_the_given_length(kind):
    """A query that sees L keys is unchanged: BERT's all, of a decoder of one layer the last."""
    ids = tokens(2, 9)
    one = {"num_hidden_layers": 1}
    model = replace_attention(small_model(kind, **one), "ssmax", length=9)
    actual = result(model, input_ids=ids)
    expected = result(small_model(kind, **one), input_ids=ids)
    torch.testing.assert_close(actual[:, -1], expected[:, -1], **CLOSE)
    if kind == "bert":
        torch.testing.assert_close(actual, expected, **CLOSE)
    else:
        assert (actual[:, 3] - expected[:, 3]).abs().max() > 1e-3


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", MODELS)
def test_variants_against_dense_weights(kind, variant, side):
    ids, mask = tokens(3, 9), padding(3, 9, side)
    model = replaced(small_model(kind), variant)
    for own in variants_of(model).values():
        if isinstance(own, SSMax):
            with torch.no_grad():
                own.s.mul_(torch.tensor([0.5, 1.0, 1.5, 2.0]))
    dense = make_dense(small_model(kind), variants_of(model))
    actual = result(model, input_ids=ids, attention_mask=mask)
    expected = result(dense, input_ids=ids, attention_mask=mask)
    torch.testing.assert_close(actual[mask.bool()], expected[mask.bool()], **CLOSE)
    if variant != "softmax":
        plain = result(small_model(kind), input_ids=ids, attention_mask=mask)
        assert (actual - plain)[mask.bool()].abs().max() > 1e-3


@pytest.mark.parametrize("variant", ["ssmax", "sa_softmax"])
@pytest.mark.parametrize("kind", ["llama4", "modernbert"])
def test_chunks_and_windows_on_both_sides(kind, variant):
    ids, mask = tokens(3, 9), padding(3, 9, "right")
    model = replaced(small_model(kind), variant)
    dense = make_dense(small_model(kind), variants_of(model))
    actual = result(model, input_ids=ids, attention_mask=mask)
    expected = result(dense, input_ids=ids, attention_mask=mask)
    torch.testing.assert_close(actual[mask.bool()], expected[mask.bool()], **CLOSE)


@pytest.mark.parametrize("variant", ["ssmax", "sa_softmax"])
@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_packed_documents_are_each_on_its_own(kind, variant):
    model = replaced(small_model(kind), variant)
    documents = [tokens(1, 6, seed=3), tokens(1, 7, seed=4)]
    expected = torch.cat([result(model, input_ids=ids) for ids in documents], dim=1)
    packed = {
        "use_cache": False,  # with a cache, transformers does not look for documents
        "input_ids": torch.cat(documents, dim=1),
        "position_ids": torch.cat([torch.arange(6), torch.arange(7)])[None],
    }
    torch.testing.assert_close(result(model, **packed), expected, **CLOSE)
    starts = torch.tensor([0, 6, 13], dtype=torch.int32)
    packed |= {"cu_seq_lens_q": starts, "cu_seq_lens_k": starts}
    torch.testing.assert_close(result(model, **packed), expected, **CLOSE)


def test_documents_given_by_their_starts_alone():
    model = replaced(small_model("gpt2"), "ssmax")
    ids = tokens(1, 7)
    # A padding mask keeps transformers from reading documents out of the positions.
    inputs = {"attention_mask": torch.ones(1, 7, dtype=torch.long)}
    inputs["position_ids"] = torch.tensor([[0, 1, 2, 0, 1, 2, 3]])
    starts = torch.tensor([0, 3, 7], dtype=torch.int32)
    actual = result(model, input_ids=ids, cu_seq_lens_q=starts, cu_seq_lens_k=starts, **inputs)
    expected = [result(model, input_ids=ids[:, :3]), result(model, input_ids=ids[:, 3:])]
    torch.testing.assert_close(actual, torch.cat(expected, dim=1), **CLOSE)


@pytest.fixture
def counted(monkeypatch):
    """Return the list of n in every call of attention, each (batch, queries)."""
    calls = []
    attention = _attention_function.attention

    def spy(q, k, v, **options):
        kept = {name: options[name] for name in ("mask", "causal", "window", "cu_seqlens")}
        n = visible_keys(q.shape[2], k.shape[2], **kept)
        calls.append(n[:, 0, :, 0].expand(q.shape[0], -1).tolist())
        return attention(q, k, v, **options)

    monkeypatch.setattr(_attention_function, "attention", spy)
    return calls


def test_n_of_a_causal_prefix(counted):
    result(replaced(small_model("llama"), "ssmax"), input_ids=tokens(1, 5))
    assert counted == [[[1, 2, 3, 4, 5]]] * 2


def test_n_without_padding(counted):
    model = replaced(small_model("gpt2"), "ssmax")
    left = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    result(model, input_ids=tokens(2, 5), attention_mask=left)
    right = left.flip(1)
    result(model, input_ids=tokens(2, 5), attention_mask=right)
    assert (
        counted
        == [[[0, 0, 1, 2, 3], [1, 2, 3, 4, 5]]] * 2 + [[[1, 2, 3, 3, 3], [1, 2, 3, 4, 5]]] * 2
    )


def test_n_of_an_encoder(counted):
    model = replaced(small_model("bert"), "ssmax")
    result(model, input_ids=tokens(2, 4), attention_mask=torch.tensor([[1] * 4, [1, 1, 1, 0]]))
    result(model, input_ids=tokens(1, 4))
    assert counted == [[[4] * 4, [3] * 4]] * 2 + [[[4] * 4]] * 2


def test_n_in_a_window(counted):
    model = replaced(small_model("mistral"), "ssmax")
    result(model, input_ids=tokens(1, 6))
    result(model, input_ids=tokens(1, 3))
    assert counted == [[[1, 2, 3, 4, 4, 4]]] * 2 + [[[1, 2, 3]]] * 2


def test_n_in_chunks_and_windows_on_both_sides(counted):
    for kind in ("llama4", "modernbert"):
        result(replaced(small_model(kind), "ssmax"), input_ids=tokens(1, 6))
    chunks, all_before = [[1, 2, 3, 4, 1, 2]], [[1, 2, 3, 4, 5, 6]]
    everything, window = [[6] * 6], [[3, 4, 5, 5, 4, 3]]
    assert sorted(counted[:2]) == [chunks, all_before]
    assert counted[2:] == [everything, window]


def test_n_of_packed_documents(counted):
    model = replaced(small_model("mistral"), "ssmax")
    positions = torch.tensor([[0, 1, 0, 1, 2, 3, 4]])
    result(model, input_ids=tokens(1, 7), position_ids=positions, use_cache=False)
    assert counted == [[[1, 2, 1, 2, 3, 4, 4]]] * 2


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_n_when_decoding(counted, kind, cache):
    model = replaced(small_model(kind), "ssmax")
    inputs = {"input_ids": tokens(1, 3), "max_new_tokens": 4, "do_sample": False}
    model.generate(**inputs, cache_implementation="static" if cache == "static" else None)
    lengths = [4, 5, 6] if kind == "llama" else [4, 4, 4]
    assert counted == [[[1, 2, 3]]] * 2 + [[[n]] for n in lengths for _ in range(2)]


@pytest.mark.parametrize("variant", ["ssmax", "ssmax, bias", "sa_softmax"])
@pytest.mark.parametrize("kind", DECODERS)
def test_generate_with_a_cache_as_without(kind, variant):
    model = replaced(small_model(kind), variant)
    # Padded on the left, as generate wants it.
    inputs = {"input_ids": tokens(2, 5), "attention_mask": padding(2, 5, "left")}
    options = {"max_new_tokens": 6, "do_sample": False, "output_logits": True}
    options["return_dict_in_generate"] = True
    expected = model.generate(**inputs, **options, use_cache=False)
    for cache in (None, "static"):
        actual = model.generate(**inputs, **options, cache_implementation=cache)
        assert actual.sequences.tolist() == expected.sequences.tolist()
        torch.testing.assert_close(
            torch.stack(actual.logits), torch.stack(expected.logits), **CLOSE
        )


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("variant", ["ssmax", "sa_softmax"])
def test_a_prompt_in_parts(variant, cache):
    """A second part of several tokens stands behind what the cache holds."""
    model = replaced(small_model("llama"), variant)
    ids = tokens(1, 9)
    expected = result(model, input_ids=ids)
    past = StaticCache(config=model.config, max_cache_len=16) if cache == "static" else None
    parts = []
    for part in ids.split([4, 3, 1, 1], dim=1):
        output = model(input_ids=part, past_key_values=past, use_cache=True)
        past = output.past_key_values
        parts.append(output.logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, **CLOSE)


@pytest.mark.parametrize("kind", MODELS)
def test_a_training_step_moves_the_scale(kind):
    model = replace_attention(small_model(kind, dtype=torch.float32), "ssmax").train()
    scales = {n: p for n, p in model.named_parameters() if ".softmax_variant." in n}
    assert len(scales) == 4
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: p.detach().clone() for name, p in scales.items()}
    losses = []
    for _ in range(2):
        loss = result(model, input_ids=tokens(2, 8)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for name, parameter in scales.items():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.ne(0).all()
        assert parameter.ne(before[name]).any()
    assert losses[1] != losses[0]


def test_gradients_of_the_scale_are_those_of_dense_weights():
    ids, mask = tokens(2, 7), padding(2, 7, "left")
    model = replaced(small_model("llama"), "ssmax, bias")
    own = variants_of(model)
    result(model, input_ids=ids, attention_mask=mask)[mask.bool()].square().sum().backward()
    gradients = [p.grad.clone() for variant in own.values() for p in variant.parameters()]
    model.zero_grad()
    dense = make_dense(small_model("llama"), own)
    result(dense, input_ids=ids, attention_mask=mask)[mask.bool()].square().sum().backward()
    expected = [p.grad for variant in own.values() for p in variant.parameters()]
    torch.testing.assert_close(gradients, expected, rtol=1e-10, atol=1e-10)


def test_gradient_checkpointing_gives_the_same_gradients():
    ids = tokens(2, 7)
    gradients = []
    for checkpointing in (False, True):
        model = replaced(small_model("llama"), "ssmax").train()
        if checkpointing:
            model.activation_checkpointing_enable()
        result(model, input_ids=ids, use_cache=False).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], **CLOSE)


def test_dropout_drops_weights_in_training_only():
    model = replaced(small_model("llama", attention_dropout=0.5), "ssmax")
    expected = result(replaced(small_model("llama"), "ssmax"), input_ids=tokens(1, 8))
    torch.testing.assert_close(result(model, input_ids=tokens(1, 8)), expected, **CLOSE)
    model.train()
    assert (result(model, input_ids=tokens(1, 8)) - expected).abs().max() > 1e-3


def test_an_additive_mask_of_the_users_own():
    ids, keep = tokens(2, 6), padding(2, 6, "left").bool()
    model = replaced(small_model("llama"), "ssmax")
    sees = torch.ones(6, 6, dtype=torch.bool).tril() & keep[:, None, None, :]
    lowest = torch.finfo(torch.float64).min
    additive = torch.zeros(2, 1, 6, 6, dtype=torch.float64).masked_fill(~sees, lowest)
    positions = (keep.long().cumsum(1) - 1).clamp(min=0)
    expected = result(model, input_ids=ids, attention_mask=keep.long(), position_ids=positions)
    for mask in (sees, additive):
        actual = result(model, input_ids=ids, attention_mask=mask, position_ids=positions)
        torch.testing.assert_close(actual[keep], expected[keep], **CLOSE)


def test_one_compiled_graph():
    model = replaced(small_model("llama", num_hidden_layers=1), "ssmax")
    inputs = {"input_ids": tokens(2, 6), "attention_mask": padding(2, 6, "left")}
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    actual = result(compiled, **inputs, use_cache=False)
    torch.testing.assert_close(actual, result(model, **inputs), **CLOSE)
