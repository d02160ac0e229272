"""A reader of the golden vectors written from docs/golden-vectors.md alone judges a backend.

It imports nothing of the specification: what it knows of the files, the page has said.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softmax_variants_backends.numpy as backend

FOLDER = Path(__file__).parents[2] / "spec" / "softmax_variants_spec" / "vectors" / "data"
CLASSES = ["correct", "faithful", "tight", "bounded"]
FILES = [
    path.name
    for path in sorted(FOLDER.glob("*-*float*.json"))
    if "-bfloat16" not in path.name  # NumPy has none
]


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text())


def in_units(v: float, unit: int, emax: int) -> Fraction:
    finite = Fraction(v) if math.isfinite(v) else Fraction(2) ** (emax + 1) * (1 if v > 0 else -1)
    return finite / Fraction(2) ** unit


def meets(name: str, accuracy: str, got: float, result: dict[str, Any], i: int, emax: int) -> bool:
    value = float.fromhex(result["value"][i])
    if got == value or (math.isnan(got) and math.isnan(value)):
        return True
    if "residual" not in result or i in result["always"]:
        return False
    if name == "weights" and accuracy == "correct":
        return False
    column = result["tolerance"].get("correct" if accuracy == "faithful" else accuracy)
    tolerance = 4.0 if column is None else float.fromhex(column[i])
    if math.isinf(tolerance):
        return True
    if math.isnan(got):
        return False
    unit, residual = result["unit"][i], float.fromhex(result["residual"][i])
    steps = in_units(got, unit, emax) - in_units(value, unit, emax)
    if name == "weights" and accuracy == "faithful":
        if math.isinf(value):
            return steps == (-1 if value > 0 else 1)
        return steps == (residual > 0) - (residual < 0)
    return abs(steps - Fraction(residual)) <= Fraction(tolerance)


def parameter(text: str) -> Any:
    # Python numbers reach a backend finite only; others come in arrays.
    v = float.fromhex(text)
    return v if math.isfinite(v) else np.asarray([v])


def count(text: str | None) -> Any:
    if text is None:
        return None
    n = int(text) if "0x" not in text and text.lstrip("-").isdigit() else float.fromhex(text)
    return n if math.isfinite(n) and n > 0 else np.asarray([n])


def compute(file: dict[str, Any], vector: dict[str, Any], name: str) -> list[float]:
    function, dtype = file["function"], file["format"]["name"]
    x, dy = (
        np.asarray([float.fromhex(v) for v in vector[key] or ()], dtype=dtype)
        for key in ("x", "dy")
    )
    where = None if vector["where"] is None else np.asarray(vector["where"], dtype=bool)
    options: dict[str, Any] = {"axis": 0, "where": where}
    parameters: list[Any] = []
    if function == "ssmax":
        parameters = [parameter(vector["s"]), parameter(vector["b"])]
        options["n"] = count(vector["n"])
    if function == "sa_softmax":
        options |= {"form": file["form"], "detach_extrema": name == "dx_detached"}
    if name == "weights":
        return getattr(backend, function)(x, *parameters, out=None, **options).tolist()
    found = getattr(backend, f"{function}_vjp")(x, dy, *parameters, **options)
    if function == "ssmax":
        found = found[("dx", "ds", "db").index(name)]
    return np.ravel(found).astype(np.float64).tolist()


def failures(file: dict[str, Any], claim: str, compute: Any) -> list[str]:
    failed = []
    for vector in file["vectors"]:
        strictest = file["groups"][vector["group"]]["strictest"]
        accuracy = CLASSES[max(CLASSES.index(claim), CLASSES.index(strictest))]
        for name, result in vector["results"].items():
            got = compute(file, vector, name)
            assert len(got) == len(result["value"]), vector["id"]
            failed += [
                f"{vector['id']}: {name}[{i}] is {v.hex()}"
                for i, v in enumerate(got)
                if not meets(name, accuracy, v, result, i, file["format"]["emax"])
            ]
    return failed


def largest_error(file: dict[str, Any]) -> Fraction:
    """Return the largest error of a weight in ULP where the class is not in the way."""
    errors, emax = [Fraction(0)], file["format"]["emax"]
    for vector in file["vectors"]:
        result = vector["results"].get("weights", {})
        if "residual" not in result or file["groups"][vector["group"]]["strictest"] != "correct":
            continue
        for i, got in enumerate(compute(file, vector, "weights")):
            if i not in result["always"]:
                unit = result["unit"][i]
                value = in_units(float.fromhex(result["value"][i]), unit, emax)
                residual = Fraction(float.fromhex(result["residual"][i]))
                errors.append(abs(in_units(got, unit, emax) - value - residual))
    return max(errors)


@pytest.mark.parametrize("name", FILES)
def test_the_numpy_backend_meets_its_claim(name: str):
    file = read(name)
    claim = backend.CLAIMS[file["function"], file["format"]["name"]]
    assert failures(file, claim if isinstance(claim, str) else "faithful", compute) == []
    if not isinstance(claim, str):
        # An error in ULP is known to 2^-26.
        assert largest_error(file) <= Fraction(claim) + Fraction(1, 2**26)


def test_the_rounded_results_meet_every_class():
    for name in FILES:
        file = read(name)
        for claim in CLASSES:
            stored = failures(
                file, claim, lambda _, v, r: [float.fromhex(h) for h in v["results"][r]["value"]]
            )
            assert stored == [], name


def test_results_next_to_the_right_ones_are_told_apart():
    # The other neighbour is faithful and not correct; the one beyond it is tight; 5 ULP are not.
    file = read("softmax-float32.json")
    (vector,) = (v for v in file["vectors"] if v["id"] == "softmax/float32/lengths/2")
    result = vector["results"]["weights"]
    value, residual = (np.float32(float.fromhex(result[key][0])) for key in ("value", "residual"))
    other = np.nextafter(value, np.float32(np.inf * residual))
    beyond = np.nextafter(other, np.float32(np.inf * residual))
    far = np.float32(value + 5 * np.float32(2.0) ** result["unit"][0] * np.sign(residual))

    def met(got: Any) -> list[str]:
        return [c for c in CLASSES if meets("weights", c, float(got), result, 0, 127)]

    assert met(value) == CLASSES
    assert met(other) == CLASSES[1:]
    assert met(beyond) == CLASSES[2:]
    assert met(far) == CLASSES[3:]
    assert met(np.nan) == met(1.0 + 2**-10) == []
    (absent,) = (v for v in file["vectors"] if v["id"] == "softmax/float32/special/absent-weight/0")
    wrong = {
        c: meets("weights", c, 2.0**-149, absent["results"]["weights"], 0, 127) for c in CLASSES
    }
    assert not any(wrong.values())


def test_a_plain_softmax_in_the_format_is_not_tight():
    def plain(file: dict[str, Any], vector: dict[str, Any], name: str) -> list[float]:
        if name != "weights":
            return compute(file, vector, name)
        x = np.asarray([float.fromhex(v) for v in vector["x"]], dtype="float32")
        x = np.where(np.asarray(vector["where"] or True), x, np.float32(-np.inf))
        with np.errstate(all="ignore"):
            e = np.exp(x - x.max(initial=-np.inf))
            return (e / e.sum()).astype(np.float64).tolist()

    failed = {line.split(":")[0] for line in failures(read("softmax-float32.json"), "tight", plain)}
    groups = {one.split("/", 2)[2].rsplit("/", 1)[0] for one in failed}
    # Rounded differences and, as 0/0, rows without present entries; ordinary rows are well.
    assert {"binade-crossing", "sign-crossing", "masked", "special/empty-row"} <= groups
    assert not groups & {"sterbenz", "large-centre", "zeros", "ties"}
