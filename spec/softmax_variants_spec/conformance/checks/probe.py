"""Probes of what compilers and devices do unasked: flush, contract, reassociate.

Each compares what is found with what the backend declares or claims, on rows whose exact results
are known without a reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np

from softmax_variants_spec.conformance.blocks import Block, to_format
from softmax_variants_spec.conformance.context import Context, Entry, Fault
from softmax_variants_spec.conformance.repro import call_lines
from softmax_variants_spec.formats import FORMATS

from .samples import error_over_allowed

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.blocks import Floats
    from softmax_variants_spec.conformance.variants import Variant
    from softmax_variants_spec.formats import Format

__all__ = ["entries"]


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return the probes."""
    del smoke, variant
    return [
        Entry("probe", "overflow", _overflow),
        Entry("probe", "flushing", _flushing),
        Entry("probe", "contraction", _contraction),
        Entry("probe", "reassociation", _reassociation),
    ]


def _softmax_like(context: Context, x: Any, dy: Any = None) -> Block:
    """Return a block whose scale c is 1 in SSMax as well."""
    logits = to_format(x, context.fmt)
    cotangent = np.zeros_like(logits) if dy is None else np.asarray(dy, np.float64)
    return Block(logits, cotangent, s=0.0, b=1.0)


# Overflow


def _overflow(context: Context) -> None:
    """Look for exponentials of the logits themselves, which overflow where a format ends."""
    for name in ("float16", "float32", "float64"):  # bfloat16 ends where float32 does
        end = math.log(FORMATS[name].max)
        if 1.02 * end > context.fmt.max:
            continue
        if _bad_rows(context, [_nearest(0.98 * end, context)], s=0.0):
            return  # something else is wrong with logits of that size, which other entries tell
        bad = _bad_rows(context, [_nearest(1.02 * end, context)], s=0.0)
        if bad:
            block, y = bad[0]
            msg = (
                f"two logits {block.x[0, 0]:.6g} and a 0 have weights {y.tolist()}, and it is "
                f"right below {end:.4g}, from where exp overflows in {name}: the largest "
                "logit is not subtracted before the exponential"
            )
            raise Fault(msg, "\n".join(call_lines(context, block, "", 0)))


def _nearest(value: float, context: Context) -> float:
    return float(to_format(value, context.fmt))


# Flushing


@dataclass(frozen=True)
class _Flush:
    """A subnormal number that came out as 0 or as the smallest normal one."""

    what: str
    got: float
    exact: float
    block: Block
    vjp: bool


def _flushing(context: Context) -> None:
    declared = context.flushes_subnormals
    found = _flushed(context)
    if found is not None and not declared:
        msg = (
            f"{found.what} is {found.got:.6g} where {found.exact:.6g} is exact: the backend "
            "flushes subnormal numbers and does not declare FLUSHES_SUBNORMALS = True"
        )
        raise Fault(msg, "\n".join(call_lines(context, found.block, "", 0, vjp=found.vjp)))
    if declared and found is None and not _flushes_anywhere(context):
        msg = (
            "the backend declares FLUSHES_SUBNORMALS = True, but flushes nothing: subnormal "
            "weights and gradients come out as they are, in every dtype"
        )
        raise Fault(msg)


def _flushes_anywhere(context: Context) -> bool:
    """Return whether the variant flushes in another dtype: the declaration is for all of them."""
    others = (FORMATS[dtype] for dtype in context.subject.formats() if dtype != context.dtype)
    return any(
        _flushed(Context(context.subject, context.variant, fmt, smoke=context.smoke)) is not None
        for fmt in others
    )


def _flushed(context: Context) -> _Flush | None:
    fmt, form = context.fmt, context.variant.form
    distance = _distance_of_subnormal(fmt, form)
    x = to_format(np.asarray([[0.0, -distance, -2.0 * distance]]), fmt)
    block = _softmax_like(context, x)
    weight = float(context.weights(block)[0, 1])
    with mpmath.workprec(100):
        e = [mpmath.exp(v) for v in x[0].tolist()]
        exact = float(_gate(form, x[0].tolist()) * e[1] / sum(e))
    if weight == 0 or abs(weight) == fmt.min_normal:
        return _Flush("a subnormal weight", weight, exact, block, vjp=False)
    if form in {"minmax", "normalized"}:
        # p = 1/3, and the gates 0, 1/2, 1 are those of any equidistant logits.
        tiny = 2.0 * fmt.min_subnormal
        block = _softmax_like(context, [[0.0, tiny, 2.0 * tiny]])
        weight = float(context.weights(block)[0, 2])
        if weight == 0:
            return _Flush("the weight of a subnormal logit", weight, 1 / 3, block, vjp=False)
    if form is None:
        # p = 1/3: dx_0 = p (dy_0 - mean dy) = 2/9 dy_0.
        dy = fmt.min_normal / 2.0
        block = _softmax_like(context, [[0.0, 0.0, 0.0]], [[dy, 0.0, 0.0]])
        gradient = float(context.gradients(block)[0][0, 0])
        if gradient == 0 or gradient == fmt.min_normal:
            return _Flush("a subnormal gradient", gradient, 2 / 9 * dy, block, vjp=True)
    return None


