"""Vectors of ``LANES`` numbers as types of numba, and the operations on them.

LLVM splits a vector into as many registers as the processor needs (16 doubles: four of AVX2, two of
AVX-512, eight of NEON), so that one code, and one tree of sums, serves all. Nothing is left to the
auto-vectorizer, and no flag lets the compiler change a rounding: `fma` is one where it is written
and nowhere else.

Memory is reached by addresses (integers), which the caller answers for: views of arrays of any
library cost nothing so, and kernels are not compiled again for each layout.
"""

# mypy: allow-untyped-calls, allow-subclassing-any

from __future__ import annotations

import math
import operator
from functools import partial
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LANES",
    "absent",
    "absolute",
    "count",
    "doubles",
    "equal",
    "floats",
    "fma",
    "full",
    "full_float",
    "larger",
    "larger_double_or_nan",
    "larger_or_nan",
    "largest_double_or_nan",
    "largest_lane_or_nan",
    "largest_of_rows_or_nan",
    "less",
    "masks",
    "operation",
    "picked",
    "scalar_fma",
    "select",
    "select_float",
    "shift_exponent",
    "shorts",
    "smaller",
    "smaller_double",
    "smallest_double",
    "smallest_lane",
    "sum_of_lanes",
    "sum_of_word_lanes",
    "sums_of_rows",
    "widen",
]

LANES = 16

_BIT, _BYTE, _SHORT, _INT, _LONG = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
_HALF, _FLOAT, _DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()


class Vector(types.Type):
    """A vector of numbers of an LLVM type."""

    def __init__(self, name: str, element: Any) -> None:
        super().__init__(name=f"vector({name})")
        self.llvm = ir.VectorType(element, LANES)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.llvm)


doubles = Vector("double", _DOUBLE)
floats = Vector("float", _FLOAT)
shorts = Vector("short", _SHORT)
masks = Vector("mask", _BIT)


def _constant(vector: Any, value: float) -> Any:
    return ir.Constant(vector, [value] * LANES)


