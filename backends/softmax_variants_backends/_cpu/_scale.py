"""SSMax's scale c = s ln n + b of each row, where s or b is an integer that no float equals.

Kernels take s and b as doubles. To round such an integer would not do: c may be all that is left of
two terms that cancel. So the array-API numerics evaluate c here, in two words, and the kernels are
given it instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import array_api_compat.numpy as xp
import numpy as np

from softmax_variants_backends.array_api._parameters import ssmax_scale
from softmax_variants_backends.array_api._working import working_for

if TYPE_CHECKING:
    import numpy.typing as npt

    from ._arrays import Arrays

__all__ = ["scale_of_rows"]


def scale_of_rows(
    arrays: Arrays, axis: int, x: Any, s: Any, b: Any, n: Any, where: Any
) -> npt.NDArray[np.float64] | None:
    """Return c, rounded to one double, shaped as x with ``axis`` of length 1 or less.

    None for logits of binary64, whose kernels need both words of it. Those of narrower formats take
    no more of any c than this: its error of 2**-53 moves an exponent that is not beyond exp's range
    in these formats, of at most 2**7, by 2**-46, and a weight by less than 2**-21 ULP.
    """

    def to_numpy(value: Any) -> Any:
        kept = value is None or isinstance(value, (int, float))
        return value if kept else arrays.to_numpy(value)

    logits, mask = to_numpy(x), to_numpy(where)
    if logits.dtype == np.float64:
        return None
    present = logits != -np.inf
    if mask is not None:
        present &= mask
    count = np.count_nonzero(present, axis=axis, keepdims=True)
    with np.errstate(all="ignore"):
        scale = ssmax_scale(
            *(to_numpy(value) for value in (s, b, n)),
            count=count,
            like=count.astype(np.float64),
            working=working_for(xp, "cpu", np.dtype(np.float32)),
        )
    return np.where(scale.invalid, np.nan, scale.c[0])