def _gate(form: str | None, x: list[float]) -> float:
    """Return the gate of the middle one of three equidistant logits, from 0 downwards."""
    gates = {None: 1.0, "plain": x[1], "shifted": x[1] - x[2], "minmax": 0.5, "normalized": 0.5}
    return gates[form]


def _distance_of_subnormal(fmt: Format, form: str | None) -> float:
    """Return the distance at which the weight is about a seventh of the smallest normal number."""
    below = 2.0 - math.log(fmt.min_normal)
    # The gates of plain and shifted are of the size of the distance.
    return below + math.log(below) if form in {"plain", "shifted"} else below


# Contraction


def _contraction(context: Context) -> None:
    """Look for c x - fl(c M) in one operation, which is what c M was rounded by at the maximum.

    All weights of a row get the same factor, which the division takes out again until it
    overflows or underflows. Where M is a power of two the product is exact.
    """
    if _bad_rows(context, _tops(context.fmt, 1.0), s=1.0):
        return  # something else is wrong with large logits, which other entries tell
    bad = _bad_rows(context, _tops(context.fmt, 1.7), s=1.0)
    if bad:
        block, y = bad[0]
        msg = (
            f"two logits {block.x[0, 0]:.6g} and a 0 have weights {y.tolist()}, and it is right "
            "where they are powers of two: c x - c M is not 0 at the maximum M, as when a "
            "compiler contracts it to one fused multiply-add of the rounded c M"
        )
        raise Fault(msg, "\n".join(call_lines(context, block, "", 0)))


def _tops(fmt: Format, mantissa: float) -> list[float]:
    # From where the weight of a 0 underflows.
    exponents = range(math.ceil(math.log2(fmt.precision)) + 6, fmt.emax - 1)
    step = max(1, len(exponents) // 24)
    return [float(to_format(mantissa * 2.0**k, fmt)) for k in exponents[::step]]


def _bad_rows(context: Context, tops: list[float], *, s: float) -> list[tuple[Block, Floats]]:
    """Return the rows (M, M, 0) whose probabilities are not (1/2, 1/2, 0), with their weights.

    The scale of SSMax is 1 where s is 0, and ln 3, of more bits than any format has, where it is 1.
    """
    x = np.asarray([[top, top, 0.0] for top in tops])
    block = Block(x, np.zeros_like(x), s=s, b=1.0 - s)
    y = context.weights(block)
    gate = x[:, :1] if context.variant.form in {"plain", "shifted"} else 1.0
    right = (np.abs(2.0 * y[:, :2] / gate - 1.0) < 0.25).all(axis=1) & (np.abs(y[:, 2]) < 1e-3)
    return [(block.take(slice(i, i + 1)), y[i]) for i in np.flatnonzero(~right)]


# Reassociation


def _reassociation(context: Context) -> None:
    """Look for a sum that loses small terms: narrow and sequential, or its compensation erased."""
    fmt, count = context.fmt, 39 if context.smoke else 399
    below = math.log(2) * fmt.precision + np.linspace(0.02, 0.3, count)
    row = np.concatenate([[0.0], -below])
    block = _softmax_like(context, [1.0 + row, 1.0 + row[::-1]])
    errors = error_over_allowed(context, block, context.weights(block))
    if (errors <= 1.0).all():
        return
    y = context.weights(block)
    first, last = float(y[0, 0]), float(y[1, -1])
    gate = 1.0 if context.variant.form != "shifted" else float(np.ptp(block.x[0]))
    total = math.fsum(np.exp(block.x[0] - 1.0).tolist())
    lost = [abs(v / gate - 1.0) < 0.25 * (total - 1.0) for v in (first, last)]
    if not any(lost):
        return  # wrong, but not for terms that are lost
    where = "in any order" if all(lost) else "one by one from the large one on"
    msg = (
        f"a row whose exponentials are 1 and {count} just below 2**-{fmt.precision}, half an ULP "
        f"of 1 in {fmt.name}, has the largest probability {(first if lost[0] else last) / gate!r}"
        f", as if they summed to 1 ({where}); the sum is {total!r}: it is too narrow for the "
        "claim, or its compensation is optimized away"
    )
    if count < 40:
        lines = call_lines(context, block.take(slice(0, 1)), "", 0)
    else:
        last = float(block.x[0, -1])
        lines = [f"# x = 1 and {count} evenly spaced from {float(block.x[0, 1])!r} to {last!r}"]
    raise Fault(msg, "\n".join(lines))
