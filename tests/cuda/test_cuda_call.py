"""Arguments as the kernels read them, the sums over rows, and what a call launches."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from math import inf, nan, prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from cuda_support.emulated_launcher import HOPPER, EmulatedLauncher
from softmax_variants_backends._cuda import _call, _sums
from softmax_variants_backends._cuda._launch import Layout, Limits, Module
from softmax_variants_backends._cuda._plan import Array, plan_of
from softmax_variants_backends._cuda._rows import RowKernels
from softmax_variants_backends._cuda._source import files_of
from softmax_variants_backends.array_api import _functions

if TYPE_CHECKING:
    from collections.abc import Hashable

MAX_AXES = 8
CALL_SOURCE = dict(files_of(Module("")))["call.cuh"]
CONSTANTS = dict(re.findall(r"#define (\w+) (\d+)", CALL_SOURCE))


def fields(name: str) -> list[tuple[str, int]]:
    """Return the fields of a struct of call.cuh, and how many elements each has."""
    (body,) = re.findall(rf"struct {name} {{(.*?)\n}};", CALL_SOURCE, re.DOTALL)
    found = []
    for statement in re.sub(r"//.*", "", body).split(";")[:-1]:
        kind = re.fullmatch(
            r"\s*(?:long long|double|const void\*|const unsigned char\*|const double\*"
            r"|double\*|void\*)(?= )(.*)",
            statement,
            re.DOTALL,
        )
        assert kind, statement  # all have 8 bytes
        for own in kind[1].split(","):
            parts = re.fullmatch(r"\s*(\w+)(?:\[(\w+)\])?\s*", own)
            assert parts
            size = {None: 1, "MAX_AXES": MAX_AXES}.get(parts[2]) or int(parts[2])
            found.append((parts[1], size))
    return found


def read(name: str, data: bytes, doubles: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the values of a struct's fields."""
    found, at = {}, 0
    for field, size in fields(name):
        letter = "d" if field in doubles else "q"
        values = struct.unpack_from(f"={size}{letter}", data, at)
        found[field] = values if size > 1 else values[0]
        at += 8 * size
    assert at == len(data)
    return found


def test_a_call_field_by_field() -> None:
    shape = (2, 3, 5, 64)
    x = Array(Layout(shape, (960, 320, 64, 1), "float32"))
    dy = Array(Layout(shape, (0, 1, 3, 15), "float32"))
    mask = Array(Layout((5, 64), (64, 1), "bool"))
    s, n = Layout((3, 1, 1), (1, 1, 1), "float16"), Layout((2, 1, 1, 1), (7, 1, 1, 1), "int32")
    plan = plan_of(x, x, axis=3, limits=HOPPER, dy=dy, mask=mask, parameters=(s, None, n))
    assert plan is not None
    head = _call.HEAD.pack(*range(1, 10), 0.5, -0.25, 3.0, 1e-17)
    rest = _call.tail(
        plan,
        form="minmax",
        detach_extrema=True,
        types=("float16", None, "int32"),
        counted=False,
        stage=1,
    )
    got = read("Call", head + rest, ("s_value", "b_value", "log_length"))
    sources = ("x", "dy", "out", "mask", "s", "b", "n", "terms", "records")
    assert [got[name] for name in sources] == [*range(1, 10)]
    assert (got["s_value"], got["b_value"], got["log_length"]) == (0.5, -0.25, (3.0, 1e-17))
    expected = {
        "s_from": int(CONSTANTS["FROM_ARRAY"]),
        "b_from": int(CONSTANTS["FROM_NUMBER"]),
        "n_from": int(CONSTANTS["FROM_ARRAY"]),
        "s_type": int(CONSTANTS["TYPE_FLOAT16"]),
        "b_type": 0,
        "n_type": int(CONSTANTS["TYPE_INT32"]),
        "form": int(CONSTANTS["FORM_MINMAX"]),
        "detach_extrema": 1,
        "stage": 1,
        "rows": 30,
        "length": 64,
        "axes": 3,
        "lanes": plan.path.lanes,
        "rows_per_block": plan.rows_per_block,
        "parts": 1,
        "part_length": 64,
        "vectors": plan.path.vectors,
        "on_chip": 1,
        "kept": int(plan.path.kept > 0),
        "x_vector": 1,
        "dy_vector": 0,
        "out_vector": 1,
        "mask_vector": 1,
        "x_rows_first": 0,
        "dy_rows_first": 1,
        "out_rows_first": 0,
        "x_step": 1,
        "dy_step": 15,
        "out_step": 1,
        "mask_step": 1,
        "sizes": (2, 3, 5, 1, 1, 1, 1, 1),
        "x_strides": (960, 320, 64, 0, 0, 0, 0, 0),
        "dy_strides": (0, 1, 3, 0, 0, 0, 0, 0),
        "out_strides": (960, 320, 64, 0, 0, 0, 0, 0),
        "mask_strides": (0, 0, 64, 0, 0, 0, 0, 0),
        "s_strides": (0, 1, 0, 0, 0, 0, 0, 0),
        "b_strides": (0,) * 8,
        "n_strides": (7, 0, 0, 0, 0, 0, 0, 0),
    }
    assert {name: got[name] for name in expected} == expected
    assert set(got) == {*sources, "s_value", "b_value", "log_length", *expected}


