"""The working type: in which floating type, and in how many words, a row is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._constants import Constants, constants

if TYPE_CHECKING:
    from ._words import Array, Number

__all__ = ["Working", "format_name", "working_for"]


def format_name(dtype: Any) -> str:
    """Return "float16", "bfloat16", "float32" or "float64" for a dtype of any library."""
    return str(dtype).rsplit(".", maxsplit=1)[-1]


@dataclass(frozen=True)
class Working:
    """A namespace with the type that a call works in.

    Narrow results through binary64 need one word: its relative error, below 2**-43, is under
    2**-19 ULP of binary32. Elsewhere two words are carried.
    """

    xp: Any
    device: Any
    dtype: Any
    int_dtype: Any
    words: int
    constants: Constants

    @property
    def scaled(self) -> bool:
        """Whether the range of the type may be left on the way, so that rows are scaled.

        In one word of binary64, logits and gradients of at most 2**128 leave ample room.
        """
        return self.words == 2

    def lift(self, a: Array) -> Number:
        """Return an array of the type of the logits as a number of the working type."""
        high = self.xp.astype(a, self.dtype)
        return (high,) if self.words == 1 else (high, self.xp.zeros_like(high))

    def number(self, pair: tuple[Array, Array]) -> Number:
        """Return a pair of words as a number of as many words as this type carries."""
        return (pair[0],) if self.words == 1 else pair

    @property
    def emax(self) -> int:
        """The exponent beyond the largest finite number: 1024 or 128."""
        return 1024 if self.constants.precision == 53 else 128

    def choose_int(self, condition: Array, value: int, other: int) -> Array:
        """Return one integer where the condition holds, the other elsewhere."""
        xp = self.xp
        full = xp.full(condition.shape, value, dtype=self.int_dtype, device=self.device)
        return xp.where(condition, full, other)

    def choose(self, condition: Array, value: float, other: float) -> Array:
        """Return one value of the working type where the condition holds, the other elsewhere."""
        return self.xp.where(condition, self.full(condition, value), other)

    def full(self, like: Array, value: float) -> Array:
        """Return an array shaped as ``like`` of one value of the working type."""
        return self.xp.full(like.shape, value, dtype=self.dtype, device=self.device)


def has_float64(xp: Any, device: Any) -> bool:
    """Return whether arrays of binary64 can be had on the device.

    A namespace may list the type and a device not have it (PyTorch's MPS).
    """
    if str(device).split(":", maxsplit=1)[0] == "mps":
        return False
    kinds = xp.__array_namespace_info__().dtypes(device=device, kind="real floating")
    return "float64" in kinds


def working_for(xp: Any, device: Any, dtype: Any) -> Working:
    """Return the working type for logits of ``dtype`` on ``device``."""
    wide = has_float64(xp, device)
    return Working(
        xp=xp,
        device=device,
        dtype=xp.float64 if wide else xp.float32,
        int_dtype=xp.int64 if wide else xp.int32,
        words=1 if wide and format_name(dtype) != "float64" else 2,
        constants=constants(53 if wide else 24),
    )
