"""Rows that search for faults: all exponents of a format, ties, neighbours, both ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from softmax_variants_spec.formats import Format

    Floats = npt.NDArray[np.float64]

__all__ = ["Case", "random_case", "random_numbers"]

_LENGTHS = (1, 2, 2, 3, 5, 9)


@dataclass(frozen=True)
class Case:
    """A row with a cotangent and parameters, all numbers of the format."""

    x: Floats
    dy: Floats
    s: float
    b: float
    n: float | None

    @property
    def parameters(self) -> dict[str, Any]:
        """s, b and n, as arguments."""
        return {"s": self.s, "b": self.b, "n": self.n}


def _in_format(values: Floats, fmt: Format) -> Floats:
    rounded = np.asarray([fmt.round(float(v)) for v in values])
    return np.clip(rounded, -fmt.max, fmt.max)


def _any_exponent(rng: np.random.Generator, fmt: Format, size: int) -> Floats:
    exponents = rng.integers(fmt.spacing_exponent, fmt.emax + 1, size)
    return np.ldexp(rng.uniform(1.0, 2.0, size), exponents) * rng.choice([-1.0, 1.0], size)


def _one_exponent(rng: np.random.Generator, fmt: Format, size: int) -> Floats:
    exponent = rng.integers(fmt.spacing_exponent, fmt.emax + 1)
    return np.ldexp(rng.uniform(-2.0, 2.0, size), exponent)


def _neighbours(rng: np.random.Generator, fmt: Format, size: int) -> Floats:
    centre = _any_exponent(rng, fmt, 1) / 2
    return centre * (1.0 + rng.integers(-8, 9, size) * 2.0 ** (1 - fmt.precision))


def _near_exponents(rng: np.random.Generator, fmt: Format, size: int) -> Floats:
    low, high = fmt.spacing_exponent, fmt.emax
    exponents = rng.integers(low, high + 1) + rng.integers(-20, 21, size)
    return np.ldexp(rng.uniform(-2.0, 2.0, size), np.clip(exponents, low, high))


def _ties(rng: np.random.Generator, fmt: Format, size: int) -> Floats:
    exponent = rng.integers(fmt.spacing_exponent, fmt.emax - 1)
    return np.ldexp(rng.integers(-3, 4, size).astype(np.float64), exponent)


def _ends(rng: np.random.Generator, fmt: Format, size: int) -> Floats:
    ends = (fmt.max, fmt.min_subnormal, fmt.min_normal, 1.0)
    return rng.choice([0.0, *ends, *(-end for end in ends)], size)


def _spread(rng: np.random.Generator, fmt: Format, size: int) -> Floats:
    return rng.uniform(-1.0, 1.0, size) * rng.choice([10.0, 90.0, 800.0, 1500.0])


_KINDS: tuple[Callable[[np.random.Generator, Format, int], Floats], ...] = (
    _any_exponent,
    _one_exponent,
    _neighbours,
    _near_exponents,
    _ties,
    _ends,
    _spread,
    _spread,
)


def random_numbers(rng: np.random.Generator, fmt: Format, size: int) -> Floats:
    """Return numbers of a format, of a kind that is drawn."""
    kind = _KINDS[rng.integers(len(_KINDS))]
    with np.errstate(over="ignore"):
        return _in_format(np.nan_to_num(kind(rng, fmt, size)), fmt)


def _moderate_range(dy: Floats, bits: int) -> Floats:
    # Beside a dy larger by more than that, in a row where its entry has a gate of 0 or a p near
    # 2**-emax, a dy cannot be held in a range that is scaled as a whole.
    return np.where(np.abs(dy) < np.abs(dy).max() * 2.0**-bits, 0.0, dy)


def _scale(rng: np.random.Generator, x: Floats, parameters: Format) -> tuple[float, float]:
    """Return s and b: of any size, or such that c fits the spread of the logits."""
    if rng.random() < 0.5:
        s, b = (float(random_numbers(rng, parameters, 1)[0]) for _ in "sb")
        return ((s, b), (s, 0.0), (0.0, b), (0.0, 0.0))[rng.integers(4)]
    halves = x / 2
    spread = float(halves.max() - halves.min()) or float(np.abs(x).max()) or 1.0
    with np.errstate(over="ignore"):
        c = rng.choice([1.0, 10.0, 100.0, 1000.0]) * rng.uniform(-1.0, 1.0) / spread
    fitting = float(_in_format(np.asarray([c]), parameters)[0])
    return (fitting, 0.0) if rng.random() < 0.5 else (0.0, fitting)


_COUNTS = (1.0, float(np.nextafter(1, 2)), float(np.nextafter(1, 0)), 5e-324, 1.7e308, 0.5, 3)


def random_case(rng: np.random.Generator, fmt: Format, *, parameters: Format, dy_bits: int) -> Case:
    """Return a row with its parameters, which are numbers of the format ``parameters``."""
    size = int(rng.choice(_LENGTHS))
    x, dy = random_numbers(rng, fmt, size), random_numbers(rng, fmt, size)
    s, b = _scale(rng, x, parameters)
    n = None
    if rng.random() < 0.5:
        counts = (*_COUNTS, 2**53 + 1, 2**63 - 1)
        n = counts[rng.integers(len(counts))]
    return Case(x, _moderate_range(dy, dy_bits), s, b, n)
