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
from .time_limit import TimeLimit
from .variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .context import Entry
    from .expected import ExpectedFailures
    from .outcome import Outcome, Worst
    from .ratchet import Ratchet
    from .subject import Subject

__all__ = ["TIME_LIMIT", "Plan", "Progress", "Report", "Summary", "ids", "plan", "run"]

TIME_LIMIT = 60.0
"""Seconds that a backend may take in one entry, unless another limit is asked for."""


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
    expected: int
    """Failures that were expected."""
    total: int

    @property
    def holds(self) -> bool:
        """Whether the claim holds with everything else, but for expected failures."""
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
        """Whether every claim holds, but for expected failures."""
        return all(outcome.holds for outcome in self.outcomes)


@dataclass(frozen=True)
class Plan:
    """What a run judges, and by what besides the claims."""

    subject: Subject
    contexts: tuple[Context, ...]
    """A variant and format each."""
    smoke: bool
    expected: ExpectedFailures | None = None
    ratchet: Ratchet | None = None

    def entries(self, context: Context) -> list[Entry]:
        """Return the entries to judge for a variant and format."""
        return entries(context.variant, smoke=self.smoke)

    def judge(self, context: Context, entry: Entry) -> Outcome:
        """Return the outcome of one entry."""
        began = time.perf_counter()
        outcome = entry.run(context)
        if self.ratchet is not None:
            outcome = self.ratchet.apply(outcome)
        if self.expected is not None:
            outcome = self.expected.apply(outcome, smoke=self.smoke)
        return replace(outcome, seconds=time.perf_counter() - began)


def plan(
    subject: Subject,
    *,
    functions: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    smoke: bool = False,
    expected: ExpectedFailures | None = None,
    ratchet: Ratchet | None = None,
    time_limit: float | None = TIME_LIMIT,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Return what to judge of a backend, and refuse what cannot be used for it.

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
    expected
        Failures that are known.
    ratchet
        Errors that may not grow.
    time_limit
        Seconds that the backend may take in one entry; None for no limit.
    progress
        Told of every regime whose exact reference is computed.

    Raises
    ------
    SettingsError
        If an expected failure matches no entry, or the ratchet was recorded for something else.
    """
    if expected is not None:
        expected.check(ids(subject))
    if ratchet is not None:
        ratchet.check(subject, smoke=smoke)
    subject.time_limit = TimeLimit(time_limit)
    contexts = tuple(
        Context(
            subject,
            variant,
            FORMATS[dtype],
            smoke=smoke,
            progress=partial(_announce, progress, f"{variant.label}/{dtype}"),
        )
        for variant in VARIANTS
        if not functions or variant.label in functions or variant.function in functions
        for dtype in subject.formats()
        if not dtypes or dtype in dtypes
    )
    return Plan(subject, contexts, smoke, expected, ratchet)


def ids(subject: Subject) -> list[str]:
    """Return the ids of all entries that the whole suite has for a backend."""
    return [
        f"{variant.label}/{dtype}/{entry.kind}/{entry.name}"
        for variant in VARIANTS
        for dtype in subject.formats()
        for entry in entries(variant, smoke=False)
    ]


def run(plan: Plan, progress: Progress) -> Report:
    """Judge a backend.

    Parameters
    ----------
    plan
        What to judge.
    progress
        Told of every step.

    Returns
    -------
    Report
        All outcomes in order, and a summary for each function and dtype.
    """
    began = time.perf_counter()
    progress.start(sum(len(plan.entries(context)) for context in plan.contexts))
    outcomes: list[Outcome] = []
    summaries = []
    for context in plan.contexts:
        done = []
        for entry in plan.entries(context):
            progress.step(entry.id(context))
            outcome = plan.judge(context, entry)
            done.append(outcome)
            progress.step(outcome.id, outcome)
        outcomes += done
        summaries.append(_summary(context, done))
    subject = plan.subject
    subject.time_limit.close()
    return Report(
        backend=subject.name,
        library=subject.library.name,
        environment=_environment(subject),
        smoke=plan.smoke,
        outcomes=outcomes,
        summaries=summaries,
        seconds=time.perf_counter() - began,
    )


def _announce(progress: Callable[[str], None], place: str, regime: str) -> None:
    progress(f"exact reference of {place}/{regime}")


def _worse(a: str | None, b: str | None) -> str | None:
    if a is None or b is None:
        return None
    order: list[str] = list(CLASSES)
    return max(a, b, key=order.index)


def _summary(context: Context, outcomes: list[Outcome]) -> Summary:
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
        variant=context.variant.label,
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
        expected=sum(o.status == "expected failure" for o in outcomes),
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
