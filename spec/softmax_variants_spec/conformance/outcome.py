"""What a check says: an outcome an entry, with what was measured and how to see it again."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["GradientMeasure", "Outcome", "WeightMeasure", "Worst"]


@dataclass(frozen=True)
class Worst:
    """Where the largest error was."""

    regime: str
    block: int
    row: int
    entry: int
    logit: str
    """The logit in hexadecimal."""
    top: str
    """The row's largest present logit in hexadecimal, "nan" if no entry is present."""
    length: int

    def __str__(self) -> str:
        place = f"{self.regime}[{self.block}][{self.row}, {self.entry}]"
        top = "no present entry" if self.top == "nan" else f"max {self.top}"
        return f"{place}: x = {self.logit}, {top}, length {self.length}"


@dataclass(frozen=True)
class WeightMeasure:
    """Errors of weights."""

    max_error: float
    """In ULP of the result's format, against the unrounded value."""
    class_met: str | None
    entries: int
    inexact: int
    """Entries whose exact value is not representable."""
    correct: int
    """Those of them that are correctly rounded."""
    worst: Worst | None


@dataclass(frozen=True)
class GradientMeasure:
    """Errors of gradients, as the largest ratio of an error to what the claim allows."""

    max_ratio: float
    class_met: str | None
    worst: Worst | None


@dataclass(frozen=True)
class Outcome:
    """The result of one entry of the suite."""

    id: str
    """Permanent: ``function/dtype/kind/name``."""
    status: str
    """"passed", "failed", "error" (the backend raised), "timed out", "not promised",
    "expected failure" or "stale" (expected to fail, and does not)."""
    message: str = ""
    """What is wrong, in one line."""
    detail: str = ""
    """A repro to paste, with the exact value, the error and the bound."""
    weights: WeightMeasure | None = None
    gradient: GradientMeasure | None = None
    apart: bool = False
    """Whether the measure is reported apart: a near-tie regime, or a scale that cancels."""
    reason: str = ""
    """Why a failure was expected."""
    seconds: float = field(default=0.0, compare=False)

    @property
    def holds(self) -> bool:
        """Whether nothing that was promised failed, but for what was expected to."""
        return self.status in {"passed", "not promised", "expected failure"}