def test_codes_are_those_of_the_source() -> None:
    for name, code in _call.TYPES.items():
        assert CONSTANTS[f"TYPE_{name.upper()}"] == str(code)
    for form in ("plain", "shifted", "minmax", "normalized"):
        assert CONSTANTS[f"FORM_{form.upper()}"] == str(_call._FORMS[form])
    assert f"constexpr int MAX_AXES = {MAX_AXES};" in CALL_SOURCE


class TestSums:
    """The kernel, on the emulator, with terms of our own."""

    def run(
        self,
        terms: np.ndarray[Any, Any],
        parameter: Layout,
        shape: tuple[int, ...],
        axis: int = -1,
        low: np.ndarray[Any, Any] | None = None,
        row_strides: tuple[int, ...] | None = None,
    ) -> torch.Tensor:
        axis %= len(shape)
        rows = tuple(size if i != axis else 1 for i, size in enumerate(shape))
        if row_strides is None:
            row_strides = tuple(prod(rows[i + 1 :]) if i != axis else 0 for i in range(len(shape)))
        sums = _sums.sum_of(parameter, shape, axis, row_strides)
        assert sums is not None
        launcher = EmulatedLauncher()
        kernel = launcher.kernel(Module(""), "sum_terms", _sums.SUM_SHARED)
        columns = [terms.ravel()] if low is None else [terms.ravel(), low.ravel()]
        column = torch.tensor(np.concatenate(columns))
        out = launcher.empty(parameter.shape, parameter.dtype)
        between = torch.full((2 * sums.partial_sums,), torch.nan, dtype=torch.float64)
        nothing = (0, 0, bytes(len(sums.last())))
        first = between if sums.partial_sums else out
        # In the first launch as db, in the second as ds; the other has no blocks.
        rest = sums.first(low=0 if low is None else terms.size)
        argument = _sums.CALLS.pack(*nothing, column.data_ptr(), first.data_ptr(), rest)
        launcher.launch(kernel, sums.blocks, _sums.SUM_THREADS, _sums.SUM_SHARED, argument)
        if sums.last_blocks:
            argument = _sums.CALLS.pack(between.data_ptr(), out.data_ptr(), sums.last(), *nothing)
            launcher.launch(kernel, sums.last_blocks, _sums.SUM_THREADS, _sums.SUM_SHARED, argument)
        return out

    @pytest.mark.parametrize(
        "parameter",
        [
            (),
            (1,),
            (1, 1, 1),
            (4, 1),
            (6, 1, 1),
            (6, 4, 1),
            (5, 6, 1, 1),
            (5, 1, 4, 1),
            (5, 6, 4, 1),
        ],
    )
    def test_any_parameter(self, parameter: tuple[int, ...]) -> None:
        rng = np.random.default_rng(1)
        terms = rng.integers(-1000, 1000, (5, 6, 4, 1)).astype(np.float64)
        got = self.run(terms, Layout(parameter, (), "float64"), (5, 6, 4, 7))
        own = (1,) * (4 - len(parameter)) + parameter
        axes = tuple(i for i in range(4) if own[i] == 1)
        np.testing.assert_array_equal(got, terms.sum(axes, keepdims=True).reshape(parameter))

    def test_rows_numbered_in_another_order(self) -> None:
        """The rows of a transposed array are numbered in the order of its memory."""
        rng = np.random.default_rng(2)
        terms = rng.integers(-1000, 1000, (4, 6)).astype(np.float64)
        got = self.run(
            terms, Layout((6, 1, 1), (), "float64"), (6, 4, 7), axis=2, row_strides=(1, 6, 0)
        )
        np.testing.assert_array_equal(got.ravel(), terms.sum(0))

    @pytest.mark.parametrize("rows", [1, 4, 5, 33, 1000, 8192, 8193, 20000])
    def test_long_sums_are_rounded_once(self, rows: int) -> None:
        rng = np.random.default_rng(rows)
        terms = rng.standard_normal(rows) * 2.0 ** rng.integers(-40, 40, rows)
        low = terms * 2.0**-55 * rng.standard_normal(rows)
        terms[1::2] = -terms[: rows // 2 * 2 : 2]  # all cancel but for the low words
        size = sum(map(abs, map(Fraction, terms)))
        for words in (low, None):
            exact = sum(map(Fraction, [*terms, *(() if words is None else words)]))
            got = self.run(terms, Layout((), (), "float64"), (rows, 3), low=words)
            rounding = abs(exact) / 2**53 + Fraction(1, 2**1074)
            assert abs(Fraction(got.item()) - exact) <= rounding + size / 2**90

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
    def test_narrow_results_are_rounded_once(self, dtype: str) -> None:
        kind = getattr(torch, dtype)
        finfo = torch.finfo(kind)
        exact = [  # halfway between two numbers, and a little beyond on either side
            Fraction(value) * (2 + odd * Fraction(finfo.eps)) / 2 + sign * Fraction(1, 2**200)
            for value in (1.0, -2.0, finfo.smallest_normal, -finfo.tiny)
            for odd in (1, 3)
            for sign in (-1, 0, 1)
        ]
        exact += [Fraction(finfo.tiny) * Fraction(finfo.eps) * k / 4 for k in (1, 2, 3, 5, 6, 7)]
        exact += [Fraction(finfo.max) * 2, -Fraction(finfo.max) * 2]
        high = np.array([float(value) for value in exact])
        low = np.array([float(v - Fraction(h)) for v, h in zip(exact, high, strict=True)])
        layout = Layout((len(exact), 1), (), dtype)
        got = self.run(high, layout, (len(exact), 3), low=low).double().ravel()
        for value, own in zip(exact, got.tolist(), strict=True):
            assert own == nearest(value, finfo), (value, own)

    def test_what_is_not_finite(self) -> None:
        rows = np.array(
            [[1.0, inf, 2.0], [nan, 1.0, 2.0], [inf, -inf, 0.0], [1e308, 1e308, -1e308]]
        )
        for dtype in ("float64", "float32", "bfloat16", "float16"):
            got = self.run(rows, Layout((4, 1, 1), (), dtype), (4, 3, 9), low=0.0 * np.ones((4, 3)))
            np.testing.assert_array_equal(got.double().ravel(), [inf, nan, nan, inf])


def nearest(value: Fraction, finfo: Any) -> float:
    """Return the value rounded to a narrow type, ties to even."""
    exponent = -(-value.numerator.bit_length() + value.denominator.bit_length())
    while Fraction(2) ** exponent > abs(value):
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= abs(value):
        exponent += 1
    unit = max(Fraction(2) ** exponent, Fraction(finfo.tiny)) * Fraction(finfo.eps)
    rounded = round(value / unit) * unit
    return float(rounded) if abs(rounded) <= Fraction(finfo.max) else inf if value > 0 else -inf


class Recorder(EmulatedLauncher):
    """Counts what is described and prepared."""

    def __init__(self, limits: Limits = HOPPER) -> None:
        super().__init__(limits)
        self.described = 0
        self.made: list[tuple[int, ...]] = []
        self.grids: list[int] = []

    def layout(self, array: Any, /) -> Layout:
        self.described += 1
        return super().layout(array)

    def empty(self, shape: tuple[int, ...], dtype: str, /) -> Any:
        self.made.append(shape)
        return super().empty(shape, dtype)

    def launch(self, kernel: Any, grid: int, block: int, shared: int, argument: bytes, /) -> None:
        self.grids.append(grid)
        super().launch(kernel, grid, block, shared, argument)


SMALL = Limits((9, 0), 227 << 10, capacity=(64, 64))
SMALL_WITHOUT_CLUSTERS = Limits((8, 0), 163 << 10, capacity=(64, 64))


class TestCalls:
    def test_like_calls_are_prepared_once(self) -> None:
        launcher = Recorder()
        kernels = RowKernels(launcher)

        def call(x: torch.Tensor, where: torch.Tensor | None = None) -> torch.Tensor:
            value: torch.Tensor = kernels.weights(
                "softmax", 1, None, x, None, None, None, where, None
            )
            return value

        one, other = torch.randn(4, 8), torch.randn(4, 8)
        first = call(one)
        described = launcher.described
        call(other)
        assert torch.equal(call(one), first)
        assert launcher.described == described
        for unlike in (torch.randn(8, 4), torch.randn(4, 8).T, torch.randn(33)[1:].reshape(4, 8)):
            before = launcher.described
            call(unlike)
            assert launcher.described > before
        mask = torch.ones(4, 8, dtype=torch.bool)
        assert torch.equal(call(one, mask), first)

    @pytest.mark.parametrize(
        ("limits", "n", "expected"),
        [
            (HOPPER, None, ["rows"]),
            (SMALL, None, ["rows_8"]),
            (SMALL_WITHOUT_CLUSTERS, 5.0, ["split_parts", "split_rows", "split_write"]),
            (
                SMALL_WITHOUT_CLUSTERS,
                None,
                [*("split_parts", "split_rows") * 2, "split_write"],
            ),
        ],
    )
    def test_what_is_launched(self, limits: Limits, n: float | None, expected: list[str]) -> None:
        launcher = Recorder(limits)
        x = torch.randn(3, 200)
        y = RowKernels(launcher).weights("ssmax", 1, None, x, 0.5, 0.0, n, None, None)
        assert launcher.launched == expected
        assert torch.isfinite(y).all()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("rows", [6, 9000])
    def test_gradients_are_those_of_the_operations(self, rows: int, dtype: torch.dtype) -> None:
        torch.manual_seed(1)
        x, dy = (torch.randn(rows, 3, 5, dtype=dtype) for _ in range(2))
        s, b = torch.rand(3, 1, dtype=torch.float64), torch.rand(rows, 1, 1)
        kernels = RowKernels(Recorder())
        found = kernels.gradients("ssmax", 2, None, False, x, dy, s, b, None, None)
        assert found is not None
        expected = _functions.ssmax_vjp(x, dy, s, b, n=None, axis=2, where=None)
        for own, other in zip(found, expected, strict=True):
            scale = 2.0**-44 if own.dtype == torch.float64 else torch.finfo(own.dtype).eps
            torch.testing.assert_close(own, other, rtol=scale, atol=scale)

    def test_gradients_of_parameters(self) -> None:
        launcher = Recorder()
        kernels = RowKernels(launcher)
        x, dy = torch.randn(2, 3, 5, 16), torch.randn(2, 3, 5, 16)
        s = torch.rand(3, 1, 1, dtype=torch.float64)
        found = kernels.gradients("ssmax", 3, None, False, x, dy, s, 0, None, None)
        assert found is not None
        dx, ds, db = found
        assert launcher.launched == ["rows", "sum_terms"]
        assert (dx.shape, ds.shape, db.shape) == (x.shape, s.shape, ())
        assert (dx.dtype, ds.dtype, db.dtype) == (x.dtype, s.dtype, x.dtype)
        assert launcher.made == [(60,), (3, 1, 1), ()]

    def test_sums_in_two_launches(self) -> None:
        launcher = Recorder()
        x = torch.randn(9000, 4)
        dy = torch.randn(9000, 4)
        s = torch.rand(9000, 1)
        kernels = RowKernels(launcher)
        found = kernels.gradients("ssmax", 1, None, False, x, dy, s, 0.5, None, None)
        assert found is not None
        assert launcher.launched == ["rows", "sum_terms", "sum_terms"]
        # ds has 9000 elements of one term each, db two partial sums.
        assert launcher.grids[1:] == [36 + 2, 1]
        each = kernels.gradients(
            "ssmax", 1, None, False, x, dy, s, torch.full((9000, 1), 0.5), None, None
        )
        assert each is not None
        assert torch.equal(found[1], each[1])
        exact = float(sum(map(Fraction, each[2].ravel().tolist())))
        assert found[2].item() == pytest.approx(exact, rel=1e-4)

    def test_results_are_laid_out_like_x(self) -> None:
        kernels = RowKernels(Recorder())
        for x in (torch.randn(6, 8).T, torch.randn(4, 6, 8).permute(2, 0, 1)):
            y = kernels.weights("softmax", 0, None, x, None, None, None, None, None)
            assert y is not None
            assert y.stride() == x.stride()
        y = kernels.weights("softmax", 1, None, torch.randn(6, 16)[:, ::2], *[None] * 5)
        assert y is not None
        assert y.is_contiguous()

    def test_out_is_written_and_returned(self) -> None:
        kernels = RowKernels(Recorder())
        x, out = torch.randn(6, 8), torch.zeros(8, 6).T
        y = kernels.weights("softmax", 1, None, x, None, None, None, None, out)
        assert y is out
        assert torch.equal(out, kernels.weights("softmax", 1, None, x, *[None] * 5))
        again = x.clone()
        assert kernels.weights("softmax", 1, None, again, *[None] * 4, again) is again
        assert torch.equal(again, out)

    @pytest.mark.parametrize("integer", [2**53 + 1, 10**400])
    def test_integers_that_no_float_equals(self, integer: int) -> None:
        kernels = RowKernels(Recorder())
        x = torch.randn(2, 4)
        assert kernels.weights("ssmax", 1, None, x, integer, 0.0, None, None, None) is None
        assert kernels.weights("ssmax", 1, None, x, 1.0, -integer, None, None, None) is None
        assert kernels.gradients("ssmax", 1, None, False, x, x, integer, 0.0, None, None) is None
        # Of n, which is exact, only the logarithm counts.
        assert kernels.weights("ssmax", 1, None, x, 1, 0, integer, None, None) is not None

    def test_what_is_not_taken(self) -> None:
        kernels = RowKernels(Recorder())
        x = torch.randn(2, 4)

        def weights(x: torch.Tensor, s: Any = 1.0, where: Any = None, out: Any = None) -> Any:
            return kernels.weights("ssmax", 1, None, x, s, 0.0, None, where, out)

        assert weights(x) is not None
        assert weights(torch.zeros(2, 0)) is None
        assert weights(torch.zeros(0, 4)) is None
        assert weights(torch.ones(2, 4, dtype=torch.complex64)) is None
        assert weights(x, s=torch.ones(2, 1, dtype=torch.bool)) is None
        assert weights(x, s=torch.ones(2, 4)) is None
        assert weights(x, where=torch.ones(2, 4)) is None
        assert weights(x, where=torch.ones(3, 4, dtype=torch.bool)) is None
        assert weights(x, out=torch.empty(2, 4, dtype=torch.float64)) is None
        assert weights(x, out=torch.empty(4, 2)) is None
        assert kernels.gradients("softmax", 1, None, False, x, x.double(), *[None] * 4) is None

    def test_memory_between_elements(self) -> None:
        class Shifted(Recorder):
            def locate(self, array: Any, /) -> tuple[int, Hashable]:
                address, kind = super().locate(array)
                return address + 2, kind

        kernels = RowKernels(Shifted())
        assert kernels.weights("softmax", 1, None, torch.randn(2, 4), *[None] * 5) is None

    def test_zeros_that_are_not_stored(self) -> None:
        kernels = RowKernels(Recorder())
        x, zeros = torch.randn(2, 4), torch._efficientzerotensor((2, 4))
        assert zeros.data_ptr() == 0
        assert kernels.weights("softmax", 1, None, zeros, *[None] * 5) is None
        assert kernels.gradients("softmax", 1, None, False, x, zeros, *[None] * 4) is None
        row = zeros[:, :1]
        for parameters in ((row, 1.0, None), (1.0, row, None), (1.0, 0.0, row)):
            assert kernels.weights("ssmax", 1, None, x, *parameters, None, None) is None
        mask = torch._efficientzerotensor((2, 4), dtype=torch.bool)
        assert kernels.weights("softmax", 1, None, x, None, None, None, mask, None) is None
        assert kernels.gradients("softmax", 1, None, False, x, x, *[None] * 3, mask) is None

    def test_few_calls_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("softmax_variants_backends._cuda._rows._KEPT_CALLS", 3)
        kernels = RowKernels(Recorder())
        for length in range(1, 9):
            kernels.weights("softmax", 0, None, torch.randn(length), *[None] * 5)
            assert len(kernels._prepared) <= 3
