"""Attention with any of the variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor

from softmax_variants_backends.torch.attention import (
    AttentionMask,
    dot_product_attention,
    sa_attention,
    scale_factor,
    scale_factor_of_counts,
    scale_queries,
    widest_dtype,
)

from ._arguments import (
    Options,
    Parameter,
    check_dropout,
    check_parameter,
    check_qkv,
    check_scale,
    choose,
    is_autocast_enabled,
)
from ._mask_arguments import MaskArguments, Window, build_mask
from ._modules import SASoftmax, Softmax, SSMax

if TYPE_CHECKING:
    from softmax_variants._typing import Form

__all__ = ["Variant", "attention"]

Variant: TypeAlias = Literal["softmax", "ssmax", "sa_softmax"] | Softmax | SSMax | SASoftmax


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    variant: Variant = "softmax",
    s: Parameter = 1.0,
    b: Parameter = 0.0,
    n: Parameter | None = None,
    form: Form = "normalized",
    detach_extrema: bool = False,
    mask: Tensor | None = None,
    causal: bool = False,
    window: Window = None,
    offset: int | None = None,
    cache_position: Tensor | None = None,
    key_lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
) -> Tensor:
    r"""Dot-product attention with softmax, SSMax or SA-Softmax.

    With :math:`\Omega_i` the keys that query :math:`i` sees, in each head

    .. math::

        \mathrm{out}_i = \sum_{j \in \Omega_i} y_{ij} v_j, \qquad
        y_i = \mathrm{variant}\bigl((x_{ij})_{j \in \Omega_i}\bigr), \qquad
        x_{ij} = \mathrm{scale} \; q_i \cdot k_j + \mathrm{mask}_{ij},

    and 0 where :math:`\Omega_i` is empty. The mask is added where it is floating.

    Parameters
    ----------
    q : Tensor
        Queries, of shape (batch, heads, queries, dim); float16, bfloat16, float32 or float64.
    k, v : Tensor
        Keys, of shape (batch, kv_heads, keys, dim), and values, (batch, kv_heads, keys, dim_v), of
        q's dtype. The heads of q are a multiple of kv_heads; consecutive ones share a head of k
        and v (grouped-query attention).
    variant : {"softmax", "ssmax", "sa_softmax"} or module
        The variant, or a :class:`Softmax`, :class:`SSMax` or :class:`SASoftmax` with its options
        and parameters.
    s, b : float or Tensor, default 1.0 and 0.0
        Scale and bias of SSMax, :math:`c = s \ln n + b`: finite numbers, or floating tensors that
        broadcast to (batch, heads, queries, 1); one for each head has shape (heads, 1, 1).
    n : int, float or Tensor, optional
        What SSMax takes for the number of keys that a query sees, where k holds only a part of
        them; broadcasts like s. By default they are counted.
    form : {"normalized", "minmax", "shifted", "plain"}
        The gate of SA-Softmax.
    detach_extrema : bool, default False
        Whether derivatives of SA-Softmax take a row's minimum and maximum for constants.
    mask : Tensor, optional
        Boolean, True where a key is visible, or floating, added to the logits: then entries of
        :math:`-\infty`, or below half of the most negative finite number of its dtype, are hidden.
        Broadcasts to (batch, heads, queries, keys); a padding mask of shape (batch, keys) goes in
        as ``mask[:, None, None, :]``.
    causal : bool, default False
        Whether a query sees no key after its own position.
    window : int or pair of int, optional
        A sliding window: w for the query's own key and the w - 1 before it, or a pair (left, right)
        of the numbers of keys before and after its own, None for all of them.
    offset : int, optional
        Position of the first query among the keys, for `causal` and `window`. By default
        keys - queries: the queries are the last ones, as when decoding with a cache.
    cache_position : Tensor, optional
        In place of `offset`, the position of each query: integers of shape (queries,) or
        (batch, queries).
    key_lengths : Tensor, optional
        Of sequences padded on the right, the number of keys that are real: integers of shape
        (batch,).
    cu_seqlens : Tensor, optional
        Of documents packed one after another, where each starts, and the end of the last:
        integers, rising from 0 to queries = keys, best on the CPU. A query sees only its own
        document.
    scale : float, optional
        What the products of queries and keys are multiplied by; positive, by default
        :math:`1 / \sqrt{\mathrm{dim}}`.
    dropout_p : float, default 0.0
        Probability of dropping a weight; the others are divided by 1 - dropout_p. Pass 0 in
        evaluation.

    Returns
    -------
    Tensor
        Of shape (batch, heads, queries, dim_v), in q's dtype; under autocast in its dtype.

    Raises
    ------
    TypeError
        If an argument is of the wrong type or dtype.
    ValueError
        If an argument has a wrong shape, device or value, or two contradict each other: a mask with
        a row for each query that shows what `causal` hides, `offset` beside `cache_position`, an
        option of another variant.

    See Also
    --------
    visible_keys : The n that SSMax takes.
    ssmax_query_scale : SSMax for other implementations of softmax attention.

    Notes
    -----
    Softmax and SSMax run on :func:`torch.nn.functional.scaled_dot_product_attention`; SSMax scales
    the queries by c first, in float32 and with one rounding. Causal masks, windows and packed
    documents need no (queries, keys) mask, and others are written for a block of queries at a time.
    SA-Softmax writes its weights for a block of queries at most, and recomputes them for the
    gradients. Which derivatives there are beyond the first is up to the kernel.

    SSMax multiplies the logits with the mask in them, :math:`c_i x_{ij}`, as :func:`ssmax` of the
    same logits does; a position bias that is to stay as it is must be divided by c first.

    What tensors on a GPU hold is not waited for, but for `cu_seqlens` and for a mask with a row for
    each query beside ``causal=True``; a compiled program is interrupted to read `cu_seqlens`, and
    does not compare such a mask with `causal`.

    As in PyTorch's own attention, what hidden keys and values hold must be finite. What a NaN in a
    query comes to is up to the kernel in softmax and SSMax: PyTorch's on the CPU hides it. In
    SA-Softmax the query's output is NaN.

    Under autocast, q, k and v are rounded to its dtype (float64 is left alone), SSMax's queries
    after they are scaled.

    References
    ----------
    .. [1] K. M. Nakanishi, "Scalable-Softmax Is Superior for Attention", arXiv:2501.19399.
    .. [2] "Self-Adjust Softmax", arXiv:2502.18277.

    Examples
    --------
    Causal attention of 8 heads, 2 of keys and values, with a learned scale for each head:

    >>> import torch
    >>> from softmax_variants.torch import SSMax, attention
    >>> q, k, v = torch.randn(1, 8, 10, 16), torch.randn(1, 2, 10, 16), torch.randn(1, 2, 10, 16)
    >>> variant = SSMax(heads=8)
    >>> out = attention(q, k, v, variant=variant, causal=True)
    >>> out.shape
    torch.Size([1, 8, 10, 16])

    The last token again, as it is decoded with a cache of keys and values:

    >>> last = attention(q[:, :, -1:], k, v, variant=variant, causal=True)
    >>> torch.allclose(last, out[:, :, -1:], atol=1e-6)
    True
    """
    q, k, v = check_qkv(q, k, v)
    options = choose(Options(variant, s, b, n, form, detach_extrema), q.shape[1])
    scale = check_scale(scale, q.shape[3])
    dropout_p = check_dropout(dropout_p)
    shown, bias = build_mask(
        MaskArguments(mask, causal, window, offset, cache_position, key_lengths, cu_seqlens),
        batch=q.shape[0],
        heads=q.shape[1],
        queries=q.shape[2],
        keys=k.shape[2],
        device=q.device,
    )
    keywords = {"scale": scale, "bias": bias, "dropout_p": dropout_p}
    if not is_autocast_enabled(q.device.type):
        return _attend(q, k, v, options, shown, **keywords)
    # What is to be rounded is: within, autocast would round logits, gates and additive masks too.
    with torch.autocast(q.device.type, enabled=False):
        return _attend(q, k, v, options, shown, **keywords)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, options: Options, shown: AttentionMask, **keywords: Any
) -> Tensor:
    """Return attention in the dtype of k and v."""
    if options.variant == "sa_softmax" and 0 not in (*q.shape[:3], k.shape[2]):
        form, detach_extrema = options.form, options.detach_extrema
        keywords |= {"form": form, "detach_extrema": detach_extrema}
        return sa_attention(q.to(k.dtype), k, v, shown.visible(), **keywords)
    if options.variant == "ssmax":
        keywords["bias_factor"] = _factor(q, options, shown)
        q = scale_queries(q, keywords["bias_factor"], k.dtype)
    return dot_product_attention(q.to(k.dtype), k, v, shown, **keywords)


def _factor(q: Tensor, options: Options, shown: AttentionMask) -> Parameter:
    """Return c = s ln n + b of each query."""
    s, b = check_parameter("s", options.s, q), check_parameter("b", options.b, q)
    if options.n is None:
        # Queries that see nothing get 0 from attention: any factor will do that is not NaN.
        return scale_factor_of_counts(s, b, shown.counts(widest_dtype(q.device), least=1))
    n = check_parameter("n", options.n, q)
    return scale_factor(s, b, n.detach() if isinstance(n, Tensor) else n)
