"""Keep the variants of a model in a file beside its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from softmax_variants.torch import SASoftmax, Softmax, SSMax

from ._attention_function import ATTRIBUTE
from ._layers import find_layers
from ._replace import put, replaced_layers
from ._variants import Variant, checked

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from torch import Tensor, nn

__all__ = ["load_attention", "save_attention"]

M = TypeVar("M", bound=PreTrainedModel)

FILE = "softmax_variants.safetensors"
_save: Callable[..., None] = save_file
_open: Callable[..., Any] = safe_open


def save_attention(model: PreTrainedModel, folder: str | os.PathLike[str]) -> Path:
    """Save the variants of a model's attention layers, and what they have learned.

    ``model.save_pretrained`` saves the parameters of a model but not which variant they belong to,
    and ``from_pretrained`` builds the model's own architecture, which has no place for them. So
    save both into one folder, and load both from it.

    Parameters
    ----------
    model : PreTrainedModel
        A model whose attention was replaced.
    folder : path
        Where to write the file ``softmax_variants.safetensors``; made if it does not exist.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the model's attention was not replaced.

    See Also
    --------
    load_attention : Puts them into a model.

    Examples
    --------
    >>> import tempfile
    >>> from transformers import BertConfig, BertModel
    >>> from softmax_variants.transformers import load_attention, replace_attention, save_attention
    >>> config = BertConfig(
    ...     vocab_size=32,
    ...     hidden_size=16,
    ...     intermediate_size=16,
    ...     num_hidden_layers=1,
    ...     num_attention_heads=4,
    ... )
    >>> model = replace_attention(BertModel(config), "ssmax", length=128)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save_pretrained(folder)
    ...     file = save_attention(model, folder)
    ...     same = load_attention(BertModel.from_pretrained(folder), folder)
    >>> same.encoder.layer[0].attention.self.softmax_variant
    SSMax(heads=4, init='log_length', length=128)
    """
    layers = replaced_layers(model)
    tensors: dict[str, Tensor] = {}
    described: dict[str, dict[str, Any]] = {}
    for name, layer in layers.items():
        variant = getattr(layer, ATTRIBUTE)
        described[name] = _describe(variant)
        for key, tensor in variant.state_dict().items():
            tensors[f"{name}.{ATTRIBUTE}.{key}"] = tensor.detach().contiguous()
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    _save(tensors, path / FILE, metadata={"format": "pt", "variants": json.dumps(described)})
    return path / FILE


def load_attention(model: M, folder: str | os.PathLike[str]) -> M:
    """Put the variants that `save_attention` saved into a model.

    Parameters
    ----------
    model : PreTrainedModel
        A model with the layers of the one that was saved, from its class's ``from_pretrained``.
        Changed in place. That its checkpoint has parameters which the class does not know is
        logged by transformers; these are the ones that are loaded here.
    folder : path
        Where the file ``softmax_variants.safetensors`` is.

    Returns
    -------
    PreTrainedModel
        The model.

    Raises
    ------
    FileNotFoundError
        If the folder has no such file.
    ValueError
        If the layers of the model are not those of the file, or one of them cannot be swapped. The
        model is left untouched.

    See Also
    --------
    save_attention : Has an example.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        msg = f"{path} does not exist: save_attention(model, folder) writes it"
        raise FileNotFoundError(msg)
    with _open(path, framework="pt") as file:
        described = json.loads(file.metadata()["variants"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    layers = find_layers(model, lambda name: name in described)
    if layers.keys() != described.keys():
        only = {
            "the model": sorted(layers.keys() - described.keys()),
            "the file": sorted(described.keys() - layers.keys()),
        }
        differing = "; ".join(f"only in {of}: {', '.join(names)}" for of, names in only.items())
        msg = f"the attention layers of this {type(model).__name__} are not those of {path}: "
        raise ValueError(msg + differing)
    variants: dict[str, nn.Module] = {}
    for name, layer in layers.items():
        variant = checked(_build(described[name]), name, layer)
        prefix = f"{name}.{ATTRIBUTE}."
        variant.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
        parameters = next(layer.parameters(), None)
        variants[name] = variant if parameters is None else variant.to(parameters.device)
    put(model, layers, variants)
    return model


def _describe(variant: Variant) -> dict[str, Any]:
    """Return a variant's class and options, as JSON writes them."""
    options: dict[str, Any] = {}
    if isinstance(variant, SSMax):
        names = ("heads", "init", "length", "bias", "learned")
        options = {name: getattr(variant, name) for name in names}
        options["dtype"] = str(variant.s.dtype).removeprefix("torch.")
    elif isinstance(variant, SASoftmax):
        options = {"form": variant.form, "detach_extrema": variant.detach_extrema}
    return {"class": type(variant).__name__, **options}


def _build(described: dict[str, Any]) -> Variant:
    """Return a variant of the class and options that `_describe` wrote."""
    options = dict(described)
    name = options.pop("class")
    if name == "SSMax":
        return SSMax(**{**options, "dtype": getattr(torch, options["dtype"])})
    return SASoftmax(**options) if name == "SASoftmax" else Softmax()
