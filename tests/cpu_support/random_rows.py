"""Random rows of logits for the functions that the CPU's kernels have, made again from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .double_double_rows import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DISTRIBUTIONS", "FORMATS", "LENGTHS", "Block", "Format", "Rows", "blocks"]

LENGTHS = (2, 3, 7, 16, 33, 100, 128, 129, 512, 1000, 4096, 20011, 70000, 300000, 600000)
_SCALES = (0.43, 1.0, 0.05, -0.6, 2.0, 7.3)
_BIASES = (0.0, 0.0, 0.3, -1.1)
_SHARES_PRESENT = (0.02, 0.5, 0.9, 0.98, 1.0)


@dataclass(frozen=True)
class Format:
    """A binary format: bits of its significands, and exponents of its normal numbers."""

    precision: int
    emin: int
    emax: int
    depth: float
    """How far below the largest logit one has a weight that rounds to 0, and a little further."""
    exponents: tuple[float, float] = (0.0, 0.0)
    """Powers of two between which logits lie, where they are spread: by default all."""

    @property
    def logit_exponents(self) -> tuple[float, float]:
        if any(self.exponents):
            return self.exponents
        return self.emin - self.precision + 1.0, self.emax + 0.9

    @property
    def undecided(self) -> float:
        """So near a half, in ULP, it is not told how an exact weight is rounded.

        It is known to 2^-90 of it, and its difference from a result to 2^-53 of an ULP.
        """
        return max(2.0**-50, 2.0 ** (self.precision - 89))


FORMATS = {
    "float16": Format(11, -14, 15, 20.0),
    "bfloat16": Format(8, -126, 127, 95.0),
    "float32": Format(24, -126, 127, 110.0),
    # Where the evaluation that judges them ends; the compiled kernels end there as well.
    "float64": Format(53, -1022, 1023, 760.0, (-199.0, 199.0)),
}


def _normal(rng: np.random.Generator, shape: tuple[int, int], _: Format) -> Any:
    return rng.standard_normal(shape)


def _wide_normal(rng: np.random.Generator, shape: tuple[int, int], _: Format) -> Any:
    return 30.0 * rng.standard_normal(shape)


def _near_ties(rng: np.random.Generator, shape: tuple[int, int], fmt: Format) -> Any:
    """Up to 4 units in the last place from a number between -8 and 8."""
    centre = rng.uniform(-8.0, 8.0, (shape[0], 1))
    unit = np.ldexp(1.0, np.frexp(centre)[1] - fmt.precision)
    return unit * (np.rint(centre / unit) + rng.integers(-4, 5, shape))


def _spread_exponents(rng: np.random.Generator, shape: tuple[int, int], fmt: Format) -> Any:
    """Both signs, exponents in the 30 below that of the row: any, or one of everyday logits."""
    bottom, top = fmt.logit_exponents
    rows = (shape[0], 1)
    usual = rng.uniform(-6.0, min(9.0, top), rows)
    highest = np.where(rng.random(rows) < 0.5, usual, rng.uniform(bottom, top, rows))
    exponent = np.maximum(highest - rng.uniform(0.0, 30.0, shape), bottom)
    return np.exp2(exponent) * rng.choice((-1.0, 1.0), shape)


def _deep(rng: np.random.Generator, shape: tuple[int, int], fmt: Format) -> Any:
    """Weights down to 0, through the subnormal numbers."""
    return rng.uniform(-20.0, 20.0, (shape[0], 1)) - rng.uniform(0.0, fmt.depth, shape)


def _masked(rng: np.random.Generator, shape: tuple[int, int], _: Format) -> Any:
    """With -inf among them; there is a mask as well."""
    return np.where(rng.random(shape) < 0.05, -np.inf, 3.0 * rng.standard_normal(shape))


_MASKED = "normal, sigma 3, masked, with -inf"
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, int], Format], Any]] = {
    "normal": _normal,
    "normal, sigma 30": _wide_normal,
    "near ties": _near_ties,
    "spread exponents": _spread_exponents,
    "down to weights of 0": _deep,
    _MASKED: _masked,
}


@dataclass(frozen=True)
class Rows:
    """Arrays of NumPy or PyTorch; s and b, of (rows, 1), for SSMax."""

    x: Any
    dy: Any
    where: Any
    s: Any
    b: Any


@dataclass(frozen=True)
class Block:
    """What rows are made from."""

    dtype: str
    function: str
    distribution: str
    length: int
    rows: int

    @property
    def seed(self) -> list[int]:
        own = (FORMATS, FUNCTIONS, DISTRIBUTIONS)
        names = (self.dtype, self.function, self.distribution)
        places = (list(all_).index(name) for all_, name in zip(own, names, strict=True))
        return [2026, *places, self.length]

    def make(self) -> Rows:
        """Return the arrays: PyTorch's for 16 bits, NumPy's otherwise."""
        rng = np.random.default_rng(self.seed)
        shape = (self.rows, self.length)
        x = DISTRIBUTIONS[self.distribution](rng, shape, FORMATS[self.dtype])
        dy = rng.standard_normal(shape)
        s, b = (rng.choice(values, (self.rows, 1)) for values in (_SCALES, _BIASES))
        where = None
        if self.distribution == _MASKED:
            where = rng.random(shape) < rng.choice(_SHARES_PRESENT, (self.rows, 1))
            x[~where & (rng.random(shape) < 0.1)] = np.nan  # that nobody may see
        arrays = [self._stored(a) for a in (x, dy, s, b)]
        if where is not None and self._is_torch:
            where = torch.from_numpy(where)
        return Rows(arrays[0], arrays[1], where, arrays[2], arrays[3])

    @property
    def _is_torch(self) -> bool:
        return self.dtype in {"float16", "bfloat16"}

    def _stored(self, a: Any) -> Any:
        return (
            torch.from_numpy(a).to(getattr(torch, self.dtype))
            if self._is_torch
            else a.astype(self.dtype)
        )


def blocks(dtype: str, elements: int) -> Iterator[Block]:
    """Yield blocks with that many elements of a dtype, or a little more."""
    lengths = LENGTHS
    cases = len(FUNCTIONS) * len(DISTRIBUTIONS)
    while lengths[-1] * len(lengths) * cases > 4 * elements:
        lengths = lengths[:-1]
    share = elements / (len(lengths) * cases)
    for function in FUNCTIONS:
        for distribution in DISTRIBUTIONS:
            for length in lengths:
                yield Block(dtype, function, distribution, length, -int(-share // length))
