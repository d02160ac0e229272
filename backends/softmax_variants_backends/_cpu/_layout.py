"""What the kernels' integer arguments mean; see ``_kernels``."""

from __future__ import annotations

__all__ = [
    "AXES",
    "BAND_ROWS",
    "BFLOAT16",
    "BLOCK",
    "DETACH",
    "DY",
    "FIELDS",
    "FLOAT16",
    "FLOAT32",
    "FLOAT64",
    "FORM",
    "FROM_ARRAY",
    "FROM_COUNT",
    "FROM_NUMBER",
    "LENGTH",
    "MASK",
    "MINMAX",
    "NORMALIZED",
    "N_FROM",
    "OUT",
    "PARAMETER_B",
    "PARAMETER_N",
    "PARAMETER_S",
    "PLAIN",
    "RECORD",
    "ROWS",
    "SA_SOFTMAX",
    "SHIFTED",
    "SIZES",
    "SOFTMAX",
    "SSMAX",
    "STEPS",
    "STORAGES",
    "STRIDES",
    "TILE_ROWS",
    "X",
]

SOFTMAX, SSMAX, SA_SOFTMAX = 1, 2, 3
FLOAT16, BFLOAT16, FLOAT32, FLOAT64 = 0, 1, 2, 3
STORAGES = {"float16": FLOAT16, "bfloat16": BFLOAT16, "float32": FLOAT32, "float64": FLOAT64}
PLAIN, SHIFTED, MINMAX, NORMALIZED = 0, 1, 2, 3  # those from MINMAX on have a denominator
FROM_NUMBER, FROM_ARRAY, FROM_COUNT = 0, 1, 2

ROWS, LENGTH, AXES, FORM, DETACH, N_FROM = 0, 1, 2, 3, 4, 5
STEPS, SIZES, STRIDES, FIELDS = 6, 10, 18, 74
X, DY, OUT, MASK, PARAMETER_S, PARAMETER_B, PARAMETER_N = 0, 1, 2, 3, 4, 5, 6

TILE_ROWS = 16
"""Rows that are turned together where neighbouring rows, not entries, are neighbours in memory."""
BAND_ROWS = 64
"""Rows that are copied together there, tile after tile: each line of memory is in a page of its
own, so that to find it takes longer than to read those behind it."""
BLOCK = 32768
"""Entries that are summed together; what blocks of longer rows come to is added in order."""
RECORD = 16
"""Doubles that a block of a long row leaves for the next stage."""
