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
    "absolute",
    "add_where_equal",
    "both_masks",
    "count",
    "doubles",
    "either_mask",
    "equal",
    "floats",
    "fma",
    "full",
    "full_float",
    "has_float_of",
    "has_of",
    "ints",
    "larger",
    "larger_double_or_nan",
    "larger_or_nan",
    "largest_double_or_nan",
    "largest_lane_or_nan",
    "less",
    "masks",
    "minus_absolute",
    "no_counts",
    "numbers_of",
    "operation",
    "opposite_mask",
    "picked",
    "present_or",
    "scalar_fma",
    "select",
    "select_float",
    "shift_exponent",
    "shorts",
    "smaller",
    "smaller_double",
    "smallest_double",
    "smallest_lane",
    "sum_of_counts",
    "sum_of_lanes",
    "sum_of_vectors",
    "sum_of_word_lanes",
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
ints = Vector("int", _INT)
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


@operation(masks, masks, masks)
def both_masks(builder: Any, a: Any, b: Any) -> Any:
    return builder.and_(a, b)


@operation(masks, masks, masks)
def either_mask(builder: Any, a: Any, b: Any) -> Any:
    return builder.or_(a, b)


@operation(masks, masks)
def opposite_mask(builder: Any, a: Any) -> Any:
    return builder.not_(a)


@operation(doubles, masks, doubles, doubles)
def select(builder: Any, where: Any, a: Any, b: Any) -> Any:
    return builder.select(where, a, b)


@operation(floats, floats, floats)
def present_or(builder: Any, a: Any, b: Any) -> Any:
    """Return a where it is not -inf, b elsewhere."""
    absent = builder.fcmp_ordered("==", a, _constant(a.type, -math.inf))
    return builder.select(absent, b, a)


@operation(floats, masks, floats, floats)
def select_float(builder: Any, where: Any, a: Any, b: Any) -> Any:
    return builder.select(where, a, b)


@operation(types.int64, masks)
def count(builder: Any, where: Any) -> Any:
    """How many lanes are true."""
    bits = builder.bitcast(where, ir.IntType(LANES))
    return builder.zext(builder.ctpop(bits), _LONG)


# Counts of entries lane by lane: to count the lanes of each comparison would take longer than it.


@operation(ints)
def no_counts(builder: Any) -> Any:
    del builder
    return _constant(ints.llvm, 0)


@operation(ints, ints, floats, floats)
def add_where_equal(builder: Any, counts: Any, a: Any, b: Any) -> Any:
    """Count one more where a = b."""
    equal_lanes = builder.sext(builder.fcmp_ordered("==", a, b), ints.llvm)
    return builder.sub(counts, equal_lanes)


@operation(types.int64, ints)
def sum_of_counts(builder: Any, counts: Any) -> Any:
    total = _call(builder, f"llvm.vector.reduce.add.v{LANES}i32", _INT, [counts])
    return builder.zext(total, _LONG)


@operation(doubles, ints)
def numbers_of(builder: Any, counts: Any) -> Any:
    """Return counts as doubles."""
    return builder.sitofp(counts, doubles.llvm)


def _has(builder: Any, a: Any, b: Any, c: Any) -> Any:
    found = builder.or_(
        builder.fcmp_ordered("==", a, _splat(builder, b, a.type)),
        builder.fcmp_ordered("==", a, _splat(builder, c, a.type)),
    )
    return _call(builder, f"llvm.vector.reduce.or.v{LANES}i1", _BIT, [found])


@operation(types.boolean, doubles, types.float64, types.float64)
def has_of(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Whether any lane is one of two numbers."""
    return _has(builder, a, b, c)


@operation(types.boolean, floats, types.float32, types.float32)
def has_float_of(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Whether any lane is one of two numbers."""
    return _has(builder, a, b, c)


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


@operation(doubles, doubles)
def minus_absolute(builder: Any, a: Any) -> Any:
    """Return -|a|."""
    return builder.fneg(_call(builder, f"llvm.fabs.v{LANES}f64", a.type, [a]))


def _over_lanes(builder: Any, a: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Halves with halves, until one number is left."""
    width = LANES
    while width > 1:
        width //= 2
        low = picked(builder, a, list(range(width)))
        a = combine(low, picked(builder, a, list(range(width, 2 * width))))
    return builder.extract_element(a, _INT(0))


@operation(doubles, types.int64)
def sum_of_vectors(builder: Any, address: Any) -> Any:
    """Return the sum of LANES vectors behind each other: in each lane, what `sum_of_lanes` adds."""
    size = 8 * LANES

    def halved(first: int, width: int) -> Any:
        # Lanes that are so far apart have met before.
        if width == LANES:
            at = builder.inttoptr(
                builder.add(address, _LONG(size * first)), doubles.llvm.as_pointer()
            )
            value = builder.load(at)
            value.align = 8
            return value
        return builder.fadd(halved(first, 2 * width), halved(first + width, 2 * width))

    return halved(0, 1)


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
