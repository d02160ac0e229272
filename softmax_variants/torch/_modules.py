"""The family as modules: their options and parameters; the functions compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from softmax_variants._functions import sa_softmax, softmax
from softmax_variants._validate import check_gate

from ._option_checks import check_integer
from ._ssmax import SSMax

if TYPE_CHECKING:
    from softmax_variants._typing import Form

__all__ = ["SASoftmax", "SSMax", "Softmax"]


class Softmax(nn.Module):
    r"""Softmax along an axis.

    With :math:`\Omega` the present entries of a row of logits :math:`x`,

    .. math::

        y_i = \frac{e^{x_i}}{\sum_{j \in \Omega} e^{x_j}} \quad (i \in \Omega), \qquad
        y_i = 0 \quad (i \notin \Omega).

    Parameters
    ----------
    axis : int, default -1
        The axis along which a row runs.

    Raises
    ------
    TypeError
        If `axis` is not an int.

    See Also
    --------
    softmax_variants.softmax : The function, with what holds for special values.

    Examples
    --------
    >>> import torch
    >>> from softmax_variants.torch import Softmax
    >>> Softmax()(torch.tensor([0.0, 0.0, -torch.inf]))
    tensor([0.5000, 0.5000, 0.0000])
    """

    axis: int

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = check_integer("axis", axis)

    def forward(self, x: Tensor, *, where: Tensor | None = None) -> Tensor:
        """Return the weights.

        Parameters
        ----------
        x : Tensor
            Logits, of any shape with at least one dimension; float16, bfloat16, float32, float64.
        where : Tensor of bool, optional
            Which entries are present; broadcasts to the shape of x. All by default.

        Returns
        -------
        Tensor
            The weights, of x's shape, dtype and device.
        """
        return softmax(x, axis=self.axis, where=where)

    def extra_repr(self) -> str:
        """Return the options, as in the call of the constructor."""
        return f"axis={self.axis}"


class SASoftmax(nn.Module):
    r"""Self-Adjust Softmax (SA-Softmax) [1]_ along an axis: softmax times a gate of the logits.

    With :math:`\Omega` the present entries of a row of logits :math:`x`, and :math:`m, M` their
    minimum and maximum,

    .. math::

        y_i = r_i \frac{e^{x_i}}{\sum_{j \in \Omega} e^{x_j}} \quad (i \in \Omega), \qquad
        y_i = 0 \quad (i \notin \Omega),

    .. math::

        r_i = \begin{cases}
            x_i & \text{plain} \\
            x_i - m & \text{shifted} \\
            (x_i - m) / (M - m) & \text{minmax} \\
            (x_i - \min(m, 0)) / (\max(M, 0) - \min(m, 0)) & \text{normalized}
        \end{cases}

    Parameters
    ----------
    form : {"normalized", "minmax", "shifted", "plain"}
        The gate; the paper's default is ``"normalized"``.
    detach_extrema : bool, default False
        Whether derivatives take m and M for constants. The weights do not depend on it.
    axis : int, default -1
        The axis along which a row runs.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If `form` is unknown.

    See Also
    --------
    softmax_variants.sa_softmax : The function, with what holds for special values.

    Notes
    -----
    Plain and normalized follow the paper's abstract; shifted and minmax follow secondary sources.

    References
    ----------
    .. [1] "Self-Adjust Softmax", arXiv:2502.18277.

    Examples
    --------
    >>> import torch
    >>> from softmax_variants.torch import SASoftmax
    >>> SASoftmax()(torch.tensor([1.0, 2.0, -1.0, 0.5]))
    tensor([0.1495, 0.6095, 0.0000, 0.0680])
    >>> SASoftmax("plain")
    SASoftmax(form='plain')
    """

    form: Form
    detach_extrema: bool
    axis: int

    def __init__(
        self, form: Form = "normalized", *, detach_extrema: bool = False, axis: int = -1
    ) -> None:
        super().__init__()
        check_gate(form, detach_extrema=detach_extrema)
        self.form = form
        self.detach_extrema = detach_extrema
        self.axis = check_integer("axis", axis)

    def forward(self, x: Tensor, *, where: Tensor | None = None) -> Tensor:
        """Return the gated weights.

        Parameters
        ----------
        x : Tensor
            Logits, of any shape with at least one dimension; float16, bfloat16, float32, float64.
        where : Tensor of bool, optional
            Which entries are present; broadcasts to the shape of x. All by default.

        Returns
        -------
        Tensor
            The gated weights, of x's shape, dtype and device.
        """
        return sa_softmax(
            x,
            form=self.form,
            detach_extrema=self.detach_extrema,
            axis=self.axis,
            where=where,
        )

    def extra_repr(self) -> str:
        """Return the options, as in the call of the constructor, that differ from its defaults."""
        options = [f"form={self.form!r}"]
        if self.detach_extrema:
            options.append("detach_extrema=True")
        if self.axis != -1:
            options.append(f"axis={self.axis}")
        return ", ".join(options)
