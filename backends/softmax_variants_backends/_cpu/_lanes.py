"""Conditions on numbers, or lane by lane on vectors: one source for a row and for rows in lanes.

Both get the same operations, and so the same bits. Where an operand is a vector, a number stands in
all lanes; conditions are booleans or masks, not both.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, disallow-any-decorated=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba.extending import overload

from ._functions import INLINED
from ._intrinsics import (
    absolute,
    both_masks,
    doubles,
    either_mask,
    equal,
    full,
    less,
    masks,
    opposite_mask,
    select,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["below", "both", "chosen", "either", "like", "opposite", "same", "size_of_number"]


def _compiled(stub: Callable[..., Any]) -> Any:
    return overload(stub, jit_options=INLINED)


def like(_value, _number):
    """Return a number, in all lanes if the value is a vector."""
    raise NotImplementedError


@_compiled(like)
def _like(_value, _number):
    if _value == doubles and _number != doubles:
        return lambda _value, _number: full(_number)
    return lambda _value, _number: _number


def same(_a, _b):
    """Whether a = b."""
    raise NotImplementedError


@_compiled(same)
def _same(_a, _b):
    if doubles in (_a, _b):
        return lambda _a, _b: equal(like(_b, _a), like(_a, _b))
    return lambda _a, _b: _a == _b


def below(_a, _b):
    """Whether a < b."""
    raise NotImplementedError


@_compiled(below)
def _below(_a, _b):
    if doubles in (_a, _b):
        return lambda _a, _b: less(like(_b, _a), like(_a, _b))
    return lambda _a, _b: _a < _b


def both(_p, _q):
    """Whether two conditions hold."""
    raise NotImplementedError


@_compiled(both)
def _both(_p, _q):
    if _p == masks:
        return lambda _p, _q: both_masks(_p, _q)
    return lambda _p, _q: _p and _q


def either(_p, _q):
    """Whether one of two conditions holds."""
    raise NotImplementedError


@_compiled(either)
def _either(_p, _q):
    if _p == masks:
        return lambda _p, _q: either_mask(_p, _q)
    return lambda _p, _q: _p or _q


def opposite(_p):
    """Whether a condition does not hold."""
    raise NotImplementedError


@_compiled(opposite)
def _opposite(_p):
    if _p == masks:
        return lambda _p: opposite_mask(_p)
    return lambda _p: not _p


def chosen(_where, _a, _b):
    """Return a where a condition holds, else b."""
    raise NotImplementedError


@_compiled(chosen)
def _chosen(_where, _a, _b):
    if _where == masks:
        # Of two numbers, too.
        if doubles not in (_a, _b):
            return lambda _where, _a, _b: select(_where, full(_a), full(_b))
        return lambda _where, _a, _b: select(_where, like(_b, _a), like(_a, _b))
    return lambda _where, _a, _b: _a if _where else _b


def size_of_number(_a):
    """Return |a|."""
    raise NotImplementedError


@_compiled(size_of_number)
def _size_of_number(_a):
    if _a == doubles:
        return lambda _a: absolute(_a)
    return lambda _a: abs(_a)
