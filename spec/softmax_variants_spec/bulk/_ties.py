"""Weights that no error bound decides: a known number, changed by next to nothing to a known side.

Where k entries share the largest c·x and the others add up to T, their weights are
y = (r/k)(1 − T/(k + T)). One-hot rows have T < 2^-90: |y| is below r/k, be that a power of two or a
midpoint, by less than double words resolve, yet certainly below. Rows of equal entries have T = 0.

Where all N exponents z are tiny, as at subnormal logits, Σ_j e^(z_j − z_i) = N + E_i and
y_i = (r_i/N)(1 − E_i/(N + E_i)) with E_i = Σ_j (z_j − z_i) + θ Σ_j (z_j − z_i)², 0 ≤ θ ≤ 1.
"""

import numpy as np

from softmax_variants_spec.bulk._rounding import Decision, Flags, Index, decide
from softmax_variants_spec.bulk._rows import Rows
from softmax_variants_spec.bulk._twofold import Array, Pair, two_prod
from softmax_variants_spec.formats import Format

# Changes up to this stay far from the next midpoint (2^-54 away) and leave the residual to 2^-23.
_NEGLIGIBLE = 2.0**-76


def settle(rows: Rows, fmt: Format, open_: Flags) -> tuple[Index, Decision]:
    """Settle what is open, as far as exact neighbours allow.

    Parameters
    ----------
    rows : Rows
        The evaluated block.
    fmt : Format
        The format to round to.
    open_ : bool array
        The entries to settle; their gates are not 0.

    Returns
    -------
    index : pair of integer arrays
        The entries that were tried: those whose weight has a neighbour as above.
    decision : Decision
        Their rounding; it may still be open.
    """
    uniform = rows.uniform[:, 0]
    tops = rows.tops[:, 0]
    present = rows.present[:, 0]
    # T/k to 2^-88: the denominator is right to 2^-90 of itself, and k ≤ denominator.
    rest = (rows.denominator[0][:, 0] - tops) + rows.denominator[1][:, 0]
    change_top = np.where(uniform, 0.0, np.abs(rest) / tops + 2.0**-88)
    widest = np.max(np.abs(rows.difference), axis=-1)
    sums = np.sum(rows.difference, axis=-1)
    scale = rows.scale[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        reach = np.abs(scale) * widest
        # E_i/(N + E_i) is below 2·reach. The sign of Σ_j (x_j − x_i) in one word: every difference
        # and every sum of N terms below D = widest errs by u·N·D at most, N(x_i − v) by 2u·N·D:
        # together below (N² + 4N)u·D, doubled here. (Subnormal sums have no errors, so that it may
        # underflow.) The squares: N|c|D², times 8 for the roundings.
        noise = (present * present + 4 * present) * widest * 2.0**-52 + 8 * present * reach * widest
        change_flat = 4.0 * reach + 2.0**-200

    line, column = np.nonzero(open_)
    total = sums[line] - present[line] * rows.difference[line, column]
    flat = (np.abs(total) > noise[line]) & ~uniform[line]
    change = np.where(flat, change_flat[line], np.inf)
    better = rows.top[line, column] & (change_top[line] < change)
    change = np.where(better, change_top[line], change)
    direction = np.where(better, -1.0, -np.sign(total) * np.sign(scale[line]))
    direction = np.where(uniform[line], 0.0, direction)

    gate = (rows.gate[0][line, column], rows.gate[1][line, column])
    base, base_exact = _quotient(gate, np.where(better, tops[line], present[line]))
    usable = (change <= _NEGLIGIBLE) & base_exact & rows.gate_exact[line, column]
    line, column = line[usable], column[usable]
    decision = decide(
        (base[0][usable], base[1][usable]),
        rows.gate_exponent[line, column],
        fmt,
        error=change[usable],
        direction=direction[usable].astype(np.int32),
    )
    return (line, column), decision


def _quotient(gate: Pair, count: Array) -> tuple[Pair, Flags]:
    """Return gate / count, and where that is a double word with no error."""
    mantissa, _ = np.frexp(count)
    high, low = gate[0] / count, gate[1] / count
    # A power of two divides both words exactly; another count perhaps a gate of one word.
    product, error = two_prod(high, count)
    divides = (product == gate[0]) & (error == 0) & (gate[1] == 0)
    return (high, low), (mantissa == 0.5) | divides
