"""Checks of queries, keys, values, of the parameters of SSMax, and of the choice of a variant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from softmax_variants._libraries import describe
from softmax_variants._validate import check_gate

from ._mask_arguments import check_tensor
from ._modules import SASoftmax, Softmax, SSMax

__all__ = [
    "Options",
    "Parameter",
    "check_dropout",
    "check_floating",
    "check_parameter",
    "check_qkv",
    "check_scale",
    "choose",
    "is_autocast_enabled",
]

Parameter: TypeAlias = Tensor | float

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_VARIANTS = ("softmax", "ssmax", "sa_softmax")
# Asked once: torch.compile of PyTorch 2.11 cannot trace the question.
_WITHOUT_AUTOCAST = {
    kind for kind in ("meta", "lazy", "vulkan") if not torch.amp.is_autocast_available(kind)
}


@dataclass(frozen=True, eq=False)
class Options:
    """A variant with its options, wherever they come from."""

    variant: object = "softmax"
    s: Parameter = 1.0
    b: Parameter = 0.0
    n: Parameter | None = None
    form: str = "normalized"
    detach_extrema: bool = False

    def given(self) -> dict[str, bool]:
        """Return which of the options differ from their defaults."""
        # One by one: torch.compile of PyTorch 2.11 cannot trace vars() or fields().
        pairs: dict[str, tuple[object, object]] = {
            "s": (self.s, 1.0),
            "b": (self.b, 0.0),
            "n": (self.n, None),
            "form": (self.form, "normalized"),
            "detach_extrema": (self.detach_extrema, False),
        }
        return {
            name: isinstance(value, Tensor) or value != default
            for name, (value, default) in pairs.items()
        }


def choose(options: Options, heads: int) -> Options:
    """Return the options with the variant's name, and a module's own."""
    variant, given = options.variant, options.given()
    if isinstance(variant, (Softmax, SSMax, SASoftmax)):
        return _of_module(variant, options, heads)
    names = ", ".join(map(repr, _VARIANTS))
    wanted = f"one of {names}, or a Softmax, SSMax or SASoftmax module"
    if not isinstance(variant, str):
        msg = f"variant must be {wanted}, got {describe(variant)}"
        raise TypeError(msg)
    if variant not in _VARIANTS:
        msg = f"variant must be {wanted}, got {variant!r}"
        raise ValueError(msg)
    check_gate(options.form, detach_extrema=options.detach_extrema)
    owners = {"s": "ssmax", "b": "ssmax", "n": "ssmax"}
    for name, is_given in given.items():
        owner = owners.get(name, "sa_softmax")
        if is_given and variant != owner:
            msg = (
                f"{name} is used by variant={owner!r} only, got it with variant={variant!r}: "
                f"leave it out, or choose {owner!r}"
            )
            raise ValueError(msg)
    return options


def _of_module(module: Softmax | SSMax | SASoftmax, options: Options, heads: int) -> Options:
    name = type(module).__name__
    for option, is_given in options.given().items():
        # The number of keys is of the call, not of the module.
        if is_given and not (option == "n" and isinstance(module, SSMax)):
            msg = (
                f"{option} must be left out beside variant={module!r}, which has its own options "
                f"and parameters"
            )
            raise ValueError(msg)
    if isinstance(module, SSMax):
        if module.s.shape[0] != heads:
            msg = (
                f"variant must be an SSMax with as many heads as q, {heads}, got one with "
                f"{module.s.shape[0]}"
            )
            raise ValueError(msg)
        b = 0.0 if module.b is None else module.b.view(-1, 1, 1)
        return Options("ssmax", module.s.view(-1, 1, 1), b, options.n)
    if module.axis not in (-1, 3):
        msg = (
            f"variant must be a {name} along the keys, the last axis of (batch, heads, queries, "
            f"keys), got one along axis {module.axis}"
        )
        raise ValueError(msg)
    if isinstance(module, SASoftmax):
        return Options("sa_softmax", form=module.form, detach_extrema=module.detach_extrema)
    return Options("softmax")


def check_qkv(q: object, k: object, v: object) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values that fit each other, the latter two in attention's dtype."""
    query = _four_axes("q", q, "(batch, heads, queries, dim)")
    key = _four_axes("k", k, "(batch, kv_heads, keys, dim)")
    value = _four_axes("v", v, "(batch, kv_heads, keys, dim_v)")
    _check_shapes(query, key, value)
    for name, tensor in (("k", key), ("v", value)):
        if tensor.device != query.device:
            msg = f"{name} must be on q's device {query.device}, got a tensor on {tensor.device}"
            raise ValueError(msg)
    dtype = _attention_dtype(query)
    for name, tensor in (("k", key), ("v", value)):
        if tensor.dtype != query.dtype and _attention_dtype(tensor) != dtype:
            msg = (
                f"{name} must have q's dtype {query.dtype}, got {tensor.dtype}: convert one of "
                f"them, or use torch.autocast"
            )
            raise TypeError(msg)
    return query, key.to(dtype), value.to(dtype)


def _four_axes(argument: str, value: object, shape: str) -> Tensor:
    tensor = check_floating(argument, value, f"a tensor of shape {shape}")
    if tensor.ndim != 4:
        msg = f"{argument} must have shape {shape}, got {tuple(tensor.shape)}"
        raise ValueError(msg)
    return tensor


