"""What an entry of the suite is, and what its check has at hand."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Unrepresentable
from .outcome import Outcome
from .references import References
from .time_limit import TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from softmax_variants_spec.formats import Format

    from .blocks import Block
    from .subject import Claim, Subject
    from .variants import Variant

    Floats = npt.NDArray[np.float64]

__all__ = ["Context", "Entry", "Fault", "present_of"]


class Fault(Exception):  # noqa: N818  (a finding about the backend, no error of the suite)
    """What a check found wrong: one line, and a detail that reproduces it."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.message, self.detail = message, detail


class Context:
    """One variant and format of one backend, with its references (made when first asked for)."""

    def __init__(
        self,
        subject: Subject,
        variant: Variant,
        fmt: Format,
        *,
        smoke: bool,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.subject, self.variant, self.fmt, self.smoke = subject, variant, fmt, smoke
        self._progress = progress
        self._gradients: dict[tuple[str, int, bool], list[Floats]] = {}

    @property
    def dtype(self) -> str:
        """Name of the format."""
        return self.fmt.name

    @property
    def claim(self) -> Claim:
        """What the backend promises here."""
        return self.subject.claim(self.variant, self.dtype)

    @property
    def flushes_subnormals(self) -> bool:
        """Whether the backend declares that it takes subnormal numbers of this format as 0."""
        return self.subject.flushes_subnormals(self.dtype)

    @cached_property
    def references(self) -> References:
        """Exact references of all regimes."""
        return References(self.variant, self.fmt, smoke=self.smoke, progress=self._progress)

    def read(self, result: Any, shape: tuple[int, ...], what: str) -> Floats:
        """Return a result's values after checking that it is the right kind of array."""
        lib = self.subject.library
        if not lib.is_array(result):
            msg = f"{what} is {type(result).__name__}, wants an array of {lib.name}"
            raise Fault(msg)
        if lib.dtype_name(result) != self.dtype:
            msg = f"{what} has dtype {lib.dtype_name(result)}, wants that of x, {self.dtype}"
            raise Fault(msg)
        if tuple(result.shape) != shape:
            msg = f"{what} has shape {tuple(result.shape)}, wants {shape}"
            raise Fault(msg)
        # A lazy library computes here.
        return self.subject.time_limit.call(lambda: lib.values(result), what)

    def weights(self, block: Block, **options: Any) -> Floats:
        """Return the backend's weights of a block along its last axis."""
        arguments = self.subject.arguments(block, self.dtype)
        result = self.subject.weights(self.variant, arguments, **options)
        return self.read(result, block.x.shape, "the result")

    def gradients(self, block: Block, *, detach_extrema: bool = False) -> list[Floats]:
        """Return the backend's (dx,) or (dx, ds, db) of a block."""
        arguments = self.subject.arguments(block, self.dtype)
        results = self.subject.vjp(self.variant, arguments, detach_extrema=detach_extrema)
        shapes = [block.x.shape]
        if len(results) == 3:
            shapes += [np.shape(block.s), np.shape(block.b)]
        names = ("dx", "ds", "db")
        return [self.read(r, s, w) for r, s, w in zip(results, shapes, names, strict=False)]

    def regime_gradients(self, regime: str, block: Block, *, detach_extrema: bool) -> list[Floats]:
        """Return the gradients of a regime's block; the entries for dx, ds, db share one call."""
        key = (regime, block.number, detach_extrema)
        if key not in self._gradients:
            self._gradients[key] = self.gradients(block, detach_extrema=detach_extrema)
        return self._gradients[key]


@dataclass(frozen=True)
class Entry:
    """One line of the suite: a permanent id, and a check that finds a fault or measures."""

    kind: str
    name: str
    check: Callable[[Context], Outcome | None]
    """Returns None where it has nothing to measure."""
    promised: Callable[[Context], str] = lambda _: ""
    """Returns why the property is not promised by the backend, or "" where it is."""

    def id(self, context: Context) -> str:
        """Return ``function/dtype/kind/name``."""
        return f"{context.variant.label}/{context.dtype}/{self.kind}/{self.name}"

    def run(self, context: Context) -> Outcome:
        """Return the outcome; what the backend raises is an outcome too."""
        name = self.id(context)
        reason = self.promised(context)
        if reason:
            return Outcome(name, "not promised", reason)
        subject = context.subject
        try:
            outcome = subject.time_limit.run(lambda: self.check(context))
            return outcome or Outcome(name, "passed")
        except Unrepresentable as reason:
            return Outcome(name, "not promised", str(reason))
        except TimedOut as fault:
            subject.timeouts[fault.what] += 1
            return Outcome(name, "timed out", f"{fault.what} {fault}, the time limit of an entry")
        except Fault as fault:
            return Outcome(name, "failed", fault.message, fault.detail)
        except Exception as error:
            first = str(error).strip().splitlines()
            text = first[0] if first else ""
            message = f"raised {type(error).__name__}: {text}"
            return Outcome(name, "error", message, _raised_at(error))


def _raised_at(error: Exception) -> str:
    """Return where an exception was raised; the file without its folder, which is no one else's."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"# raised in {frame.name}, line {frame.lineno} of {Path(frame.filename).name}"


def present_of(block: Block) -> npt.NDArray[np.bool_]:
    """Return the present entries of a block."""
    present: npt.NDArray[np.bool_] = block.x != -np.inf
    return present if block.where is None else present & block.where
