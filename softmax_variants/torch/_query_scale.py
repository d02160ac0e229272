"""SSMax as a scale on the queries of any softmax attention."""

from __future__ import annotations

from torch import Tensor

from softmax_variants_backends.torch.attention import scale_factor, scale_queries

from ._arguments import Parameter, check_floating, check_parameter

__all__ = ["ssmax_query_scale"]


def ssmax_query_scale(q: Tensor, s: Parameter = 1.0, b: Parameter = 0.0, *, n: Parameter) -> Tensor:
    r"""Scale queries so that any softmax attention with them is SSMax attention.

    With :math:`n_i` the number of keys that query :math:`i` sees,

    .. math::

        q'_i = (s \ln n_i + b) \, q_i,

    rounded once. SSMax multiplies the logits :math:`q_i \cdot k_j` of a query by that factor, and
    softmax of the products is SSMax of the logits.

    Parameters
    ----------
    q : Tensor
        Queries, of shape (..., queries, dim), such as (batch, heads, queries, dim); float16,
        bfloat16, float32 or float64.
    s, b : float or Tensor, default 1.0 and 0.0
        Scale and bias of SSMax: finite numbers, or floating tensors that broadcast to the shape of
        q with the last axis of length 1; one for each head of (batch, heads, queries, dim) has
        shape (heads, 1, 1).
    n : int, float or Tensor
        Number of keys that each query sees: a positive number, or a tensor of an integer or
        floating dtype that broadcasts like s, such as :func:`visible_keys` returns. It is not
        differentiated.

    Returns
    -------
    Tensor
        The scaled queries, of q's shape, dtype and device.

    Raises
    ------
    TypeError
        If an argument is of the wrong type or dtype.
    ValueError
        If an argument has a wrong shape, device or value.

    See Also
    --------
    visible_keys : The number of keys that each query sees.
    attention : Attention that does both.

    Notes
    -----
    The factor is computed in float64, the product in float32 (of float32 and float64 queries in
    float64); only the result is rounded to the dtype of q. Gradients of s and b are sums in float32
    or better, and have their shape and dtype. So do not scale by a factor of your own in float16 or
    bfloat16: ln 2 in bfloat16 is off by 0.25 %, and 65520 keys overflow float16.

    Where n is 0 the query sees nothing: its scaled query is 0, and it adds nothing to gradients.
    A negative n, or a NaN or infinity in s, b or n, makes the scaled query NaN.

    Pass the result to attention with the scale that it would have without it
    (:math:`1/\sqrt{d}`). Rotary position embeddings may come before or after, a normalization of
    the queries must come before. An additive mask is added to logits that are already scaled: one
    with other values than 0 and :math:`-\infty` must be multiplied by the factor as well.

    References
    ----------
    .. [1] K. M. Nakanishi, "Scalable-Softmax Is Superior for Attention", arXiv:2501.19399.

    Examples
    --------
    Causal attention of 5 tokens in 2 heads, with a learned scale for each head:

    >>> import torch
    >>> from torch.nn.functional import scaled_dot_product_attention
    >>> from softmax_variants.torch import attention, ssmax_query_scale, visible_keys
    >>> q, k, v = torch.randn(3, 1, 2, 5, 16)
    >>> s = torch.tensor([0.4, 0.6], requires_grad=True)
    >>> scaled = ssmax_query_scale(q, s.view(2, 1, 1), n=visible_keys(5, causal=True))
    >>> out = scaled_dot_product_attention(scaled, k, v, is_causal=True)
    >>> torch.equal(out, attention(q, k, v, variant="ssmax", s=s.view(2, 1, 1), causal=True))
    True
    """
    q = check_floating("q", q, "a tensor of shape (..., queries, dim)")
    if q.ndim == 0:
        msg = "q must have shape (..., queries, dim), got a tensor without dimensions"
        raise ValueError(msg)
    s, b, n = (check_parameter(name, value, q) for name, value in (("s", s), ("b", b), ("n", n)))
    n = n.detach() if isinstance(n, Tensor) else n
    return scale_queries(q, scale_factor(s, b, n), q.dtype)
