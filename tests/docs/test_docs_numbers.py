"""Numbers on pages come from results and from the specification; what is not there is an error."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from measured_numbers import RESULTS, NoSuchNumberError, evaluated, formatted, look_up

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROLE = re.compile(r"\{(exact|result)\}`([^`]+)`")
ROLES = [
    (page.relative_to(DOCS).as_posix(), *found)
    for page in sorted(DOCS.rglob("*.md"))
    if "_build" not in page.parts
    for found in ROLE.findall(page.read_text(encoding="utf-8"))
]


def test_pages_have_numbers() -> None:
    assert {"accuracy.md", "variants/ssmax.md", "variants/sa_softmax.md"} <= {r[0] for r in ROLES}


@pytest.mark.parametrize(("page", "role", "text"), [r for r in ROLES if "9999" not in r[2]])
def test_every_number_is_there(page: str, role: str, text: str) -> None:
    asked, _, how = text.partition(" as ")
    value = look_up(asked) if role == "result" else evaluated(asked)
    assert formatted(value, how.strip())


def test_results_are_looked_up() -> None:
    data = json.loads((RESULTS / "peers-torch-softmax.json").read_text(encoding="utf-8"))
    (wanted,) = [s["max_error"] for s in data["summaries"] if s["dtype"] == "float64"]
    path = "peers-torch-softmax.json > summaries > [variant=softmax, dtype=float64] > max_error"
    assert look_up(path) == wanted
    curve = json.loads((RESULTS / "errors-by-distance.json").read_text(encoding="utf-8"))
    errors = curve["largest error in ULP"]["torch.softmax"]
    start = "errors-by-distance.json > largest error in ULP > torch.softmax"
    assert look_up(f"{start} > max") == max(errors)
    assert look_up(f"{start} > 3") == errors[3]
    assert look_up(f"{start} > len") == len(errors)


def test_the_readme_s_numbers_are_those_of_its_figure() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    curve = json.loads((RESULTS / "errors-by-distance.json").read_text(encoding="utf-8"))
    errors = curve["largest error in ULP"]["exp(x - max) / sum in NumPy"]
    (said,) = re.findall(r"errors of up to (\d+) units in the last\s+place", readme)
    assert int(said) == round(max(errors))
    assert f"a staircase up to {said} ULP" in readme
    nearest = min(curve["distance"], key=lambda distance: abs(distance - 18))
    (said,) = re.findall(r"of (\d+) already where a logit is 18 below", readme)
    assert int(said) == int(errors[curve["distance"].index(nearest)])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent.json > seconds", "there is no docs/results/absent.json"),
        ("errors-by-distance.json > sed", "no key 'sed', there are 'seed'"),
        ("errors-by-distance.json > distance > 999", "no element '999' of 58"),
        ("errors-by-distance.json > distance > x", "no element 'x' of 58"),
        ("errors-by-distance.json > seed > x", "'x' asks for a part of 2502"),
        ("errors-by-distance.json > distance", "is a list of 58, must be one number or text"),
        (
            "peers-torch-softmax.json > summaries > [variant=softmax] > failed",
            r"\[variant=softmax\] fits 4 of 4 records, must fit one",
        ),
        (
            "peers-torch-softmax.json > summaries > [dtype=float8] > failed",
            r"\[dtype=float8\] fits 0 of 4 records",
        ),
    ],
)
def test_wrong_keys_are_errors(path: str, message: str) -> None:
    with pytest.raises(NoSuchNumberError, match=message):
        look_up(path)


def test_expressions_are_the_specification_s() -> None:
    assert evaluated("softmax(0, 0)[0]") == 0.5
    assert evaluated("sa_softmax(-1, -1)[0]") == 0
    assert float(evaluated("derivative(ssmax, 0, 0, 0, 0, s=2)")) == pytest.approx(
        2 * float(evaluated("ln(2)")) / 4
    )


@pytest.mark.parametrize("expression", ["softmux(1)", "softmax(1)[3]", "__import__('os')", "1 +"])
def test_wrong_expressions_are_errors(expression: str) -> None:
    with pytest.raises(NoSuchNumberError, match=re.escape(expression)):
        evaluated(expression)


@pytest.mark.parametrize(
    ("value", "how", "wanted"),
    [
        (66.5429, ".3g", "66.5"),
        (0.25, "%", "25%"),
        (-0.5, ".1f", "−0.5"),
        (6.45e-06, ".2e", "6.45 · 10⁻⁶"),
        (4000, ",", "4,000"),
        (1 / 3, "", "0.3333"),
        ("2.4.6", "", "2.4.6"),
    ],
)
def test_formats(value: object, how: str, wanted: str) -> None:
    assert formatted(value, how) == wanted
