"""The functions of the family: each checks its arguments, finds its backend, and delegates.

Their derivatives are in ``_gradients.py``; what an argument may be, in ``_validate.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._dispatch import find
from ._memory import check_out
from ._validate import check_gate, check_logits, check_parameters

if TYPE_CHECKING:
    from ._typing import Array, ArrayT, Backend, Form, Parameter

__all__ = ["sa_softmax", "softmax", "ssmax"]


def softmax(
    x: ArrayT,
    *,
    axis: int = -1,
    where: Array | None = None,
    out: ArrayT | None = None,
    backend: Backend | None = None,
) -> ArrayT:
    r"""Softmax along an axis.

    With :math:`\Omega` the present entries of a row of logits :math:`x`,

    .. math::

        y_i = \frac{e^{x_i}}{\sum_{j \in \Omega} e^{x_j}} \quad (i \in \Omega), \qquad
        y_i = 0 \quad (i \notin \Omega).

    An entry is absent if `where` is False there or its logit is :math:`-\infty`.

    Parameters
    ----------
    x : array
        Logits, of any shape with at least one dimension. A NumPy, CuPy or PyTorch array, or one
        of any other array-API library; float16, float32, float64, or bfloat16 where the library
        itself has it.
    axis : int, default -1
        The axis along which a row runs.
    where : array of bool, optional
        Which entries are present; broadcasts to the shape of x. All by default.
    out : array, optional
        Where to write the result (NumPy, CuPy, and PyTorch outside of autograd): of the shape,
        dtype and device of x, and x itself or disjoint from it and all other arguments.
    backend : str or module, optional
        A backend's name (see :func:`backends`) or its module, in place of the one that belongs to
        the library of x.

    Returns
    -------
    array
        The weights: an array like x, of its library, shape, dtype and device; `out` if given.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, dtype or library.
    ValueError
        If an argument has a wrong shape, device or value, or `out` overlaps another in part.
    NotImplementedError
        If the backend that was asked for lacks the function.

    See Also
    --------
    softmax_vjp : Its vector-Jacobian product.

    Notes
    -----
    Absent entries have weight and gradient exactly 0, and what they hold (NaN, infinities) reaches
    no other entry. A row without present entries is all 0. A NaN or :math:`+\infty` at a present
    entry makes the present weights of its row NaN, and of no other row.

    A large finite negative logit, such as ``finfo.min`` in place of a mask, is an ordinary logit: a
    row with nothing else comes out uniform, not 0. Mask with `where` or :math:`-\infty`.

    Of NumPy's subclasses, the elements are read and the result is a plain array; masked arrays are
    rejected.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_variants as sv
    >>> x = np.asarray([[1.0, 2.0, -1.0, 0.5], [1000.0, 1000.0, -np.inf, np.nan]])
    >>> present = np.asarray([True, True, True, False])
    >>> sv.softmax(x, where=present).round(4)
    array([[0.2595, 0.7054, 0.0351, 0.    ],
           [0.5   , 0.5   , 0.    , 0.    ]])
    """
    library, x, axis, where = check_logits(x, axis, where)
    if out is not None:
        check_out(out, x, library, where=where)
    weights: ArrayT = find("softmax", library, backend)(x, axis=axis, where=where, out=out)
    return weights


def ssmax(
    x: ArrayT,
    s: Parameter = 1.0,
    b: Parameter = 0.0,
    *,
    n: Parameter | None = None,
    axis: int = -1,
    where: Array | None = None,
    out: ArrayT | None = None,
    backend: Backend | None = None,
) -> ArrayT:
    r"""Scalable-Softmax (SSMax) [1]_ along an axis: softmax whose sharpness grows with the row.

    With :math:`\Omega` the present entries of a row of logits :math:`x` and :math:`n = |\Omega|`,

    .. math::

        y_i = \frac{e^{c x_i}}{\sum_{j \in \Omega} e^{c x_j}} \quad (i \in \Omega), \qquad
        y_i = 0 \quad (i \notin \Omega), \qquad c = s \ln n + b.

    For :math:`b = 0` that is :math:`n^{s x_i} / \sum_j n^{s x_j}`.

    Parameters
    ----------
    x : array
        Logits, of any shape with at least one dimension. A NumPy, CuPy or PyTorch array, or one
        of any other array-API library; float16, float32, float64, or bfloat16 where the library
        itself has it.
    s, b : float or array, default 1.0 and 0.0
        Scale and bias, of any sign: finite numbers, or arrays of a real floating dtype that
        broadcast to the shape of x with `axis` of length 1, without enlarging it; one for each
        head of (batch, heads, queries, keys) has shape (heads, 1, 1). The bias multiplies the
        logits, as the scale does: one that is added would cancel.
    n : float or array, optional
        What to take for the number of present entries, where the row is a part of a longer one:
        a positive number, or an array like `s` of an integer or real floating dtype. It is not
        differentiated.
    axis : int, default -1
        The axis along which a row runs.
    where : array of bool, optional
        Which entries are present; broadcasts to the shape of x. All by default.
    out : array, optional
        Where to write the result (NumPy, CuPy, and PyTorch outside of autograd): of the shape,
        dtype and device of x, and x itself or disjoint from it and all other arguments.
    backend : str or module, optional
        A backend's name (see :func:`backends`) or its module, in place of the one that belongs to
        the library of x.

    Returns
    -------
    array
        The weights: an array like x, of its library, shape, dtype and device; `out` if given.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, dtype or library.
    ValueError
        If an argument has a wrong shape, device or value, or `out` overlaps another in part; if
        s, b or n is a Python number that is not finite, or is an integer beyond the range of
        floats, or, for n, is not positive.
    NotImplementedError
        If the backend that was asked for lacks the function.

    See Also
    --------
    ssmax_vjp : Its vector-Jacobian product, with the gradients of s and b.

    Notes
    -----
    Absent entries (`where` False, or :math:`-\infty`) are not counted in n; of a causal mask, each
    query counts the keys that it sees. Where c is 0, as for one present entry and b = 0, the row is
    uniform on the present entries. A row without present entries is all 0. A NaN or
    :math:`+\infty` at a present entry, or an s, b or n of the row's that is not finite (n: or not
    positive), makes its present weights NaN.

    A large finite negative logit, such as ``finfo.min`` in place of a mask, is an ordinary logit,
    and counted in n. Mask with `where` or :math:`-\infty`.

    NumPy's scalars are arrays without dimensions beside a NumPy x, and numbers beside any other.

    References
    ----------
    .. [1] K. M. Nakanishi, "Scalable-Softmax Is Superior for Attention", arXiv:2501.19399.

    Examples
    --------
    On 4 present entries, s = 1 weighs the logits as powers of 4: 16, 64, 1, 8 parts of 89.

    >>> import numpy as np
    >>> import softmax_variants as sv
    >>> x = np.asarray([1.0, 2.0, -1.0, 0.5, -np.inf])
    >>> sv.ssmax(x).round(4)
    array([0.1798, 0.7191, 0.0112, 0.0899, 0.    ])
    >>> sv.ssmax(x, 0.43).round(4)
    array([0.259 , 0.4701, 0.0786, 0.1923, 0.    ])
    """
    library, x, axis, where = check_logits(x, axis, where)
    s, b, n = check_parameters(x, axis, library, s=s, b=b, n=n)
    if out is not None:
        check_out(out, x, library, where=where, s=s, b=b, n=n)
    weights: ArrayT = find("ssmax", library, backend)(x, s, b, n=n, axis=axis, where=where, out=out)
    return weights


def sa_softmax(
    x: ArrayT,
    *,
    form: Form = "normalized",
    detach_extrema: bool = False,
    axis: int = -1,
    where: Array | None = None,
    out: ArrayT | None = None,
    backend: Backend | None = None,
) -> ArrayT:
    r"""Self-Adjust Softmax (SA-Softmax) [1]_ along an axis: softmax times a gate of the logits.

    With :math:`\Omega` the present entries of a row of logits :math:`x`, and :math:`m, M` their
    minimum and maximum,

    .. math::

        y_i = r_i \frac{e^{x_i}}{\sum_{j \in \Omega} e^{x_j}} \quad (i \in \Omega), \qquad
        y_i = 0 \quad (i \notin \Omega),

    with the gate of the chosen form:

    .. math::

        r_i = \begin{cases}
            x_i & \text{plain} \\
            x_i - m & \text{shifted} \\
            (x_i - m) / (M - m) & \text{minmax} \\
            (x_i - \min(m, 0)) / (\max(M, 0) - \min(m, 0)) & \text{normalized}
        \end{cases}

    Parameters
    ----------
    x : array
        Logits, of any shape with at least one dimension. A NumPy, CuPy or PyTorch array, or one
        of any other array-API library; float16, float32, float64, or bfloat16 where the library
        itself has it.
    form : {"normalized", "minmax", "shifted", "plain"}
        The gate; the paper's default is ``"normalized"``.
    detach_extrema : bool, default False
        Whether derivatives take m and M for constants. The weights do not depend on it.
    axis : int, default -1
        The axis along which a row runs.
    where : array of bool, optional
        Which entries are present; broadcasts to the shape of x. All by default.
    out : array, optional
        Where to write the result (NumPy, CuPy, and PyTorch outside of autograd): of the shape,
        dtype and device of x, and x itself or disjoint from it and all other arguments.
    backend : str or module, optional
        A backend's name (see :func:`backends`) or its module, in place of the one that belongs to
        the library of x.

    Returns
    -------
    array
        The gated weights: an array like x, of its library, shape, dtype and device; `out` if
        given. Their sum is at most 1 in the forms with a denominator, and anything in the others.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, dtype or library.
    ValueError
        If `form` is unknown, an argument has a wrong shape or device, or `out` overlaps another
        in part.
    NotImplementedError
        If the backend that was asked for lacks the function.

    See Also
    --------
    sa_softmax_vjp : Its vector-Jacobian product.

    Notes
    -----
    Absent entries (`where` False, or :math:`-\infty`) count neither in m nor in M. Where the
    denominator of the gate is 0, the weights of the row are 0, and so is its gradient. A row
    without present entries is all 0. A NaN or :math:`+\infty` at a present entry makes the present
    weights of its row NaN, and of no other row.

    A large finite negative logit, such as ``finfo.min`` in place of a mask, is an ordinary logit,
    and the minimum of its row: the normalized gate of all others then is 1, and the result plain
    softmax. Mask with `where` or :math:`-\infty`.

    Plain and normalized follow the paper's abstract; shifted and minmax follow secondary sources.

    References
    ----------
    .. [1] "Self-Adjust Softmax", arXiv:2502.18277.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_variants as sv
    >>> x = np.asarray([1.0, 2.0, -1.0, 0.5])
    >>> sv.sa_softmax(x).round(4)
    array([0.1495, 0.6095, 0.    , 0.068 ])
    >>> sv.sa_softmax(x, form="plain").round(4)
    array([ 0.2242,  1.2189, -0.0303,  0.068 ])
    """
    library, x, axis, where = check_logits(x, axis, where)
    check_gate(form, detach_extrema=detach_extrema)
    if out is not None:
        check_out(out, x, library, where=where)
    weights: ArrayT = find("sa_softmax", library, backend)(
        x, form=form, detach_extrema=detach_extrema, axis=axis, where=where, out=out
    )
    return weights