def _check_shapes(q: Tensor, k: Tensor, v: Tensor) -> None:
    batch, heads, _, dim = q.shape
    kv_heads, keys = k.shape[1:3]
    if k.shape[0] != batch or k.shape[3] != dim:
        axis, own, wanted = ("batch", k.shape[0], batch)
        if own == wanted:
            axis, own, wanted = ("dim", k.shape[3], dim)
        msg = (
            f"k must have q's {axis} {wanted}, got {own}: q has shape {tuple(q.shape)}, k "
            f"{tuple(k.shape)}"
        )
        raise ValueError(msg)
    if v.shape[:3] != k.shape[:3]:
        msg = (
            f"v must have k's batch, heads and keys {tuple(k.shape[:3])}, got shape "
            f"{tuple(v.shape)}"
        )
        raise ValueError(msg)
    if dim == 0:
        msg = f"q must have a dim of at least 1, got shape {tuple(q.shape)}"
        raise ValueError(msg)
    if (kv_heads == 0 and heads) or (kv_heads and heads % kv_heads):
        hint = ""
        if keys == heads and kv_heads != heads:
            hint = "; q, k and v are (batch, heads, length, dim), the length after the heads"
        msg = (
            f"the heads of q must be a multiple of those of k and v, got {heads} heads in q and "
            f"{kv_heads} in k and v{hint}"
        )
        raise ValueError(msg)


def check_floating(argument: str, value: object, wanted: str) -> Tensor:
    """Return an argument that is a dense tensor of real floating numbers."""
    tensor = check_tensor(argument, value, wanted)
    if tensor.dtype not in _DTYPES:
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in _DTYPES)
        hint = ""
        if tensor.is_quantized:
            hint = ": call its dequantize() first"
        elif tensor.dtype.is_complex:
            hint = ": logits are real numbers"
        elif not tensor.dtype.is_floating_point:
            hint = ": convert it first, as with .float()"
        msg = f"{argument} must have one of the dtypes {names}, got {tensor.dtype}{hint}"
        raise TypeError(msg)
    return tensor


def check_parameter(argument: str, value: object, q: Tensor) -> Parameter:
    """Return s, b or n: a finite number, for n positive, or a tensor with a value for each row."""
    count = argument == "n"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(argument, value, positive=count)
    tensor = check_tensor(argument, value, "a number or a tensor")
    real = tensor.dtype in _DTYPES
    integer = count and not (tensor.dtype.is_floating_point or tensor.dtype.is_complex)
    if not (real or (integer and tensor.dtype != torch.bool)):
        kind = "a floating or integer dtype" if count else "a floating dtype"
        msg = f"{argument} must have {kind}, got {tensor.dtype}"
        raise TypeError(msg)
    if tensor.device != q.device:
        msg = f"{argument} must be on q's device {q.device}, got a tensor on {tensor.device}"
        raise ValueError(msg)
    rows = (*q.shape[:-1], 1)
    fits = tensor.ndim <= len(rows) and all(
        own in (1, full) for own, full in zip(reversed(tensor.shape), reversed(rows), strict=False)
    )
    if not fits:
        per_head = f" or ({rows[-3]}, 1, 1), a value for each head," if len(rows) > 2 else ""
        msg = (
            f"{argument} must be a number, or broadcast to {rows}, a value for each query{per_head}"
            f" without enlarging it, got shape {tuple(tensor.shape)}"
        )
        raise ValueError(msg)
    return tensor


def check_scale(scale: object, dim: int) -> float:
    """Return what the products of queries and keys are multiplied by."""
    if scale is None:
        return 1.0 / math.sqrt(dim)
    if isinstance(scale, bool) or not isinstance(scale, (int, float)):
        msg = (
            f"scale must be a number or None, got {describe(scale)}; scales of heads or queries "
            f"go into q"
        )
        raise TypeError(msg)
    return _finite("scale", scale, positive=True)


def check_dropout(dropout_p: object) -> float:
    """Return the probability of dropping a weight."""
    if isinstance(dropout_p, bool) or not isinstance(dropout_p, (int, float)):
        msg = f"dropout_p must be a number, got {describe(dropout_p)}"
        raise TypeError(msg)
    if not 0.0 <= dropout_p < 1.0:
        msg = f"dropout_p must be at least 0 and less than 1, got {dropout_p}"
        raise ValueError(msg)
    return float(dropout_p)


def _finite(argument: str, value: float, *, positive: bool) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    # Comparisons, false for NaN: torch.compile traces them where a float varies between calls.
    if not (0.0 if positive else -math.inf) < number < math.inf:
        wanted = "positive and finite" if positive else "finite"
        msg = f"{argument} must be {wanted}, got {describe(value)}"
        raise ValueError(msg)
    return number


def _attention_dtype(tensor: Tensor) -> torch.dtype:
    """Return the dtype that attention works in: under autocast, its own but for float64."""
    device = tensor.device.type
    if tensor.dtype == torch.float64 or not is_autocast_enabled(device):
        return tensor.dtype
    return torch.get_autocast_dtype(device)


def is_autocast_enabled(device_type: str) -> bool:
    """Return whether autocast is on for a kind of devices; there are kinds without it."""
    return device_type not in _WITHOUT_AUTOCAST and torch.is_autocast_enabled(device_type)
