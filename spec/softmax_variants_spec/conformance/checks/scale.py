"""The scale c = s ln n + b of SSMax, read back from weights: which logarithm, whose s, b and n.

Of two entries of a row, ln(y_i/y_j) = c (x_i - x_j). A scale that is not the right one is compared
with those that are known from practice, so that the message can say which it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np

from softmax_variants_spec.accuracy import relative_bound
from softmax_variants_spec.conformance.blocks import to_format
from softmax_variants_spec.conformance.context import Context, Entry, Fault
from softmax_variants_spec.exact import Row
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from softmax_variants_spec.conformance.blocks import Bools, Floats
    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries"]

_ULPS = {"correct": 0.5, "faithful": 1.0, "tight": 4.0}


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return the entries on the scale, for SSMax."""
    del smoke
    if variant.function != "ssmax":
        return []
    calls: dict[str, Callable[[Context], list[_Call]]] = {
        "natural-logarithm": _natural_logarithm,
        "n-along-axis": _n_along_axis,
        "n-present": _n_present,
        "log-n-unrounded": _log_n_unrounded,
        "integer-n": _integer_n,
        "parameters-by-row": _parameters_by_row,
    }
    return [Entry("scale", name, _Check(make)) for name, make in calls.items()]


@dataclass(frozen=True)
class _Call:
    """One call of ``ssmax``, and the mistakes that are particular to it."""

    what: str
    x: Floats
    axis: int
    s: Any = 1.0
    b: Any = 0.0
    n: Any = None
    where: Bools | None = None
    counts: dict[str, Any] = field(default_factory=dict)
    """Wrong n by what it is, each a number or an array that broadcasts to the rows."""

    @property
    def rows(self) -> tuple[int, ...]:
        return (*self.x.shape[: self.axis], 1, *self.x.shape[self.axis + 1 :])

    @property
    def present(self) -> Bools:
        there: Bools = self.x != -np.inf
        return there if self.where is None else there & self.where

    def by_row(self, value: Any) -> Floats:
        """Return a parameter's number for every row, in one dimension."""
        return np.broadcast_to(np.asarray(value, np.float64), self.rows).ravel()

    @property
    def numbers(self) -> tuple[Floats, Floats, Floats]:
        """Return s, b and n of every row."""
        n = self.present.sum(axis=self.axis, keepdims=True) if self.n is None else self.n
        return self.by_row(self.s), self.by_row(self.b), self.by_row(n)

    def lines_of(self, values: Any) -> Any:
        """Return an array of the shape of x with a line for every row."""
        return np.moveaxis(values, self.axis, -1).reshape(-1, self.x.shape[self.axis])


def _natural_logarithm(context: Context) -> list[_Call]:
    del context
    x = np.asarray([[0.0, 1.5, 0.5]] * 4)
    n = np.asarray([[2], [10], [100], [4096]])
    counted = {"the number of entries, 3: the given n is ignored": 3}
    return [
        _Call("n given by row", x, 1, 0.5, 0.25, n, counts=counted),
        _Call("n given as the number 50", x, 1, 0.75, 0.0, 50, counts=counted),
    ]


