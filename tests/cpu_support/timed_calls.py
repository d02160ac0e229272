"""What is timed on a CPU: the functions of this library and others', on the same memory.

NumPy arrays and PyTorch tensors are views of one another here. Weights are written into an array
that is there already (``out=``), by all who can; gradients into a new one, by all: ours are of
PyTorch's tensors, so that the same allocator makes it as PyTorch's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import scipy.special
import torch

import softmax_variants as sv

from .timed_formulas import (
    B,
    S,
    numpy_sa_softmax,
    numpy_sa_softmax_vjp,
    numpy_ssmax,
    numpy_ssmax_vjp,
    torch_sa_softmax,
    torch_ssmax,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Call = Callable[[], Any]

__all__ = ["COPY", "FUNCTIONS", "SHAPES", "TORCH", "Case", "calls", "small_calls"]

COPY, TORCH = "copy", "torch.softmax"
FUNCTIONS = ("softmax", "ssmax", "sa_softmax plain", "sa_softmax normalized")
"""Ours; the other names are those of peers."""
SHAPES = (
    ((4096, 4096), 1),
    ((32768, 512), 1),
    ((1048576, 16), 1),
    ((64, 262144), 1),
    ((4096, 4096), 0),
)
"""Shapes, each with the axis of its rows."""
_OF_NUMPY = ("float32", "float64")
"""NumPy has no arithmetic of 16 bits but in software."""


@dataclass(frozen=True)
class Case:
    """An array to work on."""

    shape: tuple[int, int]
    axis: int
    dtype: str
    gradients: bool = False

    @property
    def direction(self) -> str:
        return "backward" if self.gradients else "forward"

    def operands(self) -> tuple[Tensor, Tensor]:
        """Return logits and cotangents."""
        generator = torch.Generator().manual_seed(0)
        x, dy = (torch.randn(self.shape, generator=generator) for _ in range(2))
        return x.to(getattr(torch, self.dtype)), dy.to(getattr(torch, self.dtype))


def calls(case: Case, compiler: str = "inductor") -> dict[str, Call]:
    """Return what is timed on an array, by name.

    ``compiler`` is that of ``torch.compile``, which serves in float32 only: it takes seconds for
    each dtype, shape and direction.
    """
    return _gradients(case, compiler) if case.gradients else _weights(case, compiler)


def _weights(case: Case, compiler: str) -> dict[str, Call]:
    axis = case.axis
    x, _ = case.operands()
    out = torch.zeros_like(x)
    found: dict[str, Call] = {
        COPY: lambda: out.copy_(x),
        TORCH: lambda: torch.softmax(x, axis, out=out),
        f"{TORCH}, without out": lambda: torch.softmax(x, axis),
    }
    own_x: Any = x
    own_out: Any = out
    if case.dtype != "bfloat16":  # NumPy has none
        own_x, own_out = x.numpy(), out.numpy()
    if case.dtype in _OF_NUMPY:
        found |= {
            "scipy.special.softmax": lambda: scipy.special.softmax(own_x, axis=axis),
            "ssmax, NumPy": lambda: numpy_ssmax(own_x, axis),
            "sa_softmax, NumPy": lambda: numpy_sa_softmax(own_x, axis),
        }
    if case.dtype == "float32":
        torch.compiler.reset()
        for name, formula in (("ssmax", torch_ssmax), ("sa_softmax", torch_sa_softmax)):
            compiled = torch.compile(formula, backend=compiler, dynamic=False)
            found[f"{name}, torch.compile"] = lambda compiled=compiled: compiled(x, axis)
    found |= _jax_calls(case, x)
    return found | {
        "softmax": lambda: sv.softmax(own_x, axis=axis, out=own_out),
        "softmax, without out": lambda: sv.softmax(x, axis=axis),
        "ssmax": lambda: sv.ssmax(own_x, S, B, axis=axis, out=own_out),
        "sa_softmax plain": lambda: sv.sa_softmax(own_x, form="plain", axis=axis, out=own_out),
        "sa_softmax normalized": lambda: sv.sa_softmax(own_x, axis=axis, out=own_out),
    }


def _gradients(case: Case, compiler: str) -> dict[str, Call]:
    axis = case.axis
    x, dy = case.operands()
    y = torch.softmax(x, axis)
    target = torch.zeros_like(x)
    found: dict[str, Call] = {
        COPY: lambda: target.copy_(x),
        TORCH: lambda: torch._softmax_backward_data(dy, y, axis, x.dtype),
    }
    if case.dtype in _OF_NUMPY:
        found |= {
            "ssmax, NumPy": lambda: numpy_ssmax_vjp(x.numpy(), dy.numpy(), axis),
            "sa_softmax, NumPy": lambda: numpy_sa_softmax_vjp(x.numpy(), dy.numpy(), axis),
        }
    if case.dtype == "float32":
        torch.compiler.reset()
        for name, formula in (("ssmax", torch_ssmax), ("sa_softmax", torch_sa_softmax)):
            compiled = _compiled_vjp(formula, axis, compiler)
            found[f"{name}, torch.compile"] = lambda compiled=compiled: compiled(x, dy)
    found |= _jax_calls(case, x, dy)
    return found | {
        "softmax": lambda: sv.softmax_vjp(x, dy, axis=axis),
        "ssmax": lambda: sv.ssmax_vjp(x, dy, S, B, axis=axis),
        "sa_softmax plain": lambda: sv.sa_softmax_vjp(x, dy, form="plain", axis=axis),
        "sa_softmax normalized": lambda: sv.sa_softmax_vjp(x, dy, axis=axis),
    }


def _compiled_vjp(formula: Callable[..., Tensor], axis: int, compiler: str) -> Callable[..., Any]:
    """Return the gradient of a formula by the logits, weights computed anew, compiled."""

    def vjp(x: Tensor, dy: Tensor) -> Any:
        _, pull_back = torch.func.vjp(lambda x: formula(x, axis), x)
        return pull_back(dy)[0]

    return torch.compile(vjp, backend=compiler, dynamic=False)


def _jax_calls(case: Case, *tensors: Tensor) -> dict[str, Call]:
    """Return JAX's softmax, compiled, or its gradient with the weights computed anew."""
    if find_spec("jax") is None:
        return {}
    import jax

    if case.dtype == "float64" and not jax.config.jax_enable_x64:
        return {}
    axis = case.axis

    def vjp(x: Any, dy: Any) -> Any:
        _, pull_back = jax.vjp(lambda x: jax.nn.softmax(x, axis=axis), x)
        return pull_back(dy)[0]

    compiled = jax.jit(vjp if case.gradients else lambda x: jax.nn.softmax(x, axis=axis))
    # Copies: JAX's own are aligned as its code likes them.
    arrays = [jax.numpy.array(jax.dlpack.from_dlpack(tensor)) for tensor in tensors]
    return {"jax.nn.softmax": lambda: compiled(*arrays).block_until_ready()}


