"""The variant of each layer: from a name and its options, or from the user's own function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from softmax_variants._libraries import describe
from softmax_variants.torch import SASoftmax, Softmax, SSMax

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

__all__ = ["Make", "Options", "Variant", "checked", "factory"]

Variant: TypeAlias = Softmax | SSMax | SASoftmax
Make: TypeAlias = "Callable[[str, nn.Module], nn.Module]"

_OPTIONS: dict[str, tuple[str, ...]] = {
    "softmax": (),
    "ssmax": ("length", "init", "bias", "learned", "dtype"),
    "sa_softmax": ("form", "detach_extrema"),
}
_HEADS = ("num_attention_heads", "num_heads", "n_heads", "n_head")


@dataclass(frozen=True)
class Options:
    """Options of the variants; None where the user chose nothing."""

    length: int | None = None
    init: float | Literal["log_length", "mean_log_length"] | None = None
    bias: float | None = None
    learned: bool | None = None
    form: Literal["plain", "shifted", "minmax", "normalized"] | None = None
    detach_extrema: bool | None = None
    dtype: torch.dtype | None = None

    def chosen(self) -> dict[str, Any]:
        """Return those that the user chose."""
        return {name: value for name, value in vars(self).items() if value is not None}


def factory(variant: str | Make, options: Options) -> Make:
    """Return what makes the variant of a layer, from its name and the layer."""
    chosen = options.chosen()
    if not isinstance(variant, str):
        if not callable(variant):
            msg = (
                f"variant must be 'softmax', 'ssmax', 'sa_softmax' or a function of a layer's name "
                f"and module that returns a Softmax, SSMax or SASoftmax, got {describe(variant)}"
            )
            raise TypeError(msg)
        _refuse_options(chosen, (), "a variant that is a function, which chooses them itself")
        return variant
    if variant not in _OPTIONS:
        msg = f"variant must be 'softmax', 'ssmax' or 'sa_softmax', got {variant!r}"
        raise ValueError(msg)
    _refuse_options(chosen, _OPTIONS[variant], f"variant {variant!r}")
    if variant == "ssmax":
        return _ssmax_factory(chosen)
    if variant == "sa_softmax":
        SASoftmax(**chosen)  # a wrong option is wrong before any layer is looked at
        return lambda _name, _layer: SASoftmax(**chosen)
    return lambda _name, _layer: Softmax()


def checked(variant: object, name: str, layer: nn.Module) -> nn.Module:
    """Return the variant of a layer, which has to fit it."""
    if not isinstance(variant, (Softmax, SSMax, SASoftmax)):
        msg = (
            f"variant must return a Softmax, SSMax or SASoftmax for each layer, got "
            f"{describe(variant)} for {name}"
        )
        raise TypeError(msg)
    if not isinstance(variant, SSMax):
        if variant.axis != -1:
            msg = f"a layer's variant runs along the keys, axis -1, got {variant} for {name}"
            raise ValueError(msg)
        return variant
    heads = _heads(layer)
    if heads not in (None, variant.heads):
        msg = f"{name} has {heads} attention heads, which {variant} does not fit"
        raise ValueError(msg)
    return variant


def _refuse_options(chosen: dict[str, Any], known: tuple[str, ...], of: str) -> None:
    for name, value in chosen.items():
        if name not in known:
            msg = f"{name} is not an option of {of}, got {name}={value!r}: leave it out"
            raise ValueError(msg)


def _ssmax_factory(chosen: dict[str, Any]) -> Make:
    chosen = dict(chosen)
    if "init" not in chosen:
        if "length" in chosen:
            chosen["init"] = "log_length"
        elif "bias" in chosen:
            msg = (
                "bias alone does not say what s starts from: pass length, the length at which the "
                "model is to stay as it is, or init"
            )
            raise ValueError(msg)
        else:
            # c = 0 ln n + 1: softmax at every length.
            chosen.update(init=0.0, bias=1.0)
    SSMax(1, device="meta", **chosen)  # a wrong option is wrong before any layer is looked at

    def make(name: str, layer: nn.Module) -> nn.Module:
        heads = _heads(layer)
        if heads is None:
            msg = (
                f"the number of attention heads of {name} ({type(layer).__name__}) is not known: "
                f"neither it nor its config has one of {', '.join(_HEADS)}; pass a function of a "
                f"layer's name and module that returns SSMax(heads, ...)"
            )
            raise ValueError(msg)
        device, dtype = _device_and_dtype(layer)
        return SSMax(heads, **{"device": device, "dtype": dtype, **chosen})

    return make


def _heads(layer: nn.Module) -> int | None:
    """Return how many attention heads a layer has, by its own account or its config's."""
    for source in (layer, getattr(layer, "config", None)):
        for name in _HEADS:
            heads = getattr(source, name, None)
            if isinstance(heads, int):
                return heads
    return None


def _device_and_dtype(layer: nn.Module) -> tuple[torch.device | None, torch.dtype | None]:
    """Return where a layer's parameters are, and what they are, but for quantized ones."""
    parameters = list(layer.parameters())
    floating = [p.dtype for p in parameters if p.dtype.is_floating_point and p.dtype.itemsize > 1]
    return (
        parameters[0].device if parameters else None,
        floating[0] if floating else None,
    )
