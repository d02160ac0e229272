"""The rows of the figure of errors by distance from the largest logit, and their judgement."""

from __future__ import annotations

import numpy as np

__all__ = ["BINS", "LENGTH", "ROWS", "SEED", "SPREAD", "largest_errors", "logits", "what_they_are"]

SEED, ROWS, LENGTH, SPREAD, BINS = 2502, 4000, 64, 83.0, 58


def logits() -> np.ndarray:
    """Return the rows."""
    rng = np.random.default_rng(SEED)
    # All weights are normal numbers, e^-83/64 the smallest: JAX makes others 0, as XLA does.
    # Largest logits from -20 to 20: the others cross binades and signs on their way down.
    top = rng.uniform(-20.0, 20.0, (ROWS, 1))
    return (top - rng.uniform(0.0, SPREAD, (ROWS, LENGTH))).astype(np.float32)


def largest_errors(x: np.ndarray, results: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Return the largest error in ULP of each implementation, by distance from the maximum."""
    from softmax_variants_spec import bulk
    from softmax_variants_spec.formats import FORMATS

    exact = bulk.weights("softmax", x.astype(np.float64), FORMATS["float32"])
    distance = x.max(axis=1, keepdims=True).astype(np.float64) - x
    bins = np.minimum((distance / SPREAD * BINS).astype(int), BINS - 1)
    largest = {}
    for name, y in results.items():
        steps = np.ldexp(y.astype(np.float64) - exact.rounded, -exact.ulp_exponent)
        errors = np.abs(steps - exact.residual)
        largest[name] = [round(float(errors[bins == i].max()), 4) for i in range(BINS)]
    return largest


def what_they_are() -> dict[str, object]:
    """Return what a file of results says of its rows."""
    return {
        "seed": SEED,
        "rows": ROWS,
        "length": LENGTH,
        "dtype": "float32",
        "distance": [round((i + 0.5) * SPREAD / BINS, 4) for i in range(BINS)],
    }
