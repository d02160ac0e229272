"""All broken backends: where each has its fault, and which entries of the suite name it."""

from __future__ import annotations

from ._broken import Broken
from ._broken_gates import GATES
from ._broken_results import RESULTS
from ._broken_scales import SCALES
from ._broken_weights import WEIGHTS

__all__ = ["BROKEN", "Broken"]

BROKEN: tuple[Broken, ...] = (*WEIGHTS, *RESULTS, *SCALES, *GATES)