def small_calls() -> dict[str, dict[str, Call]]:
    """Return calls on an array of 4 x 8, of which the array's size is no part of the cost."""
    tensor, cotangents = Case((4, 8), 1, "float32").operands()
    x, dy = tensor.numpy(), cotangents.numpy()
    return {
        "NumPy": {
            "scipy.special.softmax": lambda: scipy.special.softmax(x, axis=1),
            "softmax": lambda: sv.softmax(x),
            "ssmax": lambda: sv.ssmax(x, S),
            "sa_softmax normalized": lambda: sv.sa_softmax(x),
            "softmax_vjp": lambda: sv.softmax_vjp(x, dy),
            "ssmax_vjp": lambda: sv.ssmax_vjp(x, dy, S),
            "sa_softmax_vjp normalized": lambda: sv.sa_softmax_vjp(x, dy),
        },
        "PyTorch": {
            "torch.softmax": lambda: torch.softmax(tensor, 1),
            "softmax": lambda: sv.softmax(tensor),
            "ssmax": lambda: sv.ssmax(tensor, S),
            "sa_softmax normalized": lambda: sv.sa_softmax(tensor),
            "softmax_vjp": lambda: sv.softmax_vjp(tensor, cotangents),
            "ssmax_vjp": lambda: sv.ssmax_vjp(tensor, cotangents, S),
            "sa_softmax_vjp normalized": lambda: sv.sa_softmax_vjp(tensor, cotangents),
        },
    }
