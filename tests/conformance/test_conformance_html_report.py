"""Reports read again, and as a page for browsers."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from softmax_variants.__main__ import main
from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance.error_plot import Dot, Line, plot
from softmax_variants_spec.conformance.expected import ExpectedFailures, SettingsError
from softmax_variants_spec.conformance.html_report import html_report
from softmax_variants_spec.conformance.markdown import markdown
from softmax_variants_spec.conformance.recorded import read_report
from softmax_variants_spec.conformance.report import write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from softmax_variants_spec.conformance.runner import Report

    Judge = Callable[..., Report]
    Backend = Callable[..., str]

EMPTY = {"meta", "link", "img", "br", "hr", "!doctype"}


class Outline(HTMLParser):
    """Whether elements are closed in order, and what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)
        if tag in {"script", "link", "img", "iframe", "object"}:
            self.loaded.append(tag)
        self.loaded += [f"{k}={v}" for k, v in attributes if k in {"src", "href", "srcset"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def off(x: Any, **options: Any) -> Any:
    return honest.softmax(x, **options) + x.dtype.type(0.5)


def nowhere(x: Any, **options: Any) -> Any:
    return np.full_like(x, np.nan)


@pytest.fixture
def failing(judge: Judge, backend: Backend) -> Report:
    known = ExpectedFailures("known.toml", {"softmax/*/values/zeros": "zeros & ones <are> odd"})
    return judge(backend(softmax=off), functions=["softmax"], expected=known)


def test_report_is_read_as_it_was_written(failing: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(failing, path)
    again = read_report(path)
    assert markdown(again) == markdown(failing)
    assert [outcome.id for outcome in again.outcomes] == [
        outcome.id for outcome in failing.outcomes
    ]
    for one, other in zip(again.outcomes, failing.outcomes, strict=True):
        assert (one.weights is None, one.gradient is None) == (
            other.weights is None,
            other.gradient is None,
        )
        if other.weights is not None and one.weights is not None:
            assert one.weights.worst == other.weights.worst
            assert one.weights.max_error == pytest.approx(other.weights.max_error, rel=1e-7)


def test_infinite_errors_are_read(judge: Judge, backend: Backend, tmp_path: Path) -> None:
    write_report(judge(backend(softmax=nowhere), functions=["softmax"]), tmp_path / "report.json")
    report = read_report(tmp_path / "report.json")
    assert report.summaries[0].max_error == float("inf")
    assert 'class="mark" style="left:100%">∞<' in html_report(report)


@pytest.mark.parametrize("part", ["backend", "outcomes", "summaries", "seconds"])
def test_report_without_a_part_is_refused(failing: Report, tmp_path: Path, part: str) -> None:
    path = tmp_path / "report.json"
    write_report(failing, path)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content[part]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SettingsError, match=f"a part of the report is missing.*{part}"):
        read_report(path)


def test_entry_with_a_wrong_part_is_refused(failing: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(failing, path)
    content = json.loads(path.read_text(encoding="utf-8"))
    measured = next(o for o in content["outcomes"] if "weights" in o)
    del measured["weights"]["entries"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SettingsError, match="'entries'; write it anew"):
        read_report(path)


# -------------------------------------------------------------------------------------- the page


def test_page_is_whole_and_loads_nothing(failing: Report) -> None:
    page = html_report(failing)
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.loaded == []
    assert "@import" not in page
    assert "url(" not in page


def test_page_says_what_the_report_says(failing: Report) -> None:
    page = html_report(failing)
    assert "backend_of_a_test" in page
    for outcome in failing.outcomes:
        assert f"<td>{outcome.id}</td>" in page
    first = next(outcome for outcome in failing.outcomes if not outcome.holds)
    assert first.detail.splitlines()[0] in page
    assert "zeros &amp; ones &lt;are&gt; odd" in page
    assert "zeros & ones" not in page


def test_verdict_is_seen(judge: Judge, failing: Report) -> None:
    assert '<p class="bad">✗ ' in html_report(failing)
    good = html_report(judge("numpy", functions=["softmax"], dtypes=["float32"]))
    assert '<p class="good">✓ numpy: every claim holds' in good
    assert "Failures" not in good
    assert " bad" not in good[good.index("<article>") :]


def test_every_measured_entry_has_its_dot(failing: Report) -> None:
    page = html_report(failing)
    measured = [o for o in failing.outcomes if o.weights is not None or o.gradient is not None]
    assert len(measured) > 20
    assert page.count('title="') == len(measured)


def test_dots_stand_in_order_of_their_errors() -> None:
    values = [0.0, 0.03, 0.5, 0.7, 4.0, 1e3, float("inf")]
    lines = [Line(str(v), (Dot("float32", v, "somewhere", holds=True),)) for v in values]
    page = plot(lines, [(0.5, "½"), (4.0, "4")])
    shown = re.findall(r'class="name">([^<]+)</span>.*?class="dot[^>]*left:([\d.]+)%', page)
    assert [float(name) for name, _ in shown] == sorted(values, reverse=True)
    places = [float(place) for _, place in shown]
    assert places == sorted(places, reverse=True)
    assert places[0] == 100.0
    assert places[1] < 100.0
    assert places[-2:] == [0.0, 0.0]


def test_marks_stand_where_dots_of_their_value_do() -> None:
    page = plot([Line("one", (Dot("float32", 4.0, "x", holds=True),))], [(4.0, "4")])
    (mark,) = re.findall(r'class="mark" style="left:([^"]+)">4<', page)
    (dot,) = re.findall(r'class="dot float32" style="left:([^"]+)"', page)
    assert mark == dot


# ----------------------------------------------------------------------------------- the command


def test_command_writes_the_page(
    failing: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, page = tmp_path / "report.json", tmp_path / "page.html"
    write_report(failing, path)
    assert main(["report", str(path), "--html", str(page)]) == 0
    assert capsys.readouterr().out == f"html: {page}\n"
    assert page.read_text(encoding="utf-8") == html_report(read_report(path))
    assert main(["report", str(path)]) == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page.read_text("utf-8")


def test_command_refuses(
    failing: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"

    def refusal(*arguments: str) -> str:
        assert main(["report", *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        return err

    said = "softmax-variants report: "
    assert refusal(str(path)) == f"{said}{path}: No such file or directory\n"
    path.write_text("{}", encoding="utf-8")
    assert refusal(str(path)) == f"{said}{path}: is no report; the option --report writes one\n"
    write_report(failing, path)
    assert refusal(str(path), "--html", str(path)).endswith(
        "is the report itself, wants another file\n"
    )
    assert refusal(str(path), "--html", str(tmp_path)).endswith("is a directory, wants a file\n")