def picked(builder: Any, vector: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(
        vector, vector, ir.Constant(ir.VectorType(_INT, len(lanes)), lanes)
    )


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    return picked(builder, builder.insert_element(undefined, value, _INT(0)), [0] * LANES)


def _call(builder: Any, name: str, result: Any, arguments: list[Any], **flags: Any) -> Any:
    kind = ir.FunctionType(result, [own.type for own in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, arguments, **flags)


def operation(result: Any, *operands: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make what emits instructions, given a builder and operands, a function of compiled code."""

    def decorate(emit: Callable[..., Any]) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            found = emit(builder, *arguments)
            return context.get_dummy_value() if found is None else found

        found = result(*operands), generate
        # numba wants parameters by name.
        define: Callable[..., Any] = (
            lambda _: found,
            lambda _, a: found,  # noqa: ARG005
            lambda _, a, b: found,  # noqa: ARG005
            lambda _, a, b, c: found,  # noqa: ARG005
            lambda _, a, b, c, d: found,  # noqa: ARG005
        )[len(operands)]
        define.__name__ = emit.__name__
        define.__doc__ = emit.__doc__
        return intrinsic(define)

    return decorate


# Arithmetic: of two vectors of doubles, or one and a number, which stands in all lanes.


def _define_arithmetic(function: Any, instruction: str) -> None:
    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            del kws
            if len(args) == 2 and doubles in args:
                return signature(doubles, *(a if a == doubles else types.float64 for a in args))
            return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context
        left, right = (
            own if kind == doubles else _splat(builder, own, doubles.llvm)
            for own, kind in zip(args, sig.args, strict=True)
        )
        return getattr(builder, instruction)(left, right)

    for kinds in ((Vector, Vector), (Vector, types.Float), (types.Float, Vector)):
        lower_builtin(function, *kinds)(lower)


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define_arithmetic(_function, _instruction)


@operation(doubles, doubles, doubles, doubles)
def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once."""
    return _call(builder, f"llvm.fma.v{LANES}f64", a.type, [a, b, c])


@operation(types.float64, types.float64, types.float64, types.float64)
def scalar_fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c of numbers, rounded once."""
    return _call(builder, "llvm.fma.f64", a.type, [a, b, c])


@operation(doubles, types.float64)
def full(builder: Any, value: Any) -> Any:
    """Return a number in all lanes."""
    return _splat(builder, value, doubles.llvm)


@operation(floats, types.float32)
def full_float(builder: Any, value: Any) -> Any:
    """Return a number in all lanes."""
    return _splat(builder, value, floats.llvm)


@operation(doubles, floats)
def widen(builder: Any, a: Any) -> Any:
    """Return the same numbers as doubles."""
    return builder.fpext(a, doubles.llvm)


@operation(doubles, doubles, doubles)
def shift_exponent(builder: Any, a: Any, shifted: Any) -> Any:
    """Return a times 2 to the power of the integer in the low bits of ``shifted``."""
    vector = ir.VectorType(_LONG, LANES)
    steps = builder.shl(builder.bitcast(shifted, vector), _constant(vector, 52))
    return builder.bitcast(builder.add(builder.bitcast(a, vector), steps), a.type)


# Comparisons and extrema.


@operation(masks, doubles, doubles)
def equal(builder: Any, a: Any, b: Any) -> Any:
    return builder.fcmp_ordered("==", a, b)


@operation(masks, doubles, doubles)
def less(builder: Any, a: Any, b: Any) -> Any:
    return builder.fcmp_ordered("<", a, b)


@operation(masks, floats)
def absent(builder: Any, a: Any) -> Any:
    """Where an entry is -inf."""
    return builder.fcmp_ordered("==", a, _constant(a.type, -math.inf))


@operation(doubles, masks, doubles, doubles)
def select(builder: Any, where: Any, a: Any, b: Any) -> Any:
    return builder.select(where, a, b)


@operation(floats, masks, floats, floats)
def select_float(builder: Any, where: Any, a: Any, b: Any) -> Any:
    return builder.select(where, a, b)


@operation(types.int64, masks)
def count(builder: Any, where: Any) -> Any:
    """How many lanes are true."""
    bits = builder.bitcast(where, ir.IntType(LANES))
    return builder.zext(builder.ctpop(bits), _LONG)


@operation(doubles, doubles, doubles)
def larger(builder: Any, a: Any, b: Any) -> Any:
    """Return the larger of two numbers; b if one is NaN."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _larger_or_nan(builder: Any, a: Any, b: Any) -> Any:
    """Return the larger of two numbers, NaN if one is; of zeros any."""
    bits = 32 if a.type.element == _FLOAT else 64
    name = f"llvm.maximum.v{a.type.count}f{bits}"
    return _call(builder, name, a.type, [a, b], fastmath=("nsz",))


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    """Return the smaller of two numbers; b if one is NaN."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


@operation(floats, floats, floats)
def larger_or_nan(builder: Any, a: Any, b: Any) -> Any:
    """Return the larger of two numbers; NaN if one is, or was."""
    return _larger_or_nan(builder, a, b)


@operation(doubles, doubles, doubles)
def larger_double_or_nan(builder: Any, a: Any, b: Any) -> Any:
    """Return the larger of two numbers; NaN if one is, or was."""
    return _larger_or_nan(builder, a, b)


@operation(floats, floats, floats)
def smaller(builder: Any, a: Any, b: Any) -> Any:
    """Return the smaller of two numbers; b if one is NaN."""
    return _smaller(builder, a, b)


@operation(doubles, doubles, doubles)
def smaller_double(builder: Any, a: Any, b: Any) -> Any:
    """Return the smaller of two numbers; b if one is NaN."""
    return _smaller(builder, a, b)


@operation(doubles, doubles)
def absolute(builder: Any, a: Any) -> Any:
    return _call(builder, f"llvm.fabs.v{LANES}f64", a.type, [a])


def _over_lanes(builder: Any, a: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Halves with halves, until one number is left."""
    width = LANES
    while width > 1:
        width //= 2
        low = picked(builder, a, list(range(width)))
        a = combine(low, picked(builder, a, list(range(width, 2 * width))))
    return builder.extract_element(a, _INT(0))


def _over_rows(builder: Any, load: Callable[[int], Any], combine: Callable[[Any, Any], Any]) -> Any:
    """Return the same of LANES vectors at once: lane r is what vector r comes to.

    Of two vectors, both halves of each go into one, which is halved with the next such one.
    """

    def combined(first: int, rows: int) -> Any:
        if rows == 1:
            return load(first)
        low = combined(first, rows // 2)
        high = combined(first + rows // 2, rows // 2)
        # Either has segments of this width for each of its rows.
        width = 2 * LANES // rows
        starts = range(0, 2 * LANES, width)
        upper = [start + i for start in starts for i in range(width // 2)]
        lower = [start + width // 2 + i for start in starts for i in range(width // 2)]
        return combine(
            builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(_INT, LANES), upper)),
            builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(_INT, LANES), lower)),
        )

    return combined(0, LANES)


def _loader(builder: Any, address: Any, vector: Any) -> Callable[[int], Any]:
    size = 4 if vector.element == _FLOAT else 8

    def load(row: int) -> Any:
        at = builder.add(address, _LONG(size * LANES * row))
        value = builder.load(builder.inttoptr(at, vector.as_pointer()))
        value.align = size
        return value

    return load


@operation(doubles, types.int64)
def sums_of_rows(builder: Any, address: Any) -> Any:
    """Return the sums of LANES vectors behind each other, as `sum_of_lanes` adds them."""
    return _over_rows(builder, _loader(builder, address, doubles.llvm), builder.fadd)


@operation(floats, types.int64)
def largest_of_rows_or_nan(builder: Any, address: Any) -> Any:
    """Return the same of the largest lanes."""
    load = _loader(builder, address, floats.llvm)
    return _over_rows(builder, load, partial(_larger_or_nan, builder))


@operation(types.float64, doubles)
def sum_of_lanes(builder: Any, a: Any) -> Any:
    return _over_lanes(builder, a, builder.fadd)


@operation(types.UniTuple(types.float64, 2), doubles, doubles)
def sum_of_word_lanes(builder: Any, high: Any, low: Any) -> Any:
    """Return the sum of all lanes in two words; the low one sums the errors of the high one."""
    width = LANES
    while width > 1:
        width //= 2
        lower, upper = list(range(width)), list(range(width, 2 * width))
        a, b = picked(builder, high, lower), picked(builder, high, upper)
        # Knuth's sum and its exact error.
        high = builder.fadd(a, b)
        part = builder.fsub(high, a)
        first = builder.fsub(a, builder.fsub(high, part))
        error = builder.fadd(first, builder.fsub(b, part))
        lows = builder.fadd(picked(builder, low, lower), picked(builder, low, upper))
        low = builder.fadd(lows, error)
    numbers = (builder.extract_element(own, _INT(0)) for own in (high, low))
    return cgutils.pack_array(builder, list(numbers))


@operation(types.float32, floats)
def largest_lane_or_nan(builder: Any, a: Any) -> Any:
    return _over_lanes(builder, a, partial(_larger_or_nan, builder))


@operation(types.float32, floats)
def smallest_lane(builder: Any, a: Any) -> Any:
    return _over_lanes(builder, a, partial(_smaller, builder))


@operation(types.float64, doubles)
def largest_double_or_nan(builder: Any, a: Any) -> Any:
    return _over_lanes(builder, a, partial(_larger_or_nan, builder))


@operation(types.float64, doubles)
def smallest_double(builder: Any, a: Any) -> Any:
    return _over_lanes(builder, a, partial(_smaller, builder))