def _n_along_axis(context: Context) -> list[_Call]:
    del context
    shape = (3, 5, 7)
    calls = []
    for axis, length in enumerate(shape):
        along = np.asarray([0.0, 3.0, 1.0, 2.0, 0.5, 1.5, 2.5])[:length]
        x = np.broadcast_to(along.reshape([-1 if i == axis else 1 for i in range(3)]), shape)
        wrong: dict[str, Any] = {
            f"the length of axis {other}, {n}": n for other, n in enumerate(shape) if other != axis
        }
        wrong |= {"the size of the array, 105": 105, "the number of rows": 105 // length}
        calls.append(_Call(f"along axis {axis} of {shape}", x.copy(), axis, counts=wrong))
    return calls


def _n_present(context: Context) -> list[_Call]:
    del context
    x = np.tile([0.0, 3.0, 1.0, 2.0, 0.5, 1.5, 2.5, 1.0], (4, 1))
    where = np.ones(x.shape, dtype=bool)
    where[1, 3:6] = False
    x[2, [2, 5, 7]] = -np.inf
    x[3, [4, 6]] = -np.inf
    where[3, [3, 6, 7]] = False
    there = (x != -np.inf) & where
    wrong: dict[str, Any] = {
        "the length of the row: absent entries are counted": x.shape[1],
        "the entries that where leaves: -inf is counted": where.sum(axis=1, keepdims=True),
        "the entries that are not -inf: where is ignored": (x != -np.inf).sum(1, keepdims=True),
        "the present entries of all rows together": there.sum(),
        "the present entries of the first row": there[0].sum(),
        "the present entries of the fullest row": there.sum(axis=1).max(),
    }
    masked = _Call("entries absent by where and by -inf", x, 1, where=where, counts=wrong)
    hidden = np.where(where, x, -np.inf)
    wrong = {"the length of the row: -inf is counted": x.shape[1]}
    return [masked, _Call("entries absent by -inf, where=None", hidden, 1, counts=wrong)]


def _log_n_unrounded(context: Context) -> list[_Call]:
    # Numbers whose logarithms lie about half-way between numbers of the 16-bit formats, and a
    # distance so large that what c is off by shows in the weights.
    n = np.asarray([[3], [11], [121], [4001]])
    s = 0.75
    distance = -0.6 * math.log(context.fmt.min_normal) / (s * np.log(n))
    x = np.concatenate([np.zeros_like(distance), np.floor(4.0 * distance) / 4.0], axis=1)
    counted = {"the number of entries, 2: the given n is ignored": 2}
    x = to_format(x, context.fmt)
    return [_Call("a large difference of logits", x, 1, s, 0.0, n, counts=counted)]


def _integer_n(context: Context) -> list[_Call]:
    # A count beyond what half as many bits hold, or beyond what the same bits with a sign do.
    counts = {"int8": 100, "uint8": 200, "int16": 30_000, "uint16": 40_000}
    counts |= {"int32": 2_000_000_000, "uint32": 3_000_000_000}
    if "float64" in context.subject.library.formats():
        counts |= {"int64": 2**62 + 2**20, "uint64": 2**63 + 2**20}
    x = np.asarray([[0.0, 1.5, 0.5]] * 3)
    return [
        _Call(f"an array n of {dtype}", x, 1, 0.125, 0.25, np.asarray([[2], [3], [n]], dtype))
        for dtype, n in counts.items()
        if hasattr(context.subject.library.namespace, dtype)
    ]


def _parameters_by_row(context: Context) -> list[_Call]:
    del context
    x = np.broadcast_to([0.0, 3.0, 1.0, 2.0], (2, 3, 4)).copy()
    by_first, by_second = np.asarray([[[0.5]], [[1.25]]]), np.asarray([[0.25], [0.75], [1.0]])
    first = np.broadcast_to(np.asarray([0.0, 3.0, 1.0, 2.0])[:, None, None], (4, 2, 3)).copy()
    return [
        _Call("s of shape (2, 1, 1)", x, 2, by_first, 0.25),
        _Call("s of shape (3, 1)", x, 2, by_second, 0.25),
        _Call("b of shape (2, 1, 1)", x, 2, 0.5, by_first),
        _Call("b of shape (3, 1)", x, 2, 0.5, by_second),
        _Call("s of shape (2, 1, 1), b of shape (3, 1)", x, 2, by_first, by_second),
        _Call(
            "s of shape (1, 2, 1) along axis 0",
            first,
            0,
            by_first.reshape(1, 2, 1),
            0.25,
            counts={"the length of axis 1, 2": 2, "the length of axis 2, 3": 3},
        ),
    ]


class _Check:
    def __init__(self, calls: Callable[[Context], list[_Call]]) -> None:
        self.calls = calls

    def __call__(self, context: Context) -> None:
        for call in self.calls(context):
            _judge(context, call)


def _judge(context: Context, call: _Call) -> None:
    """Raise where the weights of a call are those of another scale."""
    lib, dtype = context.subject.library, context.dtype

    def array(value: Any, kind: str | None = dtype) -> Any:
        return lib.asarray(value, kind) if isinstance(value, np.ndarray) else value

    arguments = {
        "x": array(call.x),
        "where": array(call.where, None),
        "s": array(call.s),
        "b": array(call.b),
        "n": array(call.n, None),
    }
    result = context.subject.weights(context.variant, arguments, axis=call.axis)
    y = call.lines_of(context.read(result, call.x.shape, "the result"))
    got, allowed = _read_back(context, call, y)
    s, b, n = call.numbers
    exact = [_scale(*one) for one in zip(s.tolist(), b.tolist(), n.tolist(), strict=True)]
    off = np.asarray([abs(float(c - right)) for c, right in zip(got, exact, strict=True)])
    if (off <= allowed).all():
        return
    row = int(np.argmax(off / allowed))
    read = np.asarray([float(c) for c in got])
    which = _recognized(call, read, allowed)
    said = f"the weights are those of c = {which}" if which else "the weights have another scale"
    msg = (
        f"{call.what}: {said}. In row {row}, s = {s[row]:g}, b = {b[row]:g}, n = {n[row]:g}: "
        f"c is {read[row]:.9g}, wants s ln n + b = {float(exact[row]):.9g}"
    )
    raise Fault(msg, "\n".join(_lines(context, call)))


def _scale(s: float, b: float, n: float) -> Any:
    with mpmath.workprec(120):
        return mpmath.mpf(s) * mpmath.log(n) + mpmath.mpf(b)


def _read_back(context: Context, call: _Call, y: Floats) -> tuple[list[Any], Floats]:
    """Return the scale of every row, and how far the claim lets it be off."""
    x, present = call.lines_of(call.x), call.lines_of(call.present)
    scales, allowed = [], []
    for row in range(len(x)):
        high = int(np.where(present[row], x[row], -np.inf).argmax())
        low = int(np.where(present[row], x[row], np.inf).argmin())
        pair = y[row, [high, low]]
        if not ((pair > 0) & np.isfinite(pair)).all():
            msg = f"{call.what}: row {row} has weights {pair.tolist()}, which no scale gives"
            raise Fault(msg, "\n".join(_lines(context, call)))
        distance = x[row, high] - x[row, low]
        with mpmath.workprec(120):
            ratio = mpmath.mpf(pair[0]) / mpmath.mpf(pair[1])
            scales.append(mpmath.log(ratio) / mpmath.mpf(distance))
        errors = _relative_errors(context, call, row, x[row], present[row], [high, low])
        allowed.append(-np.log1p(-np.minimum(errors, 0.9)).sum() / distance)
    return scales, np.asarray(allowed)


def _relative_errors(
    context: Context, call: _Call, row: int, x: Floats, present: Bools, entries: list[int]
) -> Floats:
    """Return the relative errors that the claim allows the weights of two entries."""
    fmt, claim = context.fmt, context.claim
    if isinstance(claim.stated, str) and claim.stated == "bounded":
        s, b, n = (float(numbers[row]) for numbers in call.numbers)
        where = tuple(present.tolist())
        bound = relative_bound(Row("ssmax", tuple(x.tolist()), where, s, b, n), fmt)
        return np.asarray([bound[i] for i in entries])
    # Half an ULP is at most u of the value.
    ulps = _ULPS[claim.stated] if isinstance(claim.stated, str) else claim.stated
    return np.full(2, 2.0 * ulps * fmt.unit_roundoff)


def _recognized(call: _Call, read: Floats, allowed: Floats) -> str:
    """Return which wrong scale it is, the nearest of those that are near in every row, or ""."""
    best, found = math.inf, ""
    for text, wrong in _wrong_scales(call):
        off = float((np.abs(read - wrong) / (4.0 * allowed + 1e-14 * np.abs(wrong))).max())
        if off <= 1.0 and off < best:
            best, found = off, text
    return found


def _wrong_scales(call: _Call) -> Iterator[tuple[str, Floats]]:
    s, b, n = call.numbers
    ln = np.log(n)
    yield "s log2(n) + b, with the logarithm to base 2", s * np.log2(n) + b
    yield "s log10(n) + b, with the logarithm to base 10", s * np.log10(n) + b
    for text, count in call.counts.items():
        yield f"s ln(n) + b with n {text}", s * np.log(call.by_row(count)) + b
    yield "s ln(n + 1) + b: n is one too large", s * np.log(n + 1) + b
    with np.errstate(divide="ignore", invalid="ignore"):
        yield "s ln(n - 1) + b: n is one too small", s * np.log(n - 1) + b
    for name in ("float16", "bfloat16", "float32"):
        fmt = FORMATS[name]
        rounded = np.asarray([fmt.round(v) for v in ln.tolist()])
        yield f"s ln(n) + b with ln(n) rounded to {name}", s * rounded + b
        whole = np.asarray([fmt.round(v) for v in (s * ln + b).tolist()])
        yield f"s ln(n) + b rounded to {name}", whole
    yield "s + b: the factor ln n is missing", s + b
    yield "s n + b: the logarithm is missing", s * n + b
    yield "ln(n) + b: s is ignored", ln + b
    yield "s ln(n): b is ignored", s * ln
    yield "b: s ln(n) is missing", b
    for name, given in (("s", call.s), ("b", call.b)):
        if np.size(given) > 1:
            for text, other in _other_rows(np.ravel(given), len(s)):
                wrong = other * ln + b if name == "s" else s * ln + other
                yield f"s ln(n) + b with {name} {text}", wrong


def _other_rows(given: Floats, rows: int) -> Iterator[tuple[str, Floats]]:
    yield "of another row: repeated along the wrong axis", np.resize(given, rows)
    blocks = np.repeat(given, -(-rows // len(given)))[:rows]
    yield "of another row: repeated along the wrong axis", blocks
    yield "of the first row everywhere", np.full(rows, given[0])
    yield "of the last row everywhere", np.full(rows, given[-1])
    yield "averaged over the rows", np.full(rows, given.mean())


def _lines(context: Context, call: _Call) -> list[str]:
    """Return lines to paste that make the call."""
    lib, dtype = context.subject.library, context.dtype

    def source(value: Any, kind: str | None) -> str:
        if not isinstance(value, np.ndarray):
            return repr(value)
        values = str(value.tolist()).replace("-inf", '-float("inf")')
        return lib.literal(values, kind)

    counts = call.n.dtype.name if isinstance(call.n, np.ndarray) else None
    return [
        f"import {lib.namespace.__name__} as xp, {context.subject.module.__name__} as backend",
        f"x = {source(call.x, dtype)}",
        f"where = {source(call.where, None)}",
        f"s, b, n = {source(call.s, dtype)}, {source(call.b, dtype)}, {source(call.n, counts)}",
        f"result = backend.ssmax(x, s, b, n=n, axis={call.axis}, where=where, out=None)",
    ]
