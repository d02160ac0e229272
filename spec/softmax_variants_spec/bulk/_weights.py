"""Blocks of rows: evaluated, rounded, settled, and what is left handed to the exact reference."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softmax_variants_spec import exact
from softmax_variants_spec.bulk._arguments import Number, Parameter, check, column
from softmax_variants_spec.bulk._rounding import Decision, Flags, decide
from softmax_variants_spec.bulk._rows import ERROR, evaluate
from softmax_variants_spec.bulk._scale import scale_words
from softmax_variants_spec.bulk._ties import settle
from softmax_variants_spec.bulk._twofold import Array, Pair
from softmax_variants_spec.formats import Format

# A block's arrays, 64 KiB each, stay in the cache of a core from one operation to the next.
_BLOCK = 8192
# Domain of the double words: no difference of logits overflows, c and its low word are normal.
_LARGEST_LOGIT = 2.0**1020
_SMALLEST_SCALE, _LARGEST_SCALE = 2.0**-900, 2.0**900


@dataclass(frozen=True)
class BulkWeights:
    """Correctly rounded weights of rows and how far the exact values lie from them.

    Attributes
    ----------
    rounded : float64 array, shape (rows, n)
        The exact weight rounded once to the format, to nearest, ties to even; ±∞ beyond its range,
        NaN in rows with non-finite logits or parameters.
    residual : float64 array, shape (rows, n)
        (exact − rounded) in ULP of the exact weight, in [-1/2, 1/2], right to 2^-20 and in its
        sign. In it, whatever lies beyond the range, infinities included, stands for ±2^(emax+1).
        Within the range it is 0 only where the weight is exact.
    ulp_exponent : int32 array, shape (rows, n)
        e such that the ULP of the exact weight is 2^e.
    exact : bool array, shape (rows, n)
        Whether the exact weight is representable in the format.
    undecided : int
        Number of entries that :func:`softmax_variants_spec.exact.weights` had to decide.
    """

    rounded: Array
    residual: Array
    ulp_exponent: npt.NDArray[np.int32]
    exact: npt.NDArray[np.bool_]
    undecided: int


def weights(
    function: str,
    x: Array,
    fmt: Format,
    *,
    where: npt.NDArray[np.bool_] | None = None,
    s: Parameter = 1.0,
    b: Parameter = 0.0,
    n: Parameter | None = None,
    form: str = "normalized",
) -> BulkWeights:
    r"""Return the correctly rounded weights of every row.

    .. math:: y_i = \frac{r_i\,e^{c x_i}}{\sum_{j \in \Omega} e^{c x_j}}

    with c = s ln n + b for SSMax and 1 otherwise, and the gate r of the form for SA-Softmax and 1
    otherwise, Ω the present entries of the row.

    Parameters
    ----------
    function : {"softmax", "ssmax", "sa_softmax"}
        The function.
    x : float64 array, shape (rows, n)
        The logits, taken as exact. -∞ is an absent entry.
    fmt : Format
        The format to round to.
    where : bool array, shape (rows, n), optional
        The present entries; all by default.
    s, b : float, int, or real array of shape (rows, 1)
        Parameters of SSMax; the other functions do not read them.
    n : float, int, or real array of shape (rows, 1), optional
        n of SSMax; by default the number of present entries of the row.
    form : {"normalized", "minmax", "shifted", "plain"}
        Form of SA-Softmax; the other functions do not read it.

    Returns
    -------
    BulkWeights
        Arrays of the shape of x.

    Raises
    ------
    ValueError
        If an argument has another type, shape or name than above.

    Notes
    -----
    Rows with present logits of magnitude 2^1020 and more or not finite, with a non-finite
    parameter, or with 0 < |c| < 2^-900 or |c| > 2^900, are evaluated by
    :func:`softmax_variants_spec.exact.weights`, at its speed.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_variants_spec import bulk
    >>> from softmax_variants_spec.formats import FORMATS
    >>> x = np.array([[1.0, 2.0, -1.0, 0.5]])  # n = 4: the weights are 16/89, 64/89, 1/89, 8/89
    >>> result = bulk.weights("ssmax", x, FORMATS["float16"])
    >>> [weight.hex() for weight in result.rounded[0, :2]]
    ['0x1.7040000000000p-3', '0x1.7040000000000p-1']
    >>> result.residual[0].round(3).tolist()
    [-0.281, -0.281, -0.281, -0.281]
    >>> result.undecided
    0
    """
    check(function, x, where, form)
    rows, length = x.shape
    present = x != -np.inf if where is None else where & (x != -np.inf)
    counts = np.count_nonzero(present, axis=-1)
    inside = np.all(~present | (np.abs(x) < _LARGEST_LOGIT), axis=-1)
    parameters: list[tuple[Number, Number, Number | None]] = [(1.0, 0.0, None)] * rows
    scale: Pair | None = None
    if function == "ssmax":
        numbers = counts.tolist() if n is None else column("n", n, rows)
        triples = list(zip(column("s", s, rows), column("b", b, rows), numbers, strict=True))
        parameters = list(triples)
        words = np.array([scale_words(*triple) for triple in triples]).reshape(rows, 2, 1)
        scale = (words[:, 0], words[:, 1])
        size = np.abs(words[:, 0, 0])
        inside &= (size == 0) | ((size >= _SMALLEST_SCALE) & (size <= _LARGEST_SCALE))

    # Absent entries and empty rows are exact zeros; present entries are open until decided.
    result = Decision(
        rounded=np.zeros(x.shape),
        residual=np.zeros(x.shape),
        ulp_exponent=np.full(x.shape, fmt.ulp_exponent(0), dtype=np.int32),
        exact=~present,
        open_=present.copy(),
    )
    index = np.flatnonzero(inside & (counts > 0))
    step = max(1, _BLOCK // max(length, 1))
    for start in range(0, index.size, step):
        block = index[start : start + step]
        block_scale = None if scale is None else (scale[0][block], scale[1][block])
        decision = _decide_block(function, form, x[block], present[block], block_scale, fmt)
        result.put(block, decision)

    undecided = int(np.count_nonzero(result.open_))
    for i in np.flatnonzero(result.open_.any(axis=-1)):
        logits, mask = tuple(x[i].tolist()), tuple(present[i].tolist())
        entries = exact.weights(exact.Row(function, logits, mask, *parameters[i], form), fmt)
        for j in np.flatnonzero(result.open_[i]):
            entry = entries[j]
            result.rounded[i, j] = entry.rounded
            result.residual[i, j] = entry.residual
            result.ulp_exponent[i, j] = entry.ulp_exponent
            result.exact[i, j] = entry.exact
    return BulkWeights(*result[:4], undecided=undecided)


def _decide_block(
    function: str, form: str, x: Array, present: Flags, scale: Pair | None, fmt: Format
) -> Decision:
    """Evaluate rows of the domain and round what can be decided without the exact reference."""
    rows = evaluate(function, form, x, present, scale)
    decision = decide(rows.value, rows.exponent, fmt, ERROR)
    decision.open_[rows.zero] = False
    if decision.open_.any():
        tried, settled = settle(rows, fmt, decision.open_)
        decision.put(tried, settled)
    if rows.zero.any():
        decision.rounded[rows.zero] = 0.0
        decision.residual[rows.zero] = 0.0
        decision.ulp_exponent[rows.zero] = fmt.ulp_exponent(0)
        decision.exact[rows.zero] = True
    return decision
