"""The functions on real backends: what goes in comes out, on NumPy, array-api-strict and PyTorch.

How exact the values are is the conformance suite's matter; here they identify the function.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import array_api_compat
import array_api_strict
import numpy as np
import pytest
import torch

import softmax_variants as sv
from softmax_variants._catalogue import FORMS
from softmax_variants_spec import exact
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS: dict[str, Callable[..., Any]] = {
    "softmax": sv.softmax,
    "ssmax": lambda x, **options: sv.ssmax(x, 0.43, 0.25, **options),
} | {form: lambda x, form=form, **options: sv.sa_softmax(x, form=form, **options) for form in FORMS}

GRADIENTS: dict[str, Callable[..., Any]] = {
    "softmax": sv.softmax_vjp,
    "ssmax": lambda x, dy, **options: sv.ssmax_vjp(x, dy, 0.43, 0.25, **options)[0],
} | {
    form: lambda x, dy, form=form, **options: sv.sa_softmax_vjp(x, dy, form=form, **options)
    for form in FORMS
}

NAMESPACES = {
    "numpy": array_api_compat.array_namespace(np.zeros(1)),
    "strict": array_api_strict,
    "torch": array_api_compat.array_namespace(torch.zeros(1)),
}

DTYPES = [
    ("numpy", "float16"),
    ("numpy", "float32"),
    ("numpy", "float64"),
    ("strict", "float32"),
    ("strict", "float64"),
    ("torch", "float16"),
    ("torch", "bfloat16"),
    ("torch", "float32"),
    ("torch", "float64"),
]


@pytest.fixture(params=NAMESPACES)
def xp(request: pytest.FixtureRequest) -> Any:
    return NAMESPACES[request.param]


@pytest.fixture(params=WEIGHTS)
def weights(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return WEIGHTS[request.param]


@pytest.fixture(params=GRADIENTS)
def gradient(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return GRADIENTS[request.param]


def normal(*shape: int, seed: int = 2501) -> Any:
    return np.random.default_rng(seed).normal(0.0, 3.0, shape)


def numbers(array: Any) -> Any:
    """Return an array's elements as NumPy's binary64."""
    if isinstance(array, torch.Tensor):
        array = array.to(torch.float64)
    return np.asarray(array, dtype=np.float64)


def same_bits(a: Any, b: Any) -> bool:
    return np.array_equal(numbers(a), numbers(b), equal_nan=True)


# At 25 digits, of z = (1, 2, -1, 1/2); SSMax's with s = 1 are parts of 89.
GOLDEN = {
    "softmax": (
        lambda x: sv.softmax(x),
        [0.2242078180482011404, 0.6094600375988771188, 0.03034322855941622435, 0.1359889157935055],
    ),
    "ssmax": (lambda x: sv.ssmax(x), [16 / 89, 64 / 89, 1 / 89, 8 / 89]),
    "ssmax, s": (
        lambda x: sv.ssmax(x, 0.43),
        [0.2590104009212928, 0.4701138005249017, 0.0786222759509360, 0.1922535226028696],
    ),
    "plain": (
        lambda x: sv.sa_softmax(x, form="plain"),
        [0.2242078180482011404, 1.218920075197754238, -0.03034322855941622435, 0.0679944578967528],
    ),
    "shifted": (
        lambda x: sv.sa_softmax(x, form="shifted"),
        [0.4484156360964022809, 1.828380112796631356, 0.0, 0.2039833736902582747],
    ),
    "minmax": (
        lambda x: sv.sa_softmax(x, form="minmax"),
        [0.1494718786988007603, 0.6094600375988771188, 0.0, 0.0679944578967527582],
    ),
    "normalized": (
        lambda x: sv.sa_softmax(x),
        [0.1494718786988007603, 0.6094600375988771188, 0.0, 0.0679944578967527582],
    ),
}


@pytest.mark.parametrize(("function", "expected"), GOLDEN.values(), ids=GOLDEN)
def test_golden_row(xp: Any, function: Callable[..., Any], expected: list[float]) -> None:
    got = function(xp.asarray([1.0, 2.0, -1.0, 0.5], dtype=xp.float64))
    # Tight: 4 ULP, and some digits of these decimals.
    np.testing.assert_allclose(numbers(got), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize(("library", "dtype"), DTYPES)
def test_weights_are_like_the_logits(weights: Callable[..., Any], library: str, dtype: str) -> None:
    xp = NAMESPACES[library]
    x = xp.asarray(normal(2, 3, 5), dtype=getattr(xp, dtype))
    y = weights(x)
    assert type(y) is type(x)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert array_api_compat.device(y) == array_api_compat.device(x)


@pytest.mark.parametrize(("library", "dtype"), DTYPES)
def test_gradients_are_like_the_logits(
    gradient: Callable[..., Any], library: str, dtype: str
) -> None:
    xp = NAMESPACES[library]
    x = xp.asarray(normal(2, 3, 5), dtype=getattr(xp, dtype))
    dx = gradient(x, xp.ones_like(x))
    assert type(dx) is type(x)
    assert (dx.dtype, dx.shape) == (x.dtype, x.shape)
    assert array_api_compat.device(dx) == array_api_compat.device(x)


def test_device_of_the_logits_is_kept() -> None:
    device = array_api_strict.Device("device1")
    x = array_api_strict.asarray(normal(2, 3), device=device)
    assert sv.ssmax(x).device == device
    assert all(gradient.device == device for gradient in sv.ssmax_vjp(x, x))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_axis(xp: Any, weights: Callable[..., Any], axis: int) -> None:
    x = normal(3, 4, 5)
    expected = weights(xp.asarray(np.moveaxis(x, axis, -1).copy()))
    got = weights(xp.asarray(x), axis=axis)
    assert same_bits(xp.moveaxis(got, axis, -1), expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_axis_of_gradients(xp: Any, gradient: Callable[..., Any], axis: int) -> None:
    x, dy = normal(3, 4, 5), normal(3, 4, 5, seed=7)
    rows = [xp.asarray(np.moveaxis(a, axis, -1).copy()) for a in (x, dy)]
    got = gradient(xp.asarray(x), xp.asarray(dy), axis=axis)
    assert same_bits(xp.moveaxis(got, axis, -1), gradient(*rows))


@pytest.mark.parametrize("shape", [(3, 4), (4,), (3, 1), (1, 1), ()])
def test_where_is_negative_infinity(
    xp: Any, weights: Callable[..., Any], shape: tuple[int, ...]
) -> None:
    x = normal(3, 4)
    present = np.asarray(np.random.default_rng(1).random(shape) < 0.6)
    got = weights(xp.asarray(x), where=xp.asarray(present))
    assert same_bits(got, weights(xp.asarray(np.where(present, x, -np.inf))))
    assert not numbers(got)[~np.broadcast_to(present, x.shape)].any()


def test_rows_without_present_entries_are_zero(xp: Any, weights: Callable[..., Any]) -> None:
    x = xp.asarray([[1.0, np.nan], [1.0, 2.0]])
    where = xp.asarray([[False, False], [True, True]])
    assert same_bits(weights(x, where=where)[0, :], [0.0, 0.0])


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (2, 0, 3)])
def test_empty_arrays(xp: Any, shape: tuple[int, ...]) -> None:
    x = xp.zeros(shape)
    for name in WEIGHTS:
        assert WEIGHTS[name](x).shape == x.shape
        assert GRADIENTS[name](x, x).shape == x.shape


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_out_of_numpy(weights: Callable[..., Any], dtype: Any) -> None:
    x = normal(3, 4).astype(dtype)
    expected = weights(x)
    for out in (np.empty_like(x), np.empty((4, 3), dtype).T, x):
        assert weights(x, out=out) is out
        assert same_bits(out, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_out_of_torch(weights: Callable[..., Any], dtype: torch.dtype) -> None:
    x = torch.asarray(normal(3, 4)).to(dtype)
    expected = weights(x)
    for out in (torch.empty_like(x), torch.empty((4, 3), dtype=dtype).T, x):
        assert weights(x, out=out) is out
        assert same_bits(out, expected)


@pytest.mark.parametrize("name", WEIGHTS)
def test_inputs_are_not_changed(xp: Any, name: str) -> None:
    values = (normal(3, 4), normal(3, 4, seed=3), normal(3, 4) > 0)
    x, dy, where = arrays = [xp.asarray(value.copy()) for value in values]
    WEIGHTS[name](x, where=where)
    GRADIENTS[name](x, dy, where=where)
    assert all(
        np.array_equal(np.asarray(array), value)
        for array, value in zip(arrays, values, strict=True)
    )


@pytest.mark.parametrize("name", WEIGHTS)
def test_read_only_arrays(name: str) -> None:
    x, where = normal(3, 4), normal(3, 4) > 0
    expected = WEIGHTS[name](x, where=where), GRADIENTS[name](x, x, where=where)
    x.flags.writeable = where.flags.writeable = False
    assert same_bits(WEIGHTS[name](x, where=where), expected[0])
    assert same_bits(GRADIENTS[name](x, x, where=where), expected[1])


def test_parameters_of_each_head(xp: Any) -> None:
    x = normal(2, 3, 4, 5)
    s, b, n = np.asarray([0.2, 0.43, 1.0]), np.asarray([0.0, 1.0, -0.5]), np.asarray([7, 5, 1000])
    heads = [xp.reshape(xp.asarray(value), (3, 1, 1)) for value in (s, b, n)]
    got = sv.ssmax(xp.asarray(x), *heads[:2], n=heads[2])
    for h in range(3):
        one = sv.ssmax(xp.asarray(x[:, h].copy()), float(s[h]), float(b[h]), n=int(n[h]))
        assert same_bits(got[:, h, :, :], one)


def test_gradients_of_parameters_are_like_the_parameters(xp: Any) -> None:
    x = xp.asarray(normal(2, 3, 4), dtype=xp.float32)
    s = xp.ones((3, 1), dtype=xp.float64)
    _, ds, db = sv.ssmax_vjp(x, x, s, 0.5)
    assert (ds.shape, ds.dtype) == (s.shape, xp.float64)
    assert (db.shape, db.dtype) == ((), xp.float32)
    assert array_api_compat.is_array_api_obj(db)


def test_numpy_scalar_is_a_parameter_of_its_own_dtype() -> None:
    x = normal(3, 4)
    s = np.float32(0.43)
    _, ds, _ = sv.ssmax_vjp(x, x, s)
    assert ds.dtype == np.float32
    assert isinstance(s - np.float32(0.1) * ds, np.float32)


class TestAutograd:
    """The same derivatives, by PyTorch's own recording."""

    @pytest.mark.parametrize("name", WEIGHTS)
    def test_by_logits(self, name: str) -> None:
        x = torch.asarray(normal(3, 4)).requires_grad_()
        dy = torch.asarray(normal(3, 4, seed=5))
        (dx,) = torch.autograd.grad(WEIGHTS[name](x), x, dy)
        assert same_bits(dx, GRADIENTS[name](x.detach(), dy))

    def test_by_parameters(self) -> None:
        x, dy = torch.asarray(normal(3, 4)), torch.asarray(normal(3, 4, seed=5))
        s = torch.full((3, 1), 0.43, dtype=torch.float64, requires_grad=True)
        b = torch.zeros((), dtype=torch.float32, requires_grad=True)
        gradients = torch.autograd.grad(sv.ssmax(x, s, b), (s, b), dy)
        expected = sv.ssmax_vjp(x, dy, s.detach(), b.detach())[1:]
        assert all(same_bits(*pair) for pair in zip(gradients, expected, strict=True))

    def test_detached_extrema(self) -> None:
        x = torch.asarray([12.0, 0.0, -3.0]).requires_grad_()
        dy = torch.asarray([1.0, 0.0, 0.0])
        for detach in (False, True):
            (dx,) = torch.autograd.grad(sv.sa_softmax(x, detach_extrema=detach), x, dy)
            assert same_bits(dx, sv.sa_softmax_vjp(x.detach(), dy, detach_extrema=detach))
        assert abs(float(dx[0]) - 0.0667) < 1e-4


@pytest.mark.parametrize("backend", [None, "array_api"])
def test_python_integers_are_exact_where_no_float_equals_them(backend: str | None) -> None:
    # s = 2**53 + 1 and b = -2**53 ln 2, rounded: what is left of c is ln 2 and more.
    x, n = np.asarray([0.0, -0.5, 1.0]), 2
    s, b = 2**53 + 1, -(2**53) * math.log(2)
    row = exact.Row("ssmax", tuple(x.tolist()), s=s, b=b, n=n)
    wanted = [weight.rounded for weight in exact.weights(row, FORMATS["float64"])]
    assert sv.ssmax(x, s, b, n=n, backend=backend).tolist() == wanted
    assert sv.ssmax(x, float(s), b, n=n, backend=backend).tolist() != wanted
