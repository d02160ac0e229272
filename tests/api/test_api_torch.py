"""Tensors that the functions do not take: the message says what to pass instead."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch.masked import masked_tensor

import softmax_variants as sv

X = torch.zeros((2, 3))
S = torch.ones((2, 1))
META = torch.zeros((2, 3), device="meta")


def nested(layout: Any) -> Any:
    return torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(4, 3)], layout=layout)


def quantized() -> Any:
    return torch.quantize_per_tensor(X, 0.1, 0, torch.quint8)


NOT_DENSE = {
    "sparse": (X.to_sparse, "one of layout torch.sparse_coo: call its to_dense() first"),
    "mkldnn": (X.to_mkldnn, "one of layout torch._mkldnn: call its to_dense() first"),
    "nested": (
        lambda: nested(torch.strided),
        "a nested one: pad it with -inf: its to_padded_tensor(-torch.inf)",
    ),
    "jagged": (
        lambda: nested(torch.jagged),
        "a nested one: pad it with -inf: its to_padded_tensor(-torch.inf)",
    ),
    "quantized": (quantized, "a quantized one: call its dequantize() first"),
    "masked": (
        lambda: masked_tensor(X, X == 0),
        "a MaskedTensor, whose mask would be ignored: pass its get_data(), and as where= its "
        "get_mask()",
    ),
}
CALLS = {
    "x": sv.softmax,
    "where": lambda value: sv.sa_softmax(X, where=value),
    "dy": lambda value: sv.softmax_vjp(X, value),
    "s": lambda value: sv.ssmax(X, value),
    "n": lambda value: sv.ssmax(X, n=value),
    "out": lambda value: sv.softmax(X, out=value),
}


# Prototypes of PyTorch's, and layouts that it warns of.
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("argument", CALLS)
@pytest.mark.parametrize("kind", NOT_DENSE)
def test_tensors_that_are_not_dense(kind: str, argument: str) -> None:
    make, got = NOT_DENSE[kind]
    message = f"{argument} must be a dense tensor, got {got}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        CALLS[argument](make())


# As torch.nested and torch.masked are prototypes.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_the_messages_advise_works() -> None:
    ragged = nested(torch.jagged)
    padded = ragged.to_padded_tensor(-torch.inf)
    assert sv.softmax(padded, axis=1).sum(1).tolist() == [[1.0] * 3] * 2
    masked = masked_tensor(X, torch.tensor([[True, False, True], [False] * 3]))
    weights = sv.softmax(masked.get_data(), where=masked.get_mask())
    assert weights.tolist() == [[0.5, 0.0, 0.5], [0.0] * 3]
    assert torch.equal(sv.softmax(X.to_sparse().to_dense()), sv.softmax(X))


DTYPES = "dtype float16, float32, float64 or bfloat16"


@pytest.mark.parametrize(
    "dtype", [torch.complex64, torch.int64, torch.bool, torch.float8_e5m2], ids=str
)
def test_dtypes(dtype: Any) -> None:
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(TypeError, match=f"^x must have {DTYPES}, got {name}$"):
        sv.softmax(X.to(dtype))


MIXED = {
    "where": lambda: sv.softmax(X, where=META == 0),
    "dy": lambda: sv.sa_softmax_vjp(X, META),
    "s": lambda: sv.ssmax(X, S.to("meta")),
    "b": lambda: sv.ssmax(X, 1.0, S.to("meta")),
    "n": lambda: sv.ssmax_vjp(X, X, n=S.to("meta")),
    "out": lambda: sv.softmax(X, out=META),
}


@pytest.mark.parametrize("argument", MIXED)
def test_mixed_devices(argument: str) -> None:
    message = f"{argument} must be on x's device cpu, got an array on meta"
    with pytest.raises(ValueError, match=f"^{message}$"):
        MIXED[argument]()


def learned(value: Any) -> Any:
    return value.detach().clone().requires_grad_()


OUT = {
    "out that requires grad": (
        lambda: sv.softmax(X, out=learned(X)),
        "out must not require grad, got a tensor with requires_grad=True",
    ),
    "x": (
        lambda: sv.sa_softmax(learned(X), out=torch.empty(2, 3)),
        "out must be None where derivatives are recorded, got a tensor and x requires grad "
        "(use torch.no_grad())",
    ),
    "s": (
        lambda: sv.ssmax(X, learned(S), out=torch.empty(2, 3)),
        "out must be None where derivatives are recorded, got a tensor and s requires grad "
        "(use torch.no_grad())",
    ),
    "transform": (
        lambda: torch.func.grad(lambda x: sv.softmax(x, out=torch.empty(2, 3)).sum())(X),
        "out must be None where derivatives are recorded, got a tensor and x requires grad "
        "(use torch.no_grad())",
    ),
}


@pytest.mark.parametrize("case", OUT)
def test_out_where_derivatives_are_recorded(case: str) -> None:
    call, message = OUT[case]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_out_where_none_are_recorded() -> None:
    x, out = learned(X), torch.empty(2, 3)
    with torch.no_grad():
        assert sv.ssmax(x, learned(S), out=out) is out
        with pytest.raises(ValueError, match="out must not require grad"):
            sv.softmax(x, out=learned(X))
    assert torch.equal(out, sv.ssmax(X, S))
