"""Put a variant into a model's attention layers, and take it out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from transformers import PreTrainedModel

from softmax_variants._libraries import describe
from softmax_variants.torch import Softmax

from ._attention_function import ATTRIBUTE, NAME, register
from ._layers import find_layers
from ._variants import Make, Options, checked, factory

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

__all__ = ["put", "replace_attention", "replaced_layers", "restore_attention"]

M = TypeVar("M", bound=PreTrainedModel)

_BEFORE = "_attention_before_softmax_variants"
"""Attribute of a model: the attention implementation that its config had."""


def replace_attention(
    model: M,
    variant: Literal["softmax", "ssmax", "sa_softmax"] | Make = "ssmax",
    *,
    length: int | None = None,
    init: float | Literal["log_length", "mean_log_length"] | None = None,
    bias: float | None = None,
    learned: bool | None = None,
    form: Literal["plain", "shifted", "minmax", "normalized"] | None = None,
    detach_extrema: bool | None = None,
    dtype: torch.dtype | None = None,
    layers: Callable[[str], bool] | None = None,
) -> M:
    r"""Put a variant into the attention layers of a pretrained model.

    Each attention layer gets a submodule ``softmax_variant`` of its own, and computes its weights
    by it: the parameters of SSMax are parameters of the model from then on. :math:`n` and the
    extrema of a row are those of the keys that its query sees, under causal masks, padding, packed
    documents, sliding windows and caches.

    SSMax's scale is :math:`c = s \ln n + b` for a query that sees :math:`n` keys, and the model
    computes what it was trained to compute where :math:`c = 1`. So SSMax starts, unless `init` says
    otherwise, from

    - :math:`s = 0, b = 1` without `length`: the model is unchanged at every length;
    - :math:`s = (1 - b) / \ln L` with `length` :math:`L`: it is unchanged for queries that see
      :math:`L` keys, sharper where they see more, and flatter where they see fewer. Without
      `bias`, :math:`b` is 0.

    Parameters
    ----------
    model : PreTrainedModel
        A model of transformers, or a part of one that is such a model itself. Changed in place.
    variant : {"ssmax", "sa_softmax", "softmax"} or callable, default "ssmax"
        The variant, or a function of a layer's name and module that returns the layer's own
        :class:`~softmax_variants.torch.SSMax`, :class:`~softmax_variants.torch.SASoftmax` or
        :class:`~softmax_variants.torch.Softmax`.
    length : int, optional
        Of "ssmax": the length at which the model stays as it is; at least 2.
    init : float, "log_length" or "mean_log_length", optional
        Of "ssmax": what s starts from, as in :class:`~softmax_variants.torch.SSMax`.
    bias : float, optional
        Of "ssmax": what b starts from; there is none without it (but see above).
    learned : bool, optional
        Of "ssmax": whether s and b are parameters (the default) or buffers.
    form : {"normalized", "minmax", "shifted", "plain"}, optional
        Of "sa_softmax": the gate.
    detach_extrema : bool, optional
        Of "sa_softmax": whether derivatives take the extrema of a row for constants.
    dtype : torch.dtype, optional
        Of "ssmax": the dtype of s and b; that of the layer's parameters by default. To learn them
        in a model of 16 bits, ``torch.float32``.
    layers : callable, optional
        Whether the layer of a name, such as ``"model.layers.0.self_attn"``, gets the variant;
        the others keep softmax. All by default.

    Returns
    -------
    PreTrainedModel
        The model.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an option has a wrong value or belongs to another variant; or if the attention of a
        layer is more than a softmax of scaled and masked scores (logits that are capped, attention
        sinks, position biases, weights that are to be returned) or is not called through the
        library's AttentionInterface. The message names the layer and the reason. The model is left
        untouched.

    See Also
    --------
    restore_attention : Takes the variants out again.
    save_attention : Keeps them beside the files of ``model.save_pretrained``.

    Examples
    --------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from softmax_variants.transformers import replace_attention
    >>> config = LlamaConfig(
    ...     vocab_size=32,
    ...     hidden_size=16,
    ...     intermediate_size=16,
    ...     num_hidden_layers=1,
    ...     num_attention_heads=4,
    ...     num_key_value_heads=2,
    ... )
    >>> model = replace_attention(LlamaForCausalLM(config), "ssmax", length=1024)
    >>> model.model.layers[0].self_attn.softmax_variant
    SSMax(heads=4, init='log_length', length=1024)
    >>> [name for name, _ in model.named_parameters() if "softmax_variant" in name]
    ['model.layers.0.self_attn.softmax_variant.s']
    """
    options = Options(length, init, bias, learned, form, detach_extrema, dtype)
    _check_model(model)
    make = factory(variant, options)
    if layers is not None and not callable(layers):
        msg = f"layers must be a function of a layer's name or None, got {describe(layers)}"
        raise TypeError(msg)
    found = find_layers(model, layers)
    chosen = [name for name in found if layers is None or layers(name)]
    if not chosen:
        msg = f"layers chose none of the attention layers: {', '.join(found)}"
        raise ValueError(msg)
    variants: dict[str, nn.Module] = {
        name: checked(make(name, layer), name, layer)
        if layers is None or layers(name)
        else Softmax()
        for name, layer in found.items()
    }
    if layers is not None and not any(layers(name) for name in found):
        msg = f"layers chose none of the attention layers: {', '.join(found)}"
        raise ValueError(msg)
    if len({id(made) for made in variants.values()}) < len(variants):
        msg = (
            "variant returned one module for several layers: each needs its own, to be moved and "
            "saved with its layer"
        )
        raise ValueError(msg)
    put(model, found, variants)
    return model


def restore_attention(model: M) -> M:
    """Take the variants out of a model's attention layers, which compute softmax again.

    Parameters
    ----------
    model : PreTrainedModel
        A model whose attention was replaced. Changed in place: the submodules, with what they have
        learned, are gone, and the attention implementation is the one from before.

    Returns
    -------
    PreTrainedModel
        The model.

    Raises
    ------
    TypeError
        If the model is none of transformers.
    ValueError
        If its attention was not replaced.

    Examples
    --------
    >>> from transformers import BertConfig, BertModel
    >>> from softmax_variants.transformers import replace_attention, restore_attention
    >>> config = BertConfig(
    ...     vocab_size=32,
    ...     hidden_size=16,
    ...     intermediate_size=16,
    ...     num_hidden_layers=1,
    ...     num_attention_heads=4,
    ... )
    >>> model = restore_attention(replace_attention(BertModel(config), "sa_softmax"))
    >>> model.config._attn_implementation
    'sdpa'
    """
    _check_model(model)
    for layer in replaced_layers(model).values():
        delattr(layer, ATTRIBUTE)
    for part in _parts(model):
        if part.config._attn_implementation == NAME:
            # A model may be made with our implementation, and then there was none before; every
            # model that a variant was put into supports this one.
            _set_implementation(part, getattr(part, _BEFORE, "sdpa"))
    return model


def put(
    model: PreTrainedModel, layers: dict[str, nn.Module], variants: dict[str, nn.Module]
) -> None:
    """Put variants into layers, all of one model, and let its configs name our implementation."""
    register()
    parts = _parts(model)
    # A config is shared by a model and its parts: all of them are looked at before any is changed.
    before = [part.config._attn_implementation for part in parts]
    for name, layer in layers.items():
        setattr(layer, ATTRIBUTE, variants[name])
    for part, implementation in zip(parts, before, strict=True):
        if implementation != NAME:
            setattr(part, _BEFORE, implementation)
        _set_implementation(part, NAME)


def replaced_layers(model: PreTrainedModel) -> dict[str, nn.Module]:
    """Return the layers of a model that have a variant, by name; an error if there are none."""
    layers = {name: m for name, m in model.named_modules() if ATTRIBUTE in m._modules}
    if not layers:
        msg = f"the attention of this {type(model).__name__} was not replaced"
        raise ValueError(msg)
    return layers


def _parts(model: PreTrainedModel) -> list[PreTrainedModel]:
    """Return the models of transformers that a model consists of, itself the first."""
    return [module for module in model.modules() if isinstance(module, PreTrainedModel)]


def _set_implementation(part: PreTrainedModel, implementation: str | None) -> None:
    # Under the empty name: of this config alone, without those of its parts.
    part.config._attn_implementation = {"": implementation}


def _check_model(model: object) -> None:
    if not isinstance(model, PreTrainedModel):
        msg = (
            f"model must be a PreTrainedModel of transformers, got {describe(model)}; of a model "
            f"that wraps one (for adapters, or several devices), pass the one inside"
        )
        raise TypeError(msg)
