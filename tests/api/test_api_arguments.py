"""Every refusal names the argument, what it must be, and what came: the whole text is tested."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, get_args

import array_api_strict
import ml_dtypes
import numpy as np
import pytest
import torch

import softmax_variants as sv
from softmax_variants._catalogue import FORMS
from softmax_variants._typing import Form

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

X: Any = np.zeros((2, 3))
T: Any = torch.zeros((2, 3))
STRICT: Any = array_api_strict.zeros((2, 3))

NUMPY_FLOATS = "dtype float16, float32 or float64"
TORCH_FLOATS = "dtype float16, float32, float64 or bfloat16"


def masked(*shape: int) -> Any:
    return np.ma.masked_array(np.zeros(shape), mask=np.ones(shape, bool))


LOGITS = {
    "list": ([1.0, 2.0], TypeError, "x must be an array of logits, got list"),
    "number": (3.0, TypeError, "x must be an array of logits, got float 3.0"),
    "None": (None, TypeError, "x must be an array of logits, got None"),
    "class": (np.ndarray, TypeError, "x must be an array of logits, got type"),
    "integers": (np.zeros(3, int), TypeError, f"x must have {NUMPY_FLOATS}, got int64"),
    "booleans": (np.zeros(3, bool), TypeError, f"x must have {NUMPY_FLOATS}, got bool"),
    "complex": (np.zeros(3, complex), TypeError, f"x must have {NUMPY_FLOATS}, got complex128"),
    "objects": (np.zeros(3, object), TypeError, f"x must have {NUMPY_FLOATS}, got object"),
    "longdouble": (
        np.zeros(3, np.longdouble),
        TypeError,
        f"x must have {NUMPY_FLOATS}, got {np.dtype(np.longdouble).name}",
    ),
    "bfloat16 in NumPy": (
        np.zeros(3, ml_dtypes.bfloat16),
        TypeError,
        f"x must have {NUMPY_FLOATS}, got bfloat16",
    ),
    "float8 in NumPy": (
        np.zeros(3, ml_dtypes.float8_e4m3fn),
        TypeError,
        f"x must have {NUMPY_FLOATS}, got float8_e4m3fn",
    ),
    "foreign byte order": (
        np.zeros(3, np.dtype(np.float64).newbyteorder("S")),
        TypeError,
        f"x must have {NUMPY_FLOATS}, got float64 of foreign byte order "
        f"({np.dtype(np.float64).newbyteorder('S').str})",
    ),
    "masked array": (
        masked(3),
        TypeError,
        "x must be a plain array, got a masked array, whose mask would be ignored: pass its data, "
        "and as where= what it does not mask",
    ),
    "torch integers": (
        torch.zeros(3, dtype=torch.int32),
        TypeError,
        f"x must have {TORCH_FLOATS}, got int32",
    ),
    "torch float8": (
        torch.zeros(3, dtype=torch.float8_e4m3fn),
        TypeError,
        f"x must have {TORCH_FLOATS}, got float8_e4m3fn",
    ),
    "torch sparse": (
        torch.zeros(3).to_sparse(),
        TypeError,
        "x must be a dense tensor, got one of layout torch.sparse_coo: call its to_dense() first",
    ),
    "strict integers": (
        array_api_strict.zeros(3, dtype=array_api_strict.int16),
        TypeError,
        f"x must have {NUMPY_FLOATS}, got int16",
    ),
    "0-d": (np.zeros(()), ValueError, "x must have at least one dimension, got a 0-d array"),
    "numpy scalar": (
        np.float64(1.0),
        ValueError,
        "x must have at least one dimension, got a 0-d array",
    ),
    "torch 0-d": (
        torch.zeros(()),
        ValueError,
        "x must have at least one dimension, got a 0-d array",
    ),
}

AXES = {
    "too large": (2, ValueError, "axis must be in [-2, 1] for x of shape (2, 3), got 2"),
    "too small": (-3, ValueError, "axis must be in [-2, 1] for x of shape (2, 3), got -3"),
    "float": (1.0, TypeError, "axis must be an int, got float 1.0"),
    "bool": (True, TypeError, "axis must be an int, got True"),
    "None": (None, TypeError, "axis must be an int, got None"),
    "tuple": ((0, 1), TypeError, "axis must be an int, got tuple"),
    "array": (
        np.asarray(1),
        TypeError,
        "axis must be an int, got a NumPy array of shape () and dtype int64",
    ),
}

WHERES = {
    "list": (X, [True, False], TypeError, "where must be a boolean array or None, got list"),
    "bool": (X, True, TypeError, "where must be a boolean array or None, got True"),
    "integers": (X, np.ones(3, int), TypeError, "where must have dtype bool, got int64"),
    "floats": (X, np.zeros(3), TypeError, "where must have dtype bool, got float64"),
    "torch bytes": (
        T,
        torch.ones(3, dtype=torch.uint8),
        TypeError,
        "where must have dtype bool, got uint8",
    ),
    "other shape": (
        X,
        np.ones((3, 3), bool),
        ValueError,
        "where must broadcast to x's shape (2, 3) without enlarging it, got shape (3, 3)",
    ),
    "more dimensions": (
        X,
        np.ones((1, 2, 3), bool),
        ValueError,
        "where must broadcast to x's shape (2, 3) without enlarging it, got shape (1, 2, 3)",
    ),
    "enlarging": (
        X[:1],
        np.ones((2, 3), bool),
        ValueError,
        "where must broadcast to x's shape (1, 3) without enlarging it, got shape (2, 3)",
    ),
    "torch beside numpy": (
        X,
        torch.ones(3, dtype=torch.bool),
        TypeError,
        "where must be a NumPy array like x, got a PyTorch array of shape (3,) and dtype bool",
    ),
    "numpy beside torch": (
        T,
        np.ones(3, bool),
        TypeError,
        "where must be a PyTorch array like x, got a NumPy array of shape (3,) and dtype bool",
    ),
    "numpy beside strict": (
        STRICT,
        np.ones(3, bool),
        TypeError,
        "where must be an array_api_strict array like x, got a NumPy array of shape (3,) "
        "and dtype bool",
    ),
    "torch device": (
        T,
        torch.ones(3, dtype=torch.bool, device="meta"),
        ValueError,
        "where must be on x's device cpu, got an array on meta",
    ),
    "strict device": (
        STRICT,
        array_api_strict.ones(
            3, dtype=array_api_strict.bool, device=array_api_strict.Device("device1")
        ),
        ValueError,
        "where must be on x's device array_api_strict.Device('CPU_DEVICE'), "
        "got an array on array_api_strict.Device('device1')",
    ),
}

COTANGENTS = {
    "list": (X, [0.0], TypeError, "dy must be an array like x, got list"),
    "number": (X, 1.0, TypeError, "dy must be an array like x, got float 1.0"),
    "shape": (X, np.zeros(3), ValueError, "dy must have x's shape (2, 3), got (3,)"),
    "dtype": (
        X,
        np.zeros((2, 3), np.float32),
        TypeError,
        "dy must have x's dtype float64, got float32",
    ),
    "library": (
        X,
        T,
        TypeError,
        "dy must be a NumPy array like x, got a PyTorch array of shape (2, 3) and dtype float32",
    ),
    "device": (
        T,
        torch.zeros((2, 3), device="meta"),
        ValueError,
        "dy must be on x's device cpu, got an array on meta",
    ),
}

BAD_S = {
    "str": (X, "1", TypeError, "s must be a number or an array, got str '1'"),
    "bool": (X, True, TypeError, "s must be a number or an array, got True"),
    "None": (X, None, TypeError, "s must be a number or an array, got None"),
    "complex": (X, 1j, TypeError, "s must be a number or an array, got complex 1j"),
    "list": (X, [1.0], TypeError, "s must be a number or an array, got list"),
    "numpy bool beside torch": (
        T,
        np.bool_(1),
        TypeError,
        "s must be a number or an array, got True",
    ),
    "nan": (X, math.nan, ValueError, "s must be finite, got float nan"),
    "infinity": (X, -math.inf, ValueError, "s must be finite, got float -inf"),
    "numpy infinity beside torch": (
        T,
        np.float32("inf"),
        ValueError,
        "s must be finite, got float inf",
    ),
    "huge int": (
        X,
        10**309,
        ValueError,
        "s must be finite, got int of 1027 bits",
    ),
    "integers": (X, np.ones(1, int), TypeError, f"s must have {NUMPY_FLOATS}, got int64"),
    "numpy integer": (X, np.int8(1), TypeError, f"s must have {NUMPY_FLOATS}, got int8"),
    "complex array": (
        X,
        np.ones(1, complex),
        TypeError,
        f"s must have {NUMPY_FLOATS}, got complex128",
    ),
    "torch integers": (
        T,
        torch.ones(1, dtype=torch.int64),
        TypeError,
        f"s must have {TORCH_FLOATS}, got int64",
    ),
    "library": (
        X,
        torch.ones(1),
        TypeError,
        "s must be a NumPy array like x, got a PyTorch array of shape (1,) and dtype float32",
    ),
    "device": (
        T,
        torch.ones(1, device="meta"),
        ValueError,
        "s must be on x's device cpu, got an array on meta",
    ),
    "along the axis": (
        X,
        np.ones(3),
        ValueError,
        "s must broadcast to (2, 1), x's shape with axis 1 of length 1, without enlarging it, "
        "got shape (3,)",
    ),
    "more dimensions": (
        X,
        np.ones((1, 1, 1)),
        ValueError,
        "s must broadcast to (2, 1), x's shape with axis 1 of length 1, without enlarging it, "
        "got shape (1, 1, 1)",
    ),
}

BAD_N = {
    "zero": (X, 0, ValueError, "n must be positive and finite, got int 0"),
    "negative": (X, -1.5, ValueError, "n must be positive and finite, got float -1.5"),
    "nan": (X, math.nan, ValueError, "n must be positive and finite, got float nan"),
    "infinity": (X, math.inf, ValueError, "n must be positive and finite, got float inf"),
    "bool": (X, False, TypeError, "n must be a number or an array, got False"),
    "booleans": (
        X,
        np.ones(1, bool),
        TypeError,
        "n must have dtype float16, float32, float64 or an integer one, got bool",
    ),
    "along the axis": (
        X,
        np.ones((2, 3), int),
        ValueError,
        "n must broadcast to (2, 1), x's shape with axis 1 of length 1, without enlarging it, "
        "got shape (2, 3)",
    ),
}

GATES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "unknown form": (
        {"form": "minimax"},
        ValueError,
        "form must be one of 'plain', 'shifted', 'minmax', 'normalized', got 'minimax'",
    ),
    "form None": (
        {"form": None},
        TypeError,
        "form must be a str, one of 'plain', 'shifted', 'minmax', 'normalized', got None",
    ),
    "detach int": ({"detach_extrema": 1}, TypeError, "detach_extrema must be a bool, got int 1"),
    "detach None": ({"detach_extrema": None}, TypeError, "detach_extrema must be a bool, got None"),
}


def refuses(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(("value", "error", "message"), LOGITS.values(), ids=LOGITS)
def test_logits(value: Any, error: type[Exception], message: str) -> None:
    refuses(lambda: sv.softmax(value), error, message)
    refuses(lambda: sv.ssmax(value), error, message)
    refuses(lambda: sv.sa_softmax(value), error, message)
    refuses(lambda: sv.softmax_vjp(value, value), error, message)
    refuses(lambda: sv.ssmax_vjp(value, value), error, message)
    refuses(lambda: sv.sa_softmax_vjp(value, value), error, message)


@pytest.mark.parametrize(("axis", "error", "message"), AXES.values(), ids=AXES)
def test_axis(axis: Any, error: type[Exception], message: str) -> None:
    refuses(lambda: sv.softmax(X, axis=axis), error, message)
    refuses(lambda: sv.ssmax(X, axis=axis), error, message)
    refuses(lambda: sv.sa_softmax(X, axis=axis), error, message)
    refuses(lambda: sv.softmax_vjp(X, X, axis=axis), error, message)
    refuses(lambda: sv.ssmax_vjp(X, X, axis=axis), error, message)
    refuses(lambda: sv.sa_softmax_vjp(X, X, axis=axis), error, message)


@pytest.mark.parametrize(("x", "where", "error", "message"), WHERES.values(), ids=WHERES)
def test_where(x: Any, where: Any, error: type[Exception], message: str) -> None:
    refuses(lambda: sv.softmax(x, where=where), error, message)
    refuses(lambda: sv.ssmax(x, where=where), error, message)
    refuses(lambda: sv.sa_softmax(x, where=where), error, message)
    refuses(lambda: sv.softmax_vjp(x, x, where=where), error, message)
    refuses(lambda: sv.ssmax_vjp(x, x, where=where), error, message)
    refuses(lambda: sv.sa_softmax_vjp(x, x, where=where), error, message)


@pytest.mark.parametrize(("x", "dy", "error", "message"), COTANGENTS.values(), ids=COTANGENTS)
def test_cotangent(x: Any, dy: Any, error: type[Exception], message: str) -> None:
    refuses(lambda: sv.softmax_vjp(x, dy), error, message)
    refuses(lambda: sv.ssmax_vjp(x, dy), error, message)
    refuses(lambda: sv.sa_softmax_vjp(x, dy), error, message)


@pytest.mark.parametrize(("x", "s", "error", "message"), BAD_S.values(), ids=BAD_S)
def test_scale_and_bias(x: Any, s: Any, error: type[Exception], message: str) -> None:
    about_b = "b" + message.removeprefix("s")
    refuses(lambda: sv.ssmax(x, s), error, message)
    refuses(lambda: sv.ssmax(x, b=s), error, about_b)
    refuses(lambda: sv.ssmax_vjp(x, x, s), error, message)
    refuses(lambda: sv.ssmax_vjp(x, x, b=s), error, about_b)


@pytest.mark.parametrize(("x", "n", "error", "message"), BAD_N.values(), ids=BAD_N)
def test_count(x: Any, n: Any, error: type[Exception], message: str) -> None:
    refuses(lambda: sv.ssmax(x, n=n), error, message)
    refuses(lambda: sv.ssmax_vjp(x, x, n=n), error, message)


@pytest.mark.parametrize(("options", "error", "message"), GATES.values(), ids=GATES)
def test_gate(options: dict[str, Any], error: type[Exception], message: str) -> None:
    refuses(lambda: sv.sa_softmax(X, **options), error, message)
    refuses(lambda: sv.sa_softmax_vjp(X, X, **options), error, message)


def test_forms_of_the_type_are_those_of_the_catalogue() -> None:
    assert get_args(Form) == FORMS


def test_axis_is_counted_from_the_first(echo: Callable[..., ModuleType]) -> None:
    axes: Any = ((-1, 1), (-2, 0), (0, 0), (1, 1), (np.int64(-1), 1))
    for axis, position in axes:
        _, options = sv.softmax(X, axis=axis, backend=echo())
        assert options["axis"] == position
        assert type(options["axis"]) is int


def test_arguments_reach_the_backend_in_place(echo: Callable[..., ModuleType]) -> None:
    where, s, b, n = np.ones(3, bool), np.ones((2, 1)), np.zeros(()), np.full((2, 1), 3)
    out, dy = np.empty_like(X), np.ones_like(X)
    backend = echo()
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (sv.softmax(X, where=where, out=out, backend=backend), (X,), {"out": out}),
        (sv.softmax_vjp(X, dy, where=where, backend=backend), (X, dy), {}),
        (
            sv.ssmax(X, s, b, n=n, where=where, out=out, backend=backend),
            (X, s, b),
            {"n": n, "out": out},
        ),
        (sv.ssmax_vjp(X, dy, s, b, n=n, where=where, backend=backend), (X, dy, s, b), {"n": n}),
        (
            sv.sa_softmax(X, form="plain", where=where, out=out, backend=backend),
            (X,),
            {"form": "plain", "detach_extrema": False, "out": out},
        ),
        (
            sv.sa_softmax_vjp(X, dy, detach_extrema=True, where=where, backend=backend),
            (X, dy),
            {"form": "normalized", "detach_extrema": True},
        ),
    ]
    for (args, options), expected, expected_options in calls:
        assert all(got is want for got, want in zip(args, expected, strict=True))
        assert options == {"axis": 1, "where": where} | expected_options


def test_numbers_arrive_as_exact_floats(echo: Callable[..., ModuleType]) -> None:
    (_, s, b), options = sv.ssmax(X, 3, -(2**60), n=7, backend=echo())
    assert (s, b, options["n"]) == (3.0, -(2.0**60), 7.0)
    assert all(type(value) is float for value in (s, b, options["n"]))


def test_numpy_scalars_are_arrays_beside_numpy_and_numbers_elsewhere(
    echo: Callable[..., ModuleType],
) -> None:
    values = (np.float32(0.1), np.float64(2.0))
    (_, s, b), options = sv.ssmax(X, *values, n=np.int64(7), backend=echo())
    assert [type(value) for value in (s, b, options["n"])] == [np.ndarray] * 3
    assert [str(value.dtype) for value in (s, b, options["n"])] == ["float32", "float64", "int64"]
    (_, s, b), options = sv.ssmax(T, *values, n=np.int64(7), backend=echo("torch"))
    assert [type(value) for value in (s, b, options["n"])] == [float] * 3
    assert (s, b, options["n"]) == (float(np.float32(0.1)), 2.0, 7.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_counts_may_be_integer_or_real(echo: Callable[..., ModuleType], dtype: Any) -> None:
    n = np.ones((2, 1), dtype)
    assert sv.ssmax(X, n=n, backend=echo())[1]["n"] is n


def test_parameters_and_masks_broadcast_as_numpy_does(echo: Callable[..., ModuleType]) -> None:
    x: Any = np.zeros((2, 4, 3, 5))
    rows: Any = ((-1, (4, 1, 1)), (-1, (2, 4, 3, 1)), (0, (4, 3, 5)), (1, (5,)), (2, ()))
    for axis, shape in rows:
        s = np.ones(shape)
        assert sv.ssmax(x, s, axis=axis, backend=echo())[0][1] is s
    shapes: Any = ((2, 1, 3, 5), (3, 1), (5,), ())
    for shape in shapes:
        where = np.ones(shape, bool)
        assert sv.softmax(x, where=where, backend=echo())[1]["where"] is where


def test_subclasses_of_numpy_are_read_as_plain_arrays(echo: Callable[..., ModuleType]) -> None:
    class Tagged(np.ndarray[Any, Any]):
        pass

    (x,), options = sv.softmax(X.view(Tagged), where=np.True_, backend=echo())
    assert type(x) is np.ndarray
    assert np.shares_memory(x, X)
    assert type(options["where"]) is np.ndarray


def test_empty_arrays_pass(echo: Callable[..., ModuleType]) -> None:
    for shape in ((0,), (0, 3), (3, 0)):
        x = np.zeros(shape)
        assert sv.ssmax(x, backend=echo())[0][0] is x
        assert sv.softmax_vjp(x, x, where=x == 0, backend=echo())[0] == (x, x)
