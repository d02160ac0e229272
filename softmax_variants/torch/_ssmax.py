"""SSMax as a module, with a scale for each attention head."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from softmax_variants._functions import ssmax
from softmax_variants._libraries import describe

from ._option_checks import check_finite, check_integer

__all__ = ["SSMax"]

Init: TypeAlias = float | Literal["log_length", "mean_log_length"]
"""What s starts from: a number, or a rule that needs the length."""


class SSMax(nn.Module):
    r"""Scalable-Softmax (SSMax) [1]_ for attention scores, with a scale for each head.

    With :math:`\Omega` the keys that a query sees, :math:`n = |\Omega|` their number, and
    :math:`x` its scores in head :math:`h`,

    .. math::

        y_i = \frac{e^{c x_i}}{\sum_{j \in \Omega} e^{c x_j}} \quad (i \in \Omega), \qquad
        y_i = 0 \quad (i \notin \Omega), \qquad c = s_h \ln n + b_h.

    Parameters
    ----------
    heads : int
        Number of attention heads (query heads, where keys and values have fewer).
    init : float, "log_length" or "mean_log_length", default 1.0
        What :math:`s` starts from, in every head. A finite number: 1 is SSMax without a scaling
        parameter, 0.43 the value in Figure 1 of [1]_. ``"log_length"``:
        :math:`(1 - b) / \ln L`, with which :math:`c = 1` at :math:`n = L`: plain softmax for rows
        of that length. ``"mean_log_length"``: :math:`(1 - b) / \frac{1}{L} \sum_{n=1}^{L} \ln n`,
        with which the mean of :math:`c` over the queries of a causal context of length :math:`L`
        is 1. Without a bias, :math:`b` is 0 here.
    length : int, optional
        :math:`L` of the last two, at least 2.
    bias : float, optional
        What :math:`b` starts from, in every head; None for no bias. It multiplies the scores, as
        the scale does: one that is added would cancel.
    learned : bool, default True
        Whether `s` and `b` are parameters. If not they are buffers: saved and moved with the
        module, and left out of its ``parameters()``.
    device, dtype : optional
        Of `s` and `b`, as for PyTorch's own modules.

    Attributes
    ----------
    s : Tensor
        The scale of each head, of shape (heads,).
    b : Tensor or None
        The bias of each head, of shape (heads,).

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a number is out of its range, or `length` is missing or of no use.

    See Also
    --------
    softmax_variants.ssmax : The function, with what holds for special values.

    Notes
    -----
    Where the layer has 16-bit parameters, keep `s` and `b` in float32 to learn them
    (``dtype=torch.float32``): next to 0.14, numbers in bfloat16 are 0.001 apart, and an optimizer's
    smaller steps would be rounded away.

    References
    ----------
    .. [1] K. M. Nakanishi, "Scalable-Softmax Is Superior for Attention", arXiv:2501.19399.

    Examples
    --------
    Two heads, two queries of which the first sees two keys and the second all four. With s = 1,
    a key weighs n to the power of its score.

    >>> import torch
    >>> from softmax_variants.torch import SSMax
    >>> scores = torch.tensor([[1.0, 2.0, -1.0, 0.0]]).expand(2, 2, 4)
    >>> sees = torch.tensor([[True, True, False, False], [True, True, True, True]])
    >>> SSMax(heads=2)(scores, where=sees)[0]
    tensor([[0.3333, 0.6667, 0.0000, 0.0000],
            [0.1882, 0.7529, 0.0118, 0.0471]], grad_fn=<SelectBackward0>)
    >>> SSMax(heads=2, init="log_length", length=1024)
    SSMax(heads=2, init='log_length', length=1024)
    """

    s: Tensor
    b: Tensor | None

    def __init__(
        self,
        heads: int,
        *,
        init: Init = 1.0,
        length: int | None = None,
        bias: float | None = None,
        learned: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.heads = check_integer("heads", heads, least=1)
        self.bias = None if bias is None else check_finite("bias", bias, "or None")
        self.init, self.length = _start(init, length)
        if not isinstance(learned, bool):
            msg = f"learned must be a bool, got {describe(learned)}"
            raise TypeError(msg)
        _check_dtype(dtype)
        self.learned = learned
        for name in ("s", "b"):
            if name == "b" and bias is None:
                self.register_parameter(name, None)
                continue
            values = torch.empty(self.heads, device=device, dtype=dtype)
            if learned:
                self.register_parameter(name, nn.Parameter(values))
            else:
                self.register_buffer(name, values)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set s and b to what they start from."""
        with torch.no_grad():
            self.s.fill_(self._first_scale())
            if self.b is not None and self.bias is not None:
                self.b.fill_(self.bias)

    def forward(
        self, x: Tensor, *, where: Tensor | None = None, n: Tensor | float | None = None
    ) -> Tensor:
        """Return the weights of the keys.

        Parameters
        ----------
        x : Tensor
            Scores of shape (..., heads, queries, keys); float16, bfloat16, float32 or float64.
        where : Tensor of bool, optional
            Which keys a query sees; broadcasts to the shape of x. All by default.
        n : Tensor or float, optional
            What to take for the number of keys that a query sees, where x holds only a part of
            them: positive, and broadcastable to the shape of x with the last axis of length 1.

        Returns
        -------
        Tensor
            The weights, of x's shape, dtype and device.

        Raises
        ------
        TypeError
            If an argument is of the wrong type or dtype.
        ValueError
            If an argument has a wrong shape or device, or n a wrong value.
        """
        if not isinstance(x, Tensor):
            msg = f"x must be a tensor of scores, got {describe(x)}"
            raise TypeError(msg)
        if x.ndim < 3 or x.shape[-3] != self.heads:
            msg = (
                f"x must have shape (..., {self.heads}, queries, keys), one score for each of the "
                f"module's {self.heads} heads, got shape {tuple(x.shape)}; for logits without "
                f"heads, call softmax_variants.ssmax"
            )
            raise ValueError(msg)
        rows = (self.heads, 1, 1)
        b = 0.0 if self.b is None else self.b.view(rows)
        return ssmax(x, self.s.view(rows), b, n=n, where=where)

    def extra_repr(self) -> str:
        """Return the options, as in the call of the constructor."""
        options = [f"heads={self.heads}", f"init={self.init!r}"]
        options += [
            f"{name}={value}"
            for name, value in (("length", self.length), ("bias", self.bias))
            if value is not None
        ]
        return ", ".join(options if self.learned else [*options, "learned=False"])

    def _first_scale(self) -> float:
        if self.length is None or not isinstance(self.init, str):
            return float(self.init)
        logarithm = math.log(self.length)
        if self.init == "mean_log_length":
            # The sum of ln n over n = 1 ... L is ln L!.
            logarithm = math.lgamma(self.length + 1) / self.length
        return (1.0 - (self.bias or 0.0)) / logarithm


def _start(init: object, length: object) -> tuple[Init, int | None]:
    """Return init and length, checked against each other."""
    if init == "log_length" or init == "mean_log_length":
        if length is None:
            msg = (
                f"length is required by init={init!r}: pass the length at which the scale is to "
                f"start from 1, such as the length that the model was trained on"
            )
            raise ValueError(msg)
        # At L = 1, ln L is 0 and no s gives c = 1.
        return init, check_integer("length", length, least=2)
    if isinstance(init, str):
        msg = f"init must be a number, 'log_length' or 'mean_log_length', got {init!r}"
        raise ValueError(msg)
    number = check_finite("init", init, "or 'log_length' or 'mean_log_length'")
    if length is not None:
        msg = (
            f"length is used by init='log_length' and init='mean_log_length' only, got {length!r} "
            f"with init={init!r}: leave it out, or choose one of these"
        )
        raise ValueError(msg)
    return number, None


def _check_dtype(dtype: object) -> None:
    if dtype is None or (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        return
    msg = f"dtype must be a real floating dtype such as torch.float32, got {dtype!r}"
    raise TypeError(msg)
