"""Golden vectors: rows with their exact results, as JSON for implementers in any language.

`docs/golden-vectors.md` in the repository says how to read them in another language; from Python,
`load` reads a file of this package. The inputs of a vector and its id never change; its results
are recomputed from the inputs and compared, bit for bit, by

    python -m softmax_variants_spec.vectors --check
"""

from __future__ import annotations

from softmax_variants_spec.vectors._files import VARIANTS, Group, VectorFile, load
from softmax_variants_spec.vectors._vector import Result, Vector

__all__ = ["VARIANTS", "Group", "Result", "Vector", "VectorFile", "load"]
