"""What is noted of each of the rows that are taken together: numbers of 8 bytes."""

from __future__ import annotations

__all__ = [
    "AT",
    "DY_AT",
    "DY_TAIL",
    "EMPTY",
    "INVALID",
    "INVERSE",
    "INVERSE_LOW",
    "LARGEST",
    "LEFT",
    "LOG_N",
    "LOG_N_LOW",
    "LOWER",
    "NOTES",
    "PIVOT",
    "SCALE",
    "SCALE_LOW",
    "SMALLEST",
    "SPAN",
    "SUMS",
    "TAIL",
]

# Where the row is, and its last chunk if that is incomplete; the same of its cotangents.
AT, TAIL, DY_AT, DY_TAIL = 0, 8, 16, 24
# Whether it is so; see the facts.
EMPTY, INVALID, LEFT = 32, 40, 48
LARGEST, SMALLEST, PIVOT, SCALE, SCALE_LOW, LOG_N, LOG_N_LOW = 56, 64, 72, 80, 88, 96, 104
LOWER, SPAN, INVERSE, INVERSE_LOW = 112, 120, 128, 136
SUMS = 144
"""Four pairs of words, and two counts."""
NOTES = (SUMS + 80) // 8
