"""Blocks of rows to judge, the generator they are drawn from, and what a regime is."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from softmax_variants_spec.formats import Format

    from .variants import Variant

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["ALL_FUNCTIONS", "Block", "Generator", "Regime", "to_format"]

ALL_FUNCTIONS = frozenset({"softmax", "ssmax", "sa_softmax"})


@dataclass(frozen=True)
class Block:
    """Rows of one length, judged in one call along the last axis.

    All values are representable in the format; s, b, n are Python numbers or columns (rows, 1).
    """

    x: Floats
    dy: Floats
    where: Bools | None = None
    s: Any = 1.0
    b: Any = 0.0
    n: Any = None
    number: int = 0
    """Position among the blocks of the regime."""

    def take(self, index: Any) -> Block:
        """Return some of the rows (a slice or an array of indices)."""

        def cut(value: Any) -> Any:
            return value[index] if isinstance(value, np.ndarray) else value

        return Block(*(cut(getattr(self, one.name)) for one in fields(self)))


def to_format(values: Any, fmt: Format) -> Floats:
    """Return values near the given ones that the format has, finite ones as float64."""
    wide = np.asarray(values, dtype=np.float64)
    finite = np.clip(wide, -fmt.max, fmt.max)
    wide = np.where(np.isfinite(wide), finite, wide)
    if fmt.name == "float64":
        return wide
    if fmt.name == "bfloat16":
        bits = wide.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
        return bits.view(np.float32).astype(np.float64)
    return wide.astype(fmt.name).astype(np.float64)


class Generator:
    """Random rows for one format and variant, from a fixed seed."""

    def __init__(self, fmt: Format, function: str, form: str | None, seed: int) -> None:
        self.fmt, self.function, self.form = fmt, function, form
        self.random = np.random.default_rng(seed)

    @property
    def reach(self) -> float:
        """The distance from the largest logit at which exp underflows to 0: 17 to 745."""
        return (fmt_bits(self.fmt) + 1) * math.log(2)

    def uniform(self, low: float, high: float, shape: Any) -> Floats:
        """Return uniform values."""
        return np.asarray(self.random.uniform(low, high, shape))

    def normal(self, sigma: float, shape: Any) -> Floats:
        """Return normal values."""
        return np.asarray(self.random.normal(0.0, sigma, shape))

    def any_finite(self, shape: Any) -> Floats:
        """Return values uniform in ULP over the whole finite range, both signs."""
        fmt = self.fmt
        exponents = self.random.uniform(math.log2(fmt.min_subnormal), math.log2(fmt.max), shape)
        signs = self.random.choice([-1.0, 1.0], shape)
        return np.asarray(signs * np.exp2(np.minimum(exponents, 1023.9)))

    def block(self, x: Any, *, dy: Any = None, **options: Any) -> Block:
        """Return a block of these logits, rounded to the format; dy is normal unless given."""
        logits = to_format(x, self.fmt)
        cotangent = self.normal(1.0, logits.shape) if dy is None else dy
        cotangent = np.broadcast_to(cotangent, logits.shape)
        if self.function != "ssmax":
            options.update(s=1.0, b=0.0, n=None)
        return Block(logits, to_format(cotangent, self.fmt), **options)


def fmt_bits(fmt: Format) -> int:
    """Return how many binades lie between 1 and the smallest subnormal number."""
    return -round(math.log2(fmt.min_subnormal))


@dataclass(frozen=True)
class Regime:
    """A named family of rows."""

    name: str
    sentence: str
    make: Callable[[Generator], list[Block]]
    functions: frozenset[str] = ALL_FUNCTIONS
    near_tie: frozenset[str] = field(default_factory=frozenset)
    """Forms whose exact values lie next to midpoints here: faithful is what is asked of them."""
    beyond_condition: bool = False
    """Whether c cancels beyond the condition of the classes: "bounded" is what is asked."""
    subnormal: bool = False
    """Whether logits are subnormal, which a backend that declares flushing loses."""

    def blocks(self, variant: Variant, fmt: Format, *, smoke: bool = False) -> list[Block]:
        """Return the rows, the same on every call; ``smoke`` keeps two short ones."""
        seed = zlib.crc32(f"{self.name}/{fmt.name}".encode())
        made = self.make(Generator(fmt, variant.function, variant.form, seed))
        made = [replace(block, number=number) for number, block in enumerate(made)]
        if smoke:
            short = [block for block in made if block.x.shape[1] <= 40]
            return [block.take(slice(0, 2)) for block in short[:1]]
        return made
