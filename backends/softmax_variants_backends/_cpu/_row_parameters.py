"""SSMax's s, b and n of a row."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from ._functions import called
from ._layout import FROM_ARRAY, N_FROM, PARAMETER_B, PARAMETER_N, PARAMETER_S
from ._memory import load_double
from ._offsets import field, offset_of

__all__ = ["parameters_of_row"]


@called
def parameters_of_row(layout, row, s, b, n, n_low, s_value, b_value, log_n, log_n_low):
    """Return s, b, and all that says what n is."""
    if s != 0:
        s_value = load_double(s + 8 * offset_of(layout, PARAMETER_S, row))
    if b != 0:
        b_value = load_double(b + 8 * offset_of(layout, PARAMETER_B, row))
    n_value, n_rest = 0.0, 0.0
    if field(layout, N_FROM) == FROM_ARRAY:
        offset = 8 * offset_of(layout, PARAMETER_N, row)
        n_value = load_double(n + offset)
        if n_low != 0:
            n_rest = load_double(n_low + offset)
    return s_value, b_value, field(layout, N_FROM), n_value, n_rest, log_n, log_n_low
