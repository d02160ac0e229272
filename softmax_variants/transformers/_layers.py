"""Which modules of a model are attention layers, and which of them a variant can serve.

transformers' layers look their attention function up in ``ALL_ATTENTION_FUNCTIONS`` and pass it
what they know by keywords. The function sees that only when it is called, and a model must be
refused before it is changed; so the calls are read in the source of the layers' ``forward``.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from ._attention_function import UNSERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

__all__ = ["find_layers"]

_INTERFACE = "ALL_ATTENTION_FUNCTIONS"
_SERVED = {
    "attention_mask",
    "cu_seq_lens_k",
    "cu_seq_lens_q",
    "deterministic",
    "dropout",
    "is_causal",
    "key",
    "max_length_k",
    "max_length_q",
    "output_attentions",
    "position_ids",
    "query",
    "scaling",
    "sliding_window",
    "value",
}
"""Keywords that the attention function takes into account, or that change no weight."""
_NAMED_ATTENTION = re.compile("attention|attn", re.IGNORECASE)
_OWN_ATTENTION = {"multi_head_attention_forward", "scaled_dot_product_attention", "softmax"}
_LISTED = 4


@dataclass(frozen=True)
class _Calls:
    """What the forward method of a class passes to the attention interface."""

    keywords: tuple[tuple[str, ast.expr], ...]
    masks: tuple[ast.expr, ...]


def find_layers(
    model: PreTrainedModel, wanted: Callable[[str], bool] | None
) -> dict[str, nn.Module]:
    """Return the attention layers of a model by name, or say why one cannot be swapped."""
    layers: dict[str, nn.Module] = {}
    refused: list[str] = []
    for name, module, owner in _modules(model):
        attends = _uses_interface(type(module))
        if not attends and wanted is not None and not wanted(name):
            continue
        if reason := _refusal(module, owner) if attends else _own_attention(module):
            refused.append(f"{name or 'the model itself'} ({type(module).__name__}) {reason}")
        elif attends:
            layers[name] = module
    title = type(model).__name__
    if refused:
        more = [f"and {len(refused) - _LISTED} more"] if len(refused) > _LISTED else []
        reasons = "\n  ".join(refused[:_LISTED] + more)
        msg = f"{title} is left as it is, for not all of its attention can be swapped:\n  {reasons}"
        raise ValueError(msg)
    if not layers:
        msg = (
            f"{title} is left as it is: none of its layers calls its attention through "
            f"transformers' AttentionInterface"
        )
        raise ValueError(msg)
    return layers


def _modules(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module, PreTrainedModel]]:
    """Yield each module with its name and the innermost model of transformers that it is in."""
    owners: dict[str, PreTrainedModel] = {}
    for name, module in model.named_modules():
        own = isinstance(module, PreTrainedModel)
        owners[name] = module if own else owners[name.rpartition(".")[0]]
        yield name, module, owners[name]


def _refusal(module: nn.Module, owner: PreTrainedModel) -> str | None:
    """Return why a variant cannot serve a layer that calls the interface, None if it can."""
    title = type(owner).__name__
    if getattr(owner.config, "output_attentions", False):
        return (
            "is to return its attention weights, which are never formed: set "
            "config.output_attentions to False"
        )
    calls = _calls(type(module))
    if calls is None:
        return "calls its attention function in a way that cannot be read in its source"
    for keyword, expression in calls.keywords:
        if keyword in _SERVED:
            continue
        known, value = _value(expression, module)
        if known and value is None:
            continue
        shown = f", {keyword}={value}" if isinstance(value, (int, float)) else ""
        what = UNSERVED.get(keyword, f"passes {keyword} to its attention function")
        return f"{what}{shown}, which no variant takes into account"
    for expression in calls.masks:
        # Relative positions, mostly, and whether SSMax is to scale them is not for us to choose.
        if ast.unparse(expression) != "None" and "mask" not in ast.unparse(expression):
            return (
                f"passes {ast.unparse(expression)} in place of an attention mask, a term of its "
                f"logits"
            )
    # What scaled_dot_product_attention computes is softmax of scaled and masked scores, and nothing
    # more: that is what a variant may take the place of.
    if not owner._supports_sdpa:
        return (
            f"is part of {title}, which does not support the implementation 'sdpa': its attention "
            f"may be more than softmax of scaled and masked scores"
        )
    return None


def _own_attention(module: nn.Module) -> str | None:
    """Return why a layer that does not call the interface stands in the way, None if it does not.

    Only classes that say that they are attention are looked at: routers take a softmax too.
    """
    if not _NAMED_ATTENTION.search(type(module).__name__):
        return None
    if not _names(type(module)) & _OWN_ATTENTION:
        return None
    return (
        "computes its attention itself, not through transformers' AttentionInterface; a function "
        "layers= that does not choose it leaves it so"
    )


def _names(layer: type[nn.Module]) -> frozenset[str]:
    """Return the names that the methods of a layer's own classes use."""
    names: set[str] = set()
    # What every model and module has is not its own; every model knows of the interface.
    for cls in [cls for cls in layer.__mro__ if cls not in PreTrainedModel.__mro__]:
        for value in vars(cls).values():
            function = inspect.unwrap(value) if callable(value) else None
            if inspect.isfunction(function):
                names |= set(function.__code__.co_names)
    return frozenset(names)


def _uses_interface(layer: type[nn.Module]) -> bool:
    """Return whether a layer looks its attention function up, in whichever method."""
    return _INTERFACE in _names(layer)


def _calls(layer: type[nn.Module]) -> _Calls | None:
    """Read the calls of the interface in a layer's forward method, None if there are none."""
    forward = inspect.unwrap(layer.forward)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(forward)))
    except (OSError, TypeError, SyntaxError):
        return None
    functions = {name for node in ast.walk(tree) for name in _assigned_interface(node)}
    keywords: list[tuple[str, ast.expr]] = []
    masks: list[ast.expr] = []
    found = False
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) in functions):
            continue
        found = True
        # **options has no name here; what it brings is looked at when it comes.
        given = [(k.arg, k.value) for k in node.keywords if k.arg is not None]
        keywords += given
        # Layer, query, key, value, mask.
        masks += node.args[4:5] + [value for name, value in given if name == "attention_mask"]
    return _Calls(tuple(keywords), tuple(masks)) if found else None


def _assigned_interface(node: ast.AST) -> list[str]:
    """Return the names that an assignment gives to a function looked up in the interface."""
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return []
    if node.value is None or _INTERFACE not in ast.unparse(node.value):
        return []
    return [ast.unparse(target) for target in targets]


def _value(expression: ast.expr, module: nn.Module) -> tuple[bool, Any]:
    """Return whether an argument is known before the call, and its value: a constant, self.x.y."""
    if isinstance(expression, ast.Constant):
        return True, expression.value
    path = ast.unparse(expression).split(".")
    if path[0] != "self" or not all(part.isidentifier() for part in path):
        return False, None
    value: Any = module
    for part in path[1:]:
        if not hasattr(value, part):
            return False, None
        value = getattr(value, part)
    return True, value
