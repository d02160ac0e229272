"""Arithmetic on numbers held in one word or in an unevaluated sum of two words.

A number is a tuple of arrays of one floating type: ``(value,)`` or ``(high, low)`` with
``high`` the rounding of ``high + low``. With two words every operation has a relative error of a
few units of 2**-2p (p the precision of the type): Joldes, Muller and Popescu, "Tight and rigorous
error bounds for basic building blocks of double-word arithmetic", ACM TOMS 44(2), 2017. Only
additions, subtractions, multiplications and divisions are used, which the array API standard
requires to be rounded as IEEE 754 says; so results have the same bits for every memory layout.
Nothing here may be contracted (fused multiply-add) or reassociated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Array",
    "Number",
    "add",
    "divide",
    "each",
    "multiply",
    "negate",
    "scale",
    "subtract",
    "tree_sum",
    "two_difference",
    "two_sum",
]

Array: TypeAlias = Any
Number: TypeAlias = tuple[Array, ...]


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the rounded sum and its exact rounding error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_difference(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the rounded difference and its exact rounding error."""
    return two_sum(a, -b)


def _fast_two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the rounded sum and its exact error, where |a| >= |b| or a is 0 (Dekker)."""
    total = a + b
    return total, b - (total - a)


def split(a: Array, splitter: float) -> tuple[Array, Array]:
    """Return two halves of at most p/2 bits each, whose products are exact (Veltkamp)."""
    lifted = a * splitter
    high = lifted - (lifted - a)
    return high, a - high


def two_product(a: Array, b: Array, splitter: float) -> tuple[Array, Array]:
    """Return the rounded product and its exact rounding error (Dekker); no fma is needed."""
    return product_of_halves(a, split(a, splitter), b, split(b, splitter))


def product_of_halves(
    a: Array, halves_a: tuple[Array, Array], b: Array, halves_b: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Return the rounded product and its exact error, given the halves of both factors."""
    (ah, al), (bh, bl) = halves_a, halves_b
    product = a * b
    return product, ((ah * bh - product) + ah * bl + al * bh) + al * bl


def add(a: Number, b: Number) -> Number:
    """Return a + b; relative error at most 3 * 2**-2p also under cancellation."""
    if len(a) == 1:
        return (a[0] + b[0],)
    high, low = two_sum(a[0], b[0])
    high2, low2 = two_sum(a[1], b[1])
    high, low = _fast_two_sum(high, low + high2)
    return _fast_two_sum(high, low + low2)


def negate(a: Number) -> Number:
    """Return -a."""
    return tuple(-word for word in a)


def subtract(a: Number, b: Number) -> Number:
    """Return a - b."""
    return add(a, negate(b))


def multiply(a: Number, b: Number, splitter: float) -> Number:
    """Return a * b; relative error at most 7 * 2**-2p."""
    if len(a) == 1:
        return (a[0] * b[0],)
    high, low = two_product(a[0], b[0], splitter)
    return _fast_two_sum(high, low + (a[0] * b[1] + a[1] * b[0]))


def divide(a: Number, b: Number, splitter: float) -> Number:
    """Return a / b; relative error at most 15 * 2**-2p; a / a is exactly 1."""
    if len(a) == 1:
        return (a[0] / b[0],)
    quotient = a[0] / b[0]
    product, error = two_product(quotient, b[0], splitter)
    # a[0] - product is exact: the two agree in their leading bits.
    remainder = ((a[0] - product) - error) + (a[1] - quotient * b[1])
    return _fast_two_sum(quotient, remainder / b[0])


def scale(a: Number, power: Array) -> Number:
    """Return a times a power of two: exact, but for underflow."""
    return tuple(word * power for word in a)


def each(function: Callable[[Array], Array], a: Number) -> Number:
    """Return the number with ``function`` applied to each word."""
    return tuple(function(word) for word in a)


def tree_sum(xp: Any, a: Number, axis: int) -> Number:
    """Return the sum along ``axis``, kept at length 1, by halving.

    Entry i is added to entry i + ceil(n/2) until one is left: the tree is a function of the
    length only, so a row has the same sum in any batch, at any position and for any layout
    (library sums do not promise that). The error grows with log2(n).
    """
    length = a[0].shape[axis]
    while length > 1:
        half = (length + 1) // 2
        total = add(_part(a, axis, 0, length - half), _part(a, axis, half, length))
        if length % 2:
            middle = _part(a, axis, half - 1, half)
            total = tuple(xp.concat([t, m], axis=axis) for t, m in zip(total, middle, strict=True))
        a, length = total, half
    return a


def _part(a: Number, axis: int, start: int, stop: int) -> Number:
    """Return the entries from start to stop along an axis."""
    index = (*(slice(None),) * axis, slice(start, stop), ...)
    return tuple(word[index] for word in a)
