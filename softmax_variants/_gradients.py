"""The vector-Jacobian products of the family; checks and backends as for the functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._dispatch import find
from ._validate import check_cotangent, check_gate, check_logits, check_parameters

if TYPE_CHECKING:
    from ._typing import Array, ArrayT, Backend, Form, Parameter

__all__ = ["sa_softmax_vjp", "softmax_vjp", "ssmax_vjp"]


def softmax_vjp(
    x: ArrayT,
    dy: ArrayT,
    *,
    axis: int = -1,
    where: Array | None = None,
    backend: Backend | None = None,
) -> ArrayT:
    r"""Vector-Jacobian product of softmax: from the gradient by its weights to that by its logits.

    With :math:`p = \operatorname{softmax}(x)` on the present entries :math:`\Omega` of a row,

    .. math::

        dx_i = \sum_{j \in \Omega} dy_j \frac{\partial p_j}{\partial x_i}
             = p_i \Bigl(dy_i - \sum_{j \in \Omega} dy_j p_j\Bigr) \quad (i \in \Omega), \qquad
        dx_i = 0 \quad (i \notin \Omega).

    Parameters
    ----------
    x : array
        Logits, as for :func:`softmax`.
    dy : array
        Gradient by the weights: of the library, shape, dtype and device of x.
    axis, where, backend
        As for :func:`softmax`.

    Returns
    -------
    array
        dx, an array like x.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, dtype or library.
    ValueError
        If an argument has a wrong shape, device or value.
    NotImplementedError
        If the backend that was asked for lacks the function.

    See Also
    --------
    softmax : The function.

    Notes
    -----
    Absent entries have gradient exactly 0, whatever dy holds there. A dy that is not finite at a
    present entry makes the present gradients of its row NaN, as a NaN or :math:`+\infty` logit
    does. A row with a single present entry has gradient 0.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_variants as sv
    >>> sv.softmax_vjp(np.zeros(4), np.asarray([1.0, 0.0, 0.0, 0.0]))
    array([ 0.1875, -0.0625, -0.0625, -0.0625])
    """
    library, x, axis, where = check_logits(x, axis, where)
    dy = check_cotangent(dy, x, library)
    dx: ArrayT = find("softmax_vjp", library, backend)(x, dy, axis=axis, where=where)
    return dx


def ssmax_vjp(
    x: ArrayT,
    dy: ArrayT,
    s: Parameter = 1.0,
    b: Parameter = 0.0,
    *,
    n: Parameter | None = None,
    axis: int = -1,
    where: Array | None = None,
    backend: Backend | None = None,
) -> tuple[ArrayT, ArrayT, ArrayT]:
    r"""Vector-Jacobian product of SSMax [1]_, by its logits, its scale and its bias.

    With :math:`c = s \ln n + b`, :math:`p = \operatorname{softmax}(c x)` and
    :math:`\bar x = \sum_j p_j x_j` on the present entries :math:`\Omega` of a row,

    .. math::

        dx_i = c \, p_i \Bigl(dy_i - \sum_{j \in \Omega} dy_j p_j\Bigr), \qquad
        db = \sum_{\text{rows}} \sum_{i \in \Omega} dy_i p_i (x_i - \bar x), \qquad
        ds = \sum_{\text{rows}} \ln n \sum_{i \in \Omega} dy_i p_i (x_i - \bar x),

    the sums taken over the rows that share an element of b or s.

    Parameters
    ----------
    x : array
        Logits, as for :func:`ssmax`.
    dy : array
        Gradient by the weights: of the library, shape, dtype and device of x.
    s, b, n, axis, where, backend
        As for :func:`ssmax`. n is not differentiated.

    Returns
    -------
    dx : array
        An array like x.
    ds, db : array
        Of the shape and dtype of s and b; for a Python number, without dimensions and of the
        dtype of x.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, dtype or library.
    ValueError
        If an argument has a wrong shape, device or value.
    NotImplementedError
        If the backend that was asked for lacks the function.

    See Also
    --------
    ssmax : The function.

    Notes
    -----
    Absent entries have gradient exactly 0, whatever dy holds there, and add nothing to ds and db.
    Nor does a row without present entries. What makes a row's present gradients NaN (a NaN or
    :math:`+\infty` logit, a parameter or a dy that is not finite) makes ds and db NaN where the row
    is part of their sums.

    References
    ----------
    .. [1] K. M. Nakanishi, "Scalable-Softmax Is Superior for Attention", arXiv:2501.19399.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_variants as sv
    >>> x = np.asarray([[1.0, 0.0], [0.0, 2.0]])
    >>> dy = np.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> s = np.asarray([[1.0], [0.5]])
    >>> dx, ds, db = sv.ssmax_vjp(x, dy, s)
    >>> dx.round(4)
    array([[ 0.154, -0.154],
           [-0.077,  0.077]])
    >>> ds.round(4)
    array([[0.154 ],
           [0.3081]])
    >>> db.shape, round(float(db), 4)
    ((), 0.6667)
    """
    library, x, axis, where = check_logits(x, axis, where)
    dy = check_cotangent(dy, x, library)
    s, b, n = check_parameters(x, axis, library, s=s, b=b, n=n)
    gradients: tuple[ArrayT, ArrayT, ArrayT] = find("ssmax_vjp", library, backend)(
        x, dy, s, b, n=n, axis=axis, where=where
    )
    return gradients


def sa_softmax_vjp(
    x: ArrayT,
    dy: ArrayT,
    *,
    form: Form = "normalized",
    detach_extrema: bool = False,
    axis: int = -1,
    where: Array | None = None,
    backend: Backend | None = None,
) -> ArrayT:
    r"""Vector-Jacobian product of SA-Softmax [1]_.

    With :math:`p = \operatorname{softmax}(x)`, the gate :math:`r` of the form and the weights
    :math:`y = r p` on the present entries :math:`\Omega` of a row,

    .. math::

        dx_i = dy_i y_i - p_i \sum_{j \in \Omega} dy_j y_j
             + \sum_{j \in \Omega} dy_j p_j \frac{\partial r_j}{\partial x_i}.

    The gate of a form with denominator :math:`D = \delta - \lambda`, :math:`r_j = (x_j - \lambda) /
    D`, has

    .. math::

        \frac{\partial r_j}{\partial x_i} = \frac{1}{D} \Bigl(\delta_{ij}
            - (1 - r_j) \frac{\partial \lambda}{\partial x_i}
            - r_j \frac{\partial \delta}{\partial x_i}\Bigr).

    Parameters
    ----------
    x : array
        Logits, as for :func:`sa_softmax`.
    dy : array
        Gradient by the weights: of the library, shape, dtype and device of x.
    form, axis, where, backend
        As for :func:`sa_softmax`.
    detach_extrema : bool, default False
        Whether to take the minimum and the maximum for constants. They are differentiated by
        default.

    Returns
    -------
    array
        dx, an array like x.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, dtype or library.
    ValueError
        If an argument has a wrong shape, device or value.
    NotImplementedError
        If the backend that was asked for lacks the function.

    See Also
    --------
    sa_softmax : The function.

    Notes
    -----
    The derivative of an extremum is split evenly over the entries that attain it; of the normalized
    form, the appended 0 is one of them if it does. Where the denominator is 0, the gradient of the
    row is 0. Absent entries have gradient exactly 0, whatever dy holds there.

    The choice of `detach_extrema` matters: differentiated, the derivative of the normalized weight
    at a unique positive maximum by its own logit is exactly softmax's, p (1 - p), which vanishes as
    p comes near 1; detached, it does not vanish.

    References
    ----------
    .. [1] "Self-Adjust Softmax", arXiv:2502.18277.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_variants as sv
    >>> x, dy = np.asarray([12.0, 0.0, -3.0]), np.asarray([1.0, 0.0, 0.0])
    >>> sv.sa_softmax_vjp(x, dy)[0].round(8), sv.softmax_vjp(x, dy)[0].round(8)
    (np.float64(6.45e-06), np.float64(6.45e-06))
    >>> sv.sa_softmax_vjp(x, dy, detach_extrema=True)[0].round(4)
    np.float64(0.0667)
    """
    library, x, axis, where = check_logits(x, axis, where)
    check_gate(form, detach_extrema=detach_extrema)
    dy = check_cotangent(dy, x, library)
    dx: ArrayT = find("sa_softmax_vjp", library, backend)(
        x, dy, form=form, detach_extrema=detach_extrema, axis=axis, where=where
    )
    return dx
