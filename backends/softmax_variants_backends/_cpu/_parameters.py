"""SSMax's s, b and n as the kernels take them: binary64 in memory, or numbers."""

from __future__ import annotations

from functools import lru_cache
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

__all__ = ["NO_PARAMETERS", "Parameters", "combined_parameters", "read_parameters"]


class Parameters(NamedTuple):
    """Arrays of the words of s, b and n (None for numbers), and numbers (0 for arrays)."""

    arrays: tuple[Words | None, Words | None, Words | None]
    n_low: Words | None
    s: float
    b: float
    log_n: tuple[float, float] | None
    """None if n is counted."""
    kinds: Hashable = None
    """What identifies the layouts; None for no arrays, and n counted."""
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


_NO_ARRAYS = (None, None, None)
_N_IS_A_NUMBER = "n"

NO_PARAMETERS = Parameters(_NO_ARRAYS, None, 0.0, 0.0, (0.0, 0.0))


def read_parameters(arrays: Arrays, s: Any, b: Any, n: Any) -> Parameters | None:
    """Return s, b and n for the kernels, None if s or b is an integer that no float equals."""
    if type(s) is type(b) is float and (n is None or isinstance(n, (int, float))):
        return _of_floats(s, b, n)
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
    return _with_count(arrays, n, words, numbers)


@lru_cache(maxsize=256)
def _of_floats(s: float, b: float, n: float | None) -> Parameters:
    """Return parameters that are numbers: mostly those of the last call."""
    if n is None:
        return Parameters(_NO_ARRAYS, None, s, b, None)
    return Parameters(_NO_ARRAYS, None, s, b, log_words(n), _N_IS_A_NUMBER)


def combined_parameters(arrays: Arrays, scale: Words, n: Any) -> Parameters:
    """Return parameters with which the scale c of each row is what it is given as.

    They are s = 0 and b = c; n remains, for ds.
    """
    return _with_count(arrays, n, [None, scale, None], [0.0, 0.0])


def _with_count(
    arrays: Arrays, n: Any, words: list[Words | None], numbers: list[float]
) -> Parameters:
    n_low = None
    log_n: tuple[float, float] | None = None
    if isinstance(n, (int, float)):
        log_n = log_words(n)
    elif n is not None:
        log_n = (0.0, 0.0)
        words[2], n_low = _count_words(arrays.to_numpy(n))
    s_words, b_words, n_words = words
    s, b = numbers
    return _located(Parameters((s_words, b_words, n_words), n_low, s, b, log_n))


def _located(parameters: Parameters) -> Parameters:
    arrays, n_low = parameters.arrays, parameters.n_low
    kinds = tuple([None if own is None else (own.shape, own.strides) for own in arrays])
    s, b, n, n_low_at = [0 if own is None else address_of(own) for own in (*arrays, n_low)]
    return parameters._replace(
        kinds=(kinds, parameters.log_n is None), addresses=(s, b, n, n_low_at)
    )


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
