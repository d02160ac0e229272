"""The ratchet: no error may grow beyond what an earlier report recorded."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .expected import SettingsError
from .recorded import read_content
from .report import rounded
from .variants import VARIANTS

if TYPE_CHECKING:
    from pathlib import Path

    from .outcome import Outcome
    from .subject import Subject

__all__ = ["Ratchet"]


@dataclass(frozen=True)
class Ratchet:
    """Errors recorded by an earlier run of the same backend, by id."""

    source: str
    """The file, for messages."""
    weights: dict[str, float]
    """Largest errors of weights in ULP."""
    gradients: dict[str, float]
    """Largest errors of gradients over what the claim allows."""
    claims: dict[str, str]
    """Claims by ``function/dtype``: the measure of the gradients."""
    smoke: bool

    @classmethod
    def read(cls, path: Path) -> Ratchet:
        """Return what a report of ``--report`` recorded.

        Raises
        ------
        SettingsError
            If the file cannot be read or is no report.
        """
        content = read_content(path)
        outcomes = content["outcomes"]
        return cls(
            source=str(path),
            weights=_recorded(outcomes, "weights", "max_error"),
            gradients=_recorded(outcomes, "gradient", "max_ratio"),
            claims={f"{s['variant']}/{s['dtype']}": s["claim"] for s in content["summaries"]},
            smoke=content["smoke"],
        )

    def check(self, subject: Subject, *, smoke: bool) -> None:
        """Raise SettingsError where the recorded errors cannot be compared with those of a run."""
        if self.smoke and not smoke:
            msg = f"{self.source}: records a smoke run, whose rows are fewer than those of this run"
            raise SettingsError(msg)
        for variant, dtype in itertools.product(VARIANTS, subject.formats()):
            now = str(subject.claim(variant, dtype))
            claim = self.claims.get(f"{variant.label}/{dtype}", now)
            if now != claim:
                msg = (
                    f"{self.source}: records {variant.label} in {dtype} under the claim {claim}, "
                    f"and the backend now claims {now}: write it anew with --report"
                )
                raise SettingsError(msg)

    def apply(self, outcome: Outcome) -> Outcome:
        """Return an outcome, failed where its error is larger than the recorded one."""
        if outcome.status != "passed":
            return outcome
        grown = []
        if outcome.weights is not None:
            error = rounded(outcome.weights.max_error)
            recorded = self.weights.get(outcome.id, error)
            if error > recorded:
                grown.append(f"error {error:.8g} ULP, recorded {recorded:.8g}")
                grown.append(f"at {outcome.weights.worst}")
        if outcome.gradient is not None:
            error = rounded(outcome.gradient.max_ratio)
            recorded = self.gradients.get(outcome.id, error)
            if error > recorded:
                grown.append(f"error {error:.8g} of what the claim allows, recorded {recorded:.8g}")
                grown.append(f"at {outcome.gradient.worst}")
        if not grown:
            return outcome
        message = f"the error grew since {self.source}: {', '.join(grown)}"
        return replace(outcome, status="failed", message=message)


def _recorded(outcomes: list[dict[str, Any]], part: str, name: str) -> dict[str, float]:
    """Return a measure of the entries that have it; infinities are written as strings."""
    return {o["id"]: float(o[part][name]) for o in outcomes if o.get(part) is not None}
