"""Attention on PyTorch: cores without checks of arguments.

SSMax's logits are softmax's times a number for each query, c = s ln n + b. Multiplied into the
queries, it makes SSMax of every fused softmax attention, with exact gradients of s and b.
SA-Softmax's weights are not softmax's of any logits, and need kernels of their own.
"""

from __future__ import annotations

from ._attention_mask import AttentionMask
from ._band import Band
from ._dot_product import dot_product_attention
from ._query_scale import scale_factor, scale_factor_of_counts, scale_queries, widest_dtype
from ._sa_attention import sa_attention
from ._visible import Visible

__all__ = [
    "AttentionMask",
    "Band",
    "Visible",
    "dot_product_attention",
    "sa_attention",
    "scale_factor",
    "scale_factor_of_counts",
    "scale_queries",
    "widest_dtype",
]
