"""Running the suite: every entry for every function and dtype of one backend."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

import mpmath

from softmax_variants_spec.accuracy import CLASSES
from softmax_variants_spec.formats import FORMATS

from .checks import entries
from .context import Context
from .variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .outcome import Outcome, Worst
    from .subject import Subject
    from .variants import Variant

__all__ = ["Progress", "Report", "Summary", "run"]


class Progress(Protocol):
    """What the runner tells while it runs."""

    def start(self, total: int) -> None:
        """Announce how many entries there are."""

    def step(self, what: str, outcome: Outcome | None = None) -> None:
        """Announce an entry done, or (without an outcome) what is being computed."""


@dataclass(frozen=True)
class Summary:
    """One line of the table: a function and dtype."""

    variant: str
    dtype: str
    claim: str
    max_error: float | None
    """Largest error of weights in ULP, over all regimes that are not reported apart."""
    worst: Worst | None
    class_met: str | None
    """Best class that the weights and the gradients of all those regimes meet."""
    gradient_ratio: float | None
    """Largest error of a gradient over what the claim allows."""
    apart_error: float | None
    """Largest error in the regimes reported apart."""
    correct_share: float | None
    """Share of correctly rounded entries, over entries whose exact value is not representable."""
    correct: int
    inexact: int
    failed: int
    total: int

    @property
    def holds(self) -> bool:
        """Whether the claim holds with everything else."""
        return self.failed == 0


@dataclass(frozen=True)
class Report:
    """The whole result of a run."""

    backend: str
    library: str
    environment: dict[str, str]
    smoke: bool
    outcomes: list[Outcome]
    summaries: list[Summary]
    seconds: float = field(compare=False)

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return all(outcome.holds for outcome in self.outcomes)


def run(
    subject: Subject,
    *,
    functions: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    smoke: bool = False,
    progress: Progress,
) -> Report:
    """Judge a backend.

    Parameters
    ----------
    subject
        The backend.
    functions
        Labels of variants or names of functions to judge; all if empty.
    dtypes
        Names of formats to judge; all that the backend has if empty.
    smoke
        Whether to keep to a few rows of every regime.
    progress
        Told of every step.

    Returns
    -------
    Report
        All outcomes in order, and a summary for each function and dtype.
    """
    began = time.perf_counter()
    wanted = [
        v for v in VARIANTS if not functions or v.label in functions or v.function in functions
    ]
    formats = [FORMATS[f] for f in subject.formats() if not dtypes or f in dtypes]
    total = sum(len(entries(variant, smoke=smoke)) for variant in wanted) * len(formats)
    progress.start(total)
    outcomes: list[Outcome] = []
    summaries = []
    for variant in wanted:
        for fmt in formats:
            context = Context(
                subject,
                variant,
                fmt,
                smoke=smoke,
                progress=partial(_announce, progress, f"{variant.label}/{fmt.name}"),
            )
            done = []
            for entry in entries(variant, smoke=smoke):
                start = time.perf_counter()
                outcome = entry.run(context)
                done.append(replace(outcome, seconds=time.perf_counter() - start))
                progress.step(outcome.id, outcome)
            outcomes += done
            summaries.append(_summary(context, variant, done))
    return Report(
        backend=subject.name,
        library=subject.library.name,
        environment=_environment(subject),
        smoke=smoke,
        outcomes=outcomes,
        summaries=summaries,
        seconds=time.perf_counter() - began,
    )


def _announce(progress: Progress, place: str, regime: str) -> None:
    progress.step(f"exact reference of {place}/{regime}")


def _worse(a: str | None, b: str | None) -> str | None:
    if a is None or b is None:
        return None
    order: list[str] = list(CLASSES)
    return max(a, b, key=order.index)


def _summary(context: Context, variant: Variant, outcomes: list[Outcome]) -> Summary:
    weights = [o.weights for o in outcomes if o.weights is not None and not o.apart]
    gradients = [o.gradient for o in outcomes if o.gradient is not None and not o.apart]
    apart = [o.weights.max_error for o in outcomes if o.weights is not None and o.apart]
    largest = max(weights, key=lambda m: m.max_error, default=None)
    met: str | None = CLASSES[0]
    for class_met in [m.class_met for m in weights] + [m.class_met for m in gradients]:
        met = _worse(met, class_met)
    inexact = sum(m.inexact for m in weights)
    correct = sum(m.correct for m in weights)
    return Summary(
        variant=variant.label,
        dtype=context.dtype,
        claim=str(context.claim),
        max_error=None if largest is None else largest.max_error,
        worst=None if largest is None else largest.worst,
        class_met=met if weights else None,
        gradient_ratio=max((m.max_ratio for m in gradients), default=None),
        apart_error=max(apart, default=None),
        correct_share=correct / inexact if inexact else None,
        correct=correct,
        inexact=inexact,
        failed=sum(not o.holds for o in outcomes),
        total=len(outcomes),
    )


def _environment(subject: Subject) -> dict[str, str]:
    found = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "mpmath": mpmath.__version__,
    }
    for package in dict.fromkeys(("numpy", "array-api-compat", subject.library.name)):
        namespace: Any = subject.library.namespace
        try:
            found[package] = version(package.replace("_", "-"))
        except PackageNotFoundError:
            found[package] = str(getattr(namespace, "__version__", "unknown"))
    device = subject.library.describe_device()
    if device:
        found["device"] = device
    return found
