"""SSMax's s, b and n as the kernels take them: binary64 in memory, or numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from softmax_variants_backends._axes import Layout
from softmax_variants_backends._numbers import exact_float, log_words

from ._address import address_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt

    from ._arrays import Arrays

    Words = npt.NDArray[np.float64]

__all__ = ["NO_PARAMETERS", "Parameters", "read_parameters"]


class Parameters(NamedTuple):
    """Arrays of the words of s, b and n (None for numbers), and numbers (0 for arrays)."""

    arrays: tuple[Words | None, Words | None, Words | None]
    n_low: Words | None
    s: float
    b: float
    log_n: tuple[float, float] | None
    """None if n is counted."""
    kinds: Hashable = None
    """What identifies the layouts."""
    addresses: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Of the arrays of s, b, n and n's low word; 0 for none."""

    def packed(self, rows: tuple[int, ...]) -> Parameters:
        """Return parameters of which each row has its own, in C order; ``rows`` is their shape."""
        s, b, n, n_low = (
            None if own is None else np.array(np.broadcast_to(own, rows), order="C", copy=True)
            for own in (*self.arrays, self.n_low)
        )
        return _located(self._replace(arrays=(s, b, n), n_low=n_low))

    def layouts(self) -> tuple[Layout | None, ...]:
        """Return the layouts of the arrays."""
        return tuple(
            None
            if own is None
            else Layout(own.shape, tuple(k // 8 for k in own.strides), "float64")
            for own in self.arrays
        )


NO_PARAMETERS = Parameters((None, None, None), None, 0.0, 0.0, (0.0, 0.0))


def read_parameters(arrays: Arrays, s: Any, b: Any, n: Any) -> Parameters | None:
    """Return s, b and n for the kernels, None if one is an integer that no float equals."""
    words: list[Words | None] = [None, None, None]
    numbers = [0.0, 0.0]
    for k, value in enumerate((s, b)):
        if isinstance(value, (int, float)):
            number = exact_float(value)
            if number is None:
                return None
            numbers[k] = number
        else:
            words[k] = _binary64(arrays.to_numpy(value))
    n_low = None
    log_n: tuple[float, float] | None = None
    if isinstance(n, (int, float)):
        log_n = log_words(n)
    elif n is not None:
        log_n = (0.0, 0.0)
        words[2], n_low = _count_words(arrays.to_numpy(n))
    s_words, b_words, n_words = words
    return _located(Parameters((s_words, b_words, n_words), n_low, numbers[0], numbers[1], log_n))


def _located(parameters: Parameters) -> Parameters:
    s, b, n = parameters.arrays
    kinds = tuple(None if own is None else (own.shape, own.strides) for own in (s, b, n))
    addresses = _address(s), _address(b), _address(n), _address(parameters.n_low)
    return parameters._replace(kinds=(*kinds, parameters.log_n is None), addresses=addresses)


def _binary64(array: npt.NDArray[Any]) -> Words:
    """Return an array as binary64, of which addresses and strides are multiples of 8."""
    if array.dtype == np.float64 and array.flags.aligned:
        return array
    return array.astype(np.float64)


def _count_words(n: npt.NDArray[Any]) -> tuple[Words, Words | None]:
    """Return n in two words, the second None if it is 0: exactly, for integers of any size."""
    if n.dtype.kind == "f" or n.itemsize < 8:
        return _binary64(n), None
    # Two halves of 32 bits are binary64 each. Their sum is rounded; what it lost is exact, since
    # the upper half is the larger one, or 0.
    upper = (n >> 32).astype(np.float64) * 2.0**32
    lower = (n & 0xFFFFFFFF).astype(np.float64)
    high = upper + lower
    low = lower - (high - upper)
    # Of arrays without dimensions, NumPy's operations make scalars, which have no address.
    return np.asarray(high), np.asarray(low) if low.any() else None


def _address(array: Words | None) -> int:
    return 0 if array is None else address_of(array)
