"""Calls of the backend: recorded while the suite runs, made again with a mutant and compared.

An entry of the suite none of whose calls has another result holds as it held before. So a mutant
is judged by the entries that see a difference only, and one that no call tells from the backend
changes no value, as far as the suite's inputs and those of ``more_calls`` show.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mutation.more_calls import more_calls
from softmax_variants_spec.conformance.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    import numpy.typing as npt

    from softmax_variants_spec.conformance.runner import Plan
    from softmax_variants_spec.conformance.subject import Subject

__all__ = ["FUNCTIONS", "Call", "Recorded", "Seen", "difference", "fresh", "observe", "record"]

FUNCTIONS = ("softmax", "ssmax", "sa_softmax", "softmax_vjp", "ssmax_vjp", "sa_softmax_vjp")


@dataclass(frozen=True)
class Seen:
    """What a call returned: the kind of each array and its values, or the exception raised."""

    kinds: tuple[str, ...]
    values: tuple[npt.NDArray[np.float64], ...]


@dataclass
class Call:
    """A call of one of the backend's functions, and the entries of the suite that make it."""

    subject: str
    context: str
    function: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    seen: Seen
    reached: frozenset[str]
    """Functions of the backend that run in it, each as ``file.py:function``."""
    entries: list[str] = field(default_factory=list)
    """Empty for calls that the suite does not make."""


@dataclass
class Recorded:
    """All that was recorded for a function and dtype."""

    calls: list[Call]
    always: list[str]
    """Entries to judge in any case: their calls depend on memory that is not kept."""
    failed: list[str]
    """Entries that do not hold for the backend itself."""


def observe(subject: Subject, function: Callable[..., Any], arguments: Any, options: Any) -> Seen:
    """Return what a call returns or raises, within the subject's time limit."""
    limit, lib = subject.time_limit, subject.library

    def called() -> Any:
        return limit.call(lambda: function(*arguments, **options), "a call")

    try:
        results = limit.run(called)
    except Exception as error:
        return Seen((type(error).__name__,), ())
    results = results if isinstance(results, tuple) else (results,)
    if not all(lib.is_array(result) for result in results):
        return Seen(tuple(type(result).__name__ for result in results), ())
    kinds = tuple(f"{lib.dtype_name(result)} {tuple(result.shape)}" for result in results)
    return Seen(kinds, tuple(lib.values(result) for result in results))


def difference(a: Seen, b: Seen) -> float:
    """Return the largest relative difference, infinite if NaN or the kind differs; 0 if none.

    Zeros of both signs are equal, as everywhere in the specification.
    """
    if a.kinds != b.kinds:
        return math.inf
    largest = 0.0
    for one, other in zip(a.values, b.values, strict=True):
        if np.array_equal(one, other, equal_nan=True):
            continue
        with np.errstate(all="ignore"):
            size = np.maximum(np.abs(one), np.abs(other))
            ratio = np.where(one == other, 0.0, np.abs(one / size - other / size))
        both = np.isnan(one) & np.isnan(other)
        ratio = np.where(both, 0.0, np.where(np.isnan(ratio), np.inf, ratio))
        largest = max(largest, float(ratio.max()))
    return largest


def fresh(context: Context) -> Context:
    """Return a context without the results that another entry left in it."""
    made = Context(context.subject, context.variant, context.fmt, smoke=context.smoke)
    made.references = context.references
    return made


def _reach(reached: set[str], frame: FrameType, event: str, arg: Any) -> None:
    """Note a function of the backend that is called (as ``sys.setprofile`` wants it)."""
    del arg
    path, _, file = frame.f_code.co_filename.rpartition("/")
    if event == "call" and path.endswith("softmax_variants_backends/array_api"):
        name = frame.f_code.co_qualname.replace(".<locals>", "").removesuffix(".<lambda>")
        reached.add(f"{file}:{name}")


class _Recorder:
    """Stands in for the functions of a subject's module, and remembers their calls."""

    def __init__(self, context: Context) -> None:
        self._subject, self.entry = context.subject, ""
        self._label = f"{context.variant.label}/{context.dtype}"
        self.calls: dict[bytes, Call] = {}
        self.not_kept: set[str] = set()
        self.made: set[str] = set()

    def standing_in(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does as another one does and is remembered."""

        def recording(*arguments: Any, **options: Any) -> Any:
            self.made.add(self.entry)
            if options.get("out") is None and self._can_be_kept((*arguments, *options.values())):
                self._remember(name, function, arguments, options)
            else:
                self.not_kept.add(self.entry)
            return function(*arguments, **options)

        return recording

    def _can_be_kept(self, values: tuple[Any, ...]) -> bool:
        arrays = [value for value in values if self._subject.library.is_array(value)]
        if self._subject.library.name == "torch":
            # PyTorch 2.11 cannot pickle its wider unsigned integers.
            return all(
                array.is_contiguous() and not str(array.dtype).startswith("torch.uint")
                for array in arrays
            )
        return all(array.flags.c_contiguous for array in arrays)

    def _remember(
        self, name: str, function: Callable[..., Any], arguments: Any, options: Any
    ) -> None:
        dumped = pickle.dumps((arguments, options))
        key = hashlib.sha256(name.encode() + dumped).digest()
        if key not in self.calls:
            # A copy of the arguments: the suite may write to its own.
            arguments, options = pickle.loads(dumped)
            reached: set[str] = set()
            profile = sys.getprofile()
            sys.setprofile(partial(_reach, reached))
            seen = observe(self._subject, function, arguments, options)
            sys.setprofile(profile)
            self.calls[key] = Call(
                self._subject.name,
                self._label,
                name,
                arguments,
                options,
                seen,
                frozenset(reached),
            )
        entries = self.calls[key].entries
        if self.entry and self.entry not in entries:
            entries.append(self.entry)


def record(plan: Plan, context: Context) -> Recorded:
    """Judge a context entry by entry and return its calls; the module is changed for good."""
    recorder, failed = _Recorder(context), []
    module = context.subject.module
    for name in FUNCTIONS:
        setattr(module, name, recorder.standing_in(name, getattr(module, name)))
    names = []
    for entry in plan.entries(context):
        name = recorder.entry = entry.id(context)
        if entry.kind == "bulk":
            recorder.entry = ""
            continue
        outcome = plan.judge(fresh(context), entry)
        names.append(name)
        if not outcome.holds:
            failed.append(f"{context.subject.name}: {name}: {outcome.message}")
    recorder.entry = ""
    more_calls(context)
    always = [n for n in names if n in recorder.not_kept or n not in recorder.made]
    return Recorded(list(recorder.calls.values()), always, failed)
