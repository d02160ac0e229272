"""A report as one HTML page, which loads nothing: for browsers, mails and the artifacts of CI."""

from __future__ import annotations

from html import escape
from importlib import resources
from typing import TYPE_CHECKING

from .error_plot import DTYPES, Dot, Line, plot
from .outcome import WeightMeasure
from .wording import alike, conclusion, error_text, ratio_text, share_text, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .outcome import GradientMeasure, Outcome
    from .runner import Report

__all__ = ["html_report"]

_SUMMARY = ("function", "dtype", "max ULP", "apart", "gradient", "correct", "claim", "met", "")
_ENTRIES = ("entry", "status", "max ULP", "gradient", "met")


def html_report(report: Report) -> str:
    """Return a report as a page: conclusion, table, failures, plots, and every entry."""
    sign = "✓" if report.holds else "✗"
    style = resources.files(__package__).joinpath("html_report.css").read_text(encoding="utf-8")
    variants = list(dict.fromkeys(outcome.id.split("/")[0] for outcome in report.outcomes))
    environment = ", ".join(f"{name} {value}" for name, value in report.environment.items())
    smoke = "<p>A smoke run: a few rows of everything.</p>" if report.smoke else ""
    kind = "good" if report.holds else "bad"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(report.backend)}: conformance</title>",
            f"<style>{style}</style></head><body><article>",
            f"<h1>{escape(report.backend)}</h1>",
            f'<p class="{kind}">{sign} {escape(conclusion(report))}</p>',
            f"{smoke}<p>{escape(environment)}; {report.seconds:.0f} s</p>",
            _summary(report),
            _failures(report),
            _expected(report),
            *(_variant(variant, report) for variant in variants),
            "</article></body></html>",
            "",
        ]
    )


def _table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a table from rows, each with its class."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "\n".join(
        f'<tr class="{kind}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for kind, cells in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>\n{body}</table></div>'


def _summary(report: Report) -> str:
    rows = [
        (
            "good" if s.holds else "bad",
            (
                s.variant,
                s.dtype,
                error_text(s.max_error),
                error_text(s.apart_error),
                ratio_text(s.gradient_ratio),
                share_text(s),
                s.claim,
                s.class_met or "none",
                verdict(s),
            ),
        )
        for s in report.summaries
    ]
    return _table(_SUMMARY, rows)


def _failures(report: Report) -> str:
    found = alike(report)
    parts = [f"<h2>Failures: {len(found)}</h2>"] if found else []
    for head, outcomes in found:
        first = outcomes[0]
        detail = f"<pre>{escape(first.detail)}</pre>" if first.detail else ""
        ids = "".join(f"<li>{escape(outcome.id)}</li>" for outcome in outcomes)
        parts.append(
            f'<details><summary class="bad">{escape(head)}</summary>'
            f"<p>{escape(first.message)}</p>{detail}<ul>{ids}</ul></details>"
        )
    return "\n".join(parts)


def _expected(report: Report) -> str:
    expected = [o for o in report.outcomes if o.status == "expected failure"]
    if not expected:
        return ""
    items = "".join(f"<li><code>{escape(o.id)}</code>: {escape(o.reason)}</li>" for o in expected)
    return f"<h2>Expected failures: {len(expected)}</h2><ul>{items}</ul>"


def _variant(variant: str, report: Report) -> str:
    own = [o for o in report.outcomes if o.id.startswith(f"{variant}/")]
    parts = [f"<h2>{escape(variant)}</h2>"]
    dtypes = [d for d in DTYPES if any(o.id.split("/")[1] == d for o in own)]
    weights = _lines((o, o.weights) for o in own)
    gradients = _lines((o, o.gradient) for o in own)
    if weights:
        legend = "".join(f'<span><b class="dot {d}"></b> {d}</span> ' for d in dtypes)
        parts += [
            f'<h3>Errors of weights, in ULP</h3><p class="legend">{legend}</p>',
            plot(weights, [(0.5, "½"), (4.0, "4")]),
        ]
    if gradients:
        parts += [
            "<h3>Errors of gradients, over what the claim allows</h3>",
            plot(gradients, [(1.0, "1")]),
        ]
    rows = [("good" if o.holds else "bad", _entry(o)) for o in own]
    parts.append(
        f"<details><summary>All {len(own)} entries</summary>{_table(_ENTRIES, rows)}</details>"
    )
    return "\n".join(parts)


def _entry(outcome: Outcome) -> tuple[str, ...]:
    weights, gradient = outcome.weights, outcome.gradient
    measure = weights or gradient
    return (
        outcome.id,
        outcome.status,
        error_text(weights.max_error) if weights else "",
        ratio_text(gradient.max_ratio) if gradient else "",
        (measure.class_met or "none") if measure else "",
    )


def _lines(
    measured: Iterable[tuple[Outcome, WeightMeasure | GradientMeasure | None]],
) -> list[Line]:
    """Return a line for each entry that has a measure, with a dot for each dtype."""
    dots: dict[str, list[Dot]] = {}
    for outcome, measure in measured:
        if measure is not None:
            _, dtype, name = outcome.id.split("/", 2)
            error = measure.max_error if isinstance(measure, WeightMeasure) else measure.max_ratio
            name = name.removeprefix("values/").removeprefix("gradients/")
            dots.setdefault(name, []).append(Dot(dtype, error, str(measure.worst), outcome.holds))
    return [Line(name, tuple(found)) for name, found in dots.items()]
