"""Variants in the attention layers of models of the transformers library.

:func:`replace_attention` puts a variant into a pretrained model, :func:`restore_attention` takes it
out again, and :func:`save_attention` and :func:`load_attention` keep it beside the model's own
files. Requires transformers 5.8 or later.
"""

from __future__ import annotations

from . import _requirements  # noqa: F401 - first: it says what is missing
from ._attention_function import register
from ._replace import replace_attention, restore_attention
from ._saving import load_attention, save_attention

__all__ = [
    "load_attention",
    "register",
    "replace_attention",
    "restore_attention",
    "save_attention",
]
