"""The family for PyTorch's users: modules for attention scores, and attention itself.

:class:`Softmax`, :class:`SSMax` and :class:`SASoftmax` map scores to weights. :func:`attention`
maps queries, keys and values to outputs, without writing the weights. :func:`visible_keys` and
:func:`ssmax_query_scale` bring SSMax into any other implementation of softmax attention.
"""

from __future__ import annotations

from . import _requirements  # noqa: F401 - first: it says what is missing
from ._attention import attention
from ._modules import SASoftmax, Softmax, SSMax
from ._query_scale import ssmax_query_scale
from ._visible_keys import visible_keys

__all__ = [
    "SASoftmax",
    "SSMax",
    "Softmax",
    "attention",
    "ssmax_query_scale",
    "visible_keys",
]
