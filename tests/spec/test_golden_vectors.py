"""The golden vectors: their files, their schema, and that the specification reproduces them."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mpmath import mp

from softmax_variants_spec import exact
from softmax_variants_spec.accuracy import gradient_tolerance, relative_bound
from softmax_variants_spec.conformance.regimes import REGIMES
from softmax_variants_spec.formats import FORMATS
from softmax_variants_spec.row import Row
from softmax_variants_spec.special_values import SPECIAL_VALUES
from softmax_variants_spec.vectors import VARIANTS, load
from softmax_variants_spec.vectors.__main__ import main
from softmax_variants_spec.vectors._files import frozen_inputs, parse
from softmax_variants_spec.vectors._hexadecimal import (
    count_from_text,
    from_hex,
    shorten,
    text_of_count,
    to_hex,
)
from softmax_variants_spec.vectors._results import results_of

ROOT = Path(__file__).parents[2]
FOLDER = Path(str(resources.files("softmax_variants_spec.vectors"))) / "data"
FILES = [(variant, dtype) for variant in VARIANTS for dtype in FORMATS]
INDEX = json.loads((FOLDER / "index.json").read_text())


def name_of(variant: str, dtype: str) -> str:
    return f"{variant}-{dtype}.json"


def written(variant: str, dtype: str) -> dict[str, Any]:
    return json.loads((FOLDER / name_of(variant, dtype)).read_text())


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads((FOLDER / "vectors.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """One file of vectors with an index of it, to be damaged."""
    name = name_of("ssmax", "float16")
    (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    (entry,) = (e for e in INDEX["files"] if e["file"] == name)
    (tmp_path / "index.json").write_text(json.dumps({**INDEX, "files": [entry]}))
    return tmp_path


def check(folder: Path, *arguments: str) -> int:
    return main([*arguments, "--folder", str(folder), "--variant", "ssmax", "--dtype", "float16"])


def damage(folder: Path, old: str, new: str, *, indexed: bool = True) -> None:
    """Replace a text of the file once, and tell the index its new checksum."""
    path = folder / name_of("ssmax", "float16")
    text = path.read_text()
    assert old in text
    content = text.replace(old, new, 1).encode()
    path.write_bytes(content)
    if indexed:
        index = json.loads((folder / "index.json").read_text())
        index["files"][0]["sha256"] = hashlib.sha256(content).hexdigest()
        (folder / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(("variant", "dtype"), FILES)
def test_schema(variant: str, dtype: str, validator: Draft202012Validator):
    errors = [
        f"{list(e.absolute_path)}: {e.message}"
        for e in validator.iter_errors(written(variant, dtype))
    ]
    assert errors == []


def test_schema_of_the_index():
    schema = json.loads((FOLDER / "index.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(INDEX)


def measured(file: dict[str, Any]) -> dict[str, Any]:
    """Return a vector whose gradient is measured."""
    return next(v for v in file["vectors"] if "residual" in v["results"].get("dx", {}))


def dx(file: dict[str, Any]) -> dict[str, Any]:
    return measured(file)["results"]["dx"]


SPOILT = {
    "unknown field": lambda file: file.update(comment="more"),
    "form of another function": lambda file: file.update(form="plain"),
    "unknown class": lambda file: file["groups"]["normal"].update(strictest="exact"),
    "parameter of another function": lambda file: measured(file).update(s="0x1p+0"),
    "no mask": lambda file: measured(file).pop("where"),
    "trailing zero": lambda file: measured(file)["x"].append("0x1.0p+0"),
    "JSON number": lambda file: measured(file)["x"].append(1.0),
    "ds": lambda file: measured(file)["results"].update(ds={"value": ["0x0p+0"]}),
    "dx_detached": lambda file: measured(file)["results"].update(dx_detached={"value": []}),
    "gradient without cotangents": lambda file: measured(file).update(dy=None),
    "no unit": lambda file: dx(file).pop("unit"),
    "residual of 1": lambda file: dx(file)["residual"].append("0x1p+0"),
    "no tolerance of a class": lambda file: dx(file)["tolerance"].pop("tight"),
    "negative tolerance": lambda file: dx(file)["tolerance"]["tight"].append("-0x1p+0"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_the_schema_is_strict(what: str, validator: Draft202012Validator):
    file = written("softmax", "float16")
    assert validator.is_valid(file)
    SPOILT[what](file)
    assert not validator.is_valid(file)


def test_checksums():
    assert {entry["file"] for entry in INDEX["files"]} == {name_of(*file) for file in FILES}
    for entry in INDEX["files"]:
        content = (FOLDER / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], entry["file"]


def test_the_index_names_the_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert INDEX["specification_version"] == project["version"]
    assert INDEX["license"] == project["license"]


def test_ids_are_unique_and_say_where_they_belong():
    ids = []
    for variant, dtype in FILES:
        file = load(variant, dtype)
        assert {vector.group for vector in file.vectors} == set(file.groups)
        for vector in file.vectors:
            assert vector.id.startswith(f"{variant}/{dtype}/{vector.group}/")
        ids += [vector.id for vector in file.vectors]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("variant", "dtype"), FILES)
def test_the_specification_reproduces_the_file(
    variant: str, dtype: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["--check", "--variant", variant, "--dtype", dtype]) == 0
    assert capsys.readouterr().out == f"{name_of(variant, dtype)}: reproduced\n"


@pytest.mark.parametrize(("variant", "dtype"), FILES)
def test_gradients_are_those_that_the_suite_judges_by(variant: str, dtype: str):
    file = load(variant, dtype)
    for vector in file.vectors[::3]:
        for name in ("dx", "dx_detached"):
            result = vector.results.get(name)
            if result is None or result.tolerance is None:
                continue
            row = replace(vector.row, detach_extrema=name == "dx_detached")
            bound = max(relative_bound(row, file.fmt))
            for i, entry in enumerate(exact.gradient(row, vector.dy, file.fmt)):
                if i in result.always or math.isinf(result.value[i]):
                    continue
                unit = mp.ldexp(1, result.unit[i])
                with mp.workprec(4096):
                    error = abs(result.value[i] + result.residual[i] * unit - entry.value)
                # 25 bits of the residual, which is at most half a unit.
                assert error <= unit * 2**-26 + entry.scale * 2**-100, vector.id
                for accuracy, allowed in result.tolerance.items():
                    if math.isfinite(allowed[i]):
                        wanted = gradient_tolerance(accuracy, entry, file.fmt, bound=bound) / unit
                        assert abs(allowed[i] - wanted) <= wanted * 2**-13, vector.id


@pytest.mark.parametrize(
    ("row", "name", "wanted"),
    [
        (Row("softmax", (1.0, -math.inf, 2.0)), "weights", (1,)),
        (Row("softmax", (1.0, -math.inf, 2.0)), "dx", (1,)),
        (Row("softmax", (1.0, math.nan, 2.0), where=(True, False, False)), "dx", (0, 1, 2)),
        (Row("softmax", (1.0, math.nan, 2.0)), "weights", (0, 1, 2)),
        (Row("ssmax", (1.0, 2.0, 3.0), s=math.nan), "ds", (0,)),
        (Row("ssmax", (1.0, 2.0, 3.0)), "ds", ()),
        (Row("sa_softmax", (1.0, 2.0, 3.0), form="minmax"), "weights", (0,)),
        (Row("sa_softmax", (1.0, 2.0, 3.0), form="plain"), "dx", ()),
        (Row("sa_softmax", (2.0, 2.0, 2.0), form="minmax"), "dx_detached", (0, 1, 2)),
        (Row("sa_softmax", (2.0, 2.0, 2.0), form="shifted"), "dx", ()),
        (Row("sa_softmax", (-math.inf, 2.0, -math.inf)), "dx", (0, 1, 2)),
        (Row("sa_softmax", (-math.inf, 2.0, -math.inf)), "dx_detached", (0, 2)),
        (Row("sa_softmax", (-math.inf, 2.0, -math.inf), form="plain"), "dx", (0, 2)),
    ],
)
def test_what_is_asked_in_every_class(row: Row, name: str, wanted: tuple[int, ...]):
    results = results_of(row, (1.0, 2.0, -1.0), FORMATS["float32"], {name: ()})
    assert results[name].always == wanted


@pytest.mark.parametrize(("variant", "dtype"), FILES)
def test_tolerances_ask_nothing_in_few_places_only(variant: str, dtype: str):
    # Gradients beyond binary64, weights in whose bound the size of a gate is, cancelled scales.
    allowed = {"range-ends", "subnormal-logits", "cancelling-scale", "cancelled-scale"}
    allowed |= {"recorded-additive-mask"}
    for vector in load(variant, dtype).vectors:
        for result in vector.results.values():
            for column in (result.tolerance or {}).values():
                assert all(map(math.isfinite, column)) or vector.group in allowed, vector.id


@pytest.mark.parametrize(("variant", "dtype"), FILES)
def test_every_regime_and_special_value_has_vectors(variant: str, dtype: str):
    file = load(variant, dtype)
    wanted = {regime.name for regime in REGIMES if file.function in regime.functions}
    for value in SPECIAL_VALUES:
        function, name = value.id.split(".", maxsplit=1)
        forms = {case.form for case in value.cases(file.fmt)}
        if function == file.function and (file.form is None or file.form in forms):
            wanted.add(f"special/{name}")
    missing = wanted - set(file.groups)
    assert not missing, "python -m softmax_variants_spec.vectors --add adds them"


def test_a_changed_result_is_found(copied: Path, capsys: pytest.CaptureFixture[str]):
    vector = next(v for v in load("ssmax", "float16").vectors if v.group == "normal")
    text = to_hex(vector.results["weights"].residual[0])
    damage(copied, f'"residual": ["{text}"', '"residual": ["0x1p-9"')
    assert check(copied, "--check") == 1
    assert f"{vector.id}: weights.residual is ['0x1p-9'" in capsys.readouterr().out


def test_writing_repairs_a_result(copied: Path):
    original = (copied / name_of("ssmax", "float16")).read_bytes()
    damage(copied, '"bounded": ["', '"bounded": ["0x1p+40","')
    assert check(copied, "--write") == 0
    assert (copied / name_of("ssmax", "float16")).read_bytes() == original
    assert check(copied, "--check") == 0


def test_inputs_are_permanent(copied: Path, capsys: pytest.CaptureFixture[str]):
    damage(copied, '"b": "0x0p+0"', '"b": "0x1p+0"')
    changed = (copied / name_of("ssmax", "float16")).read_bytes()
    for action in ("--check", "--write", "--add"):
        assert check(copied, action) == 1
        assert "ids or inputs of its first" in capsys.readouterr().out
    assert (copied / name_of("ssmax", "float16")).read_bytes() == changed


def test_a_file_of_another_checksum_is_named(copied: Path, capsys: pytest.CaptureFixture[str]):
    damage(copied, "0x1p+0", "0x1p+1", indexed=False)
    assert check(copied, "--check") == 1
    assert re.search("ssmax-float16.json: its SHA-256 is [0-9a-f]+, index", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"vectors": [', '"vectors": ', "ssmax-float16.json: the file is not as the schema wants"),
        ('"format_version": 1', '"format_version": 2', "format_version is 2, this reads 1"),
        ('"where"', '"wher"', "vector ssmax/float16/special/absent-weight/0 has no 'where'"),
        ('"0x1.8p+1"', '"0x1.80p+1"', "a hexadecimal float such as '0x1.8p+1', 'nan' or '-inf' is"),
        ('"groups": {', '"groups": {"odd": {},', "the file is not as the schema wants it"),
    ],
)
def test_a_corrupt_file_is_described(
    copied: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
):
    damage(copied, old, new)
    assert check(copied, "--check") == 1
    assert message in capsys.readouterr().out


def test_missing_and_unknown_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for path in FOLDER.iterdir():
        if path.name != name_of("softmax", "float32"):
            (tmp_path / path.name).write_bytes(path.read_bytes() if "index" in path.name else b"")
    (tmp_path / "notes.txt").write_text("")
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "softmax-float32.json: cannot be read: No such file" in out
    assert "notes.txt: no file of golden vectors has this name" in out


def test_files_are_made_from_an_empty_folder(tmp_path: Path):
    # A second time nothing is added.
    assert check(tmp_path, "--add") == 0
    path = tmp_path / name_of("ssmax", "float16")
    first = path.read_bytes()
    assert check(tmp_path, "--add") == 0
    assert path.read_bytes() == first
    index = json.loads((tmp_path / "index.json").read_text())
    assert len(index["files"][0]["frozen"]) == 1
    assert check(tmp_path, "--check") == 0


def test_rows_of_a_new_group_are_added_at_the_end(copied: Path):
    path = copied / name_of("ssmax", "float16")
    original = path.read_bytes()
    whole = json.loads(original)
    kept = [v for v in whole["vectors"] if v["group"] not in {"cotangents", "special/n-given"}]
    groups = {g: s for g, s in whole["groups"].items() if g in {v["group"] for v in kept}}
    sentence = groups["normal"]["sentence"]
    fewer = {
        **whole,
        "groups": {**groups, "normal": {"sentence": "As it was.", "strictest": "correct"}},
        "vectors": kept,
    }
    path.write_text(json.dumps(fewer))
    frozen = frozen_inputs(parse(path.name, path.read_bytes()).vectors)
    entry = {
        "file": path.name,
        "sha256": "",
        "vectors": len(kept),
        "frozen": [{"vectors": len(kept), "sha256": frozen}],
    }
    (copied / "index.json").write_text(json.dumps({**INDEX, "files": [entry]}))
    assert check(copied, "--add") == 0
    file = json.loads(path.read_bytes())
    added = file["vectors"]
    assert file["groups"]["normal"]["sentence"] == sentence
    assert [v["id"] for v in added[: len(kept)]] == [v["id"] for v in kept]
    assert {v["group"] for v in added[len(kept) :]} == {"cotangents", "special/n-given"}
    index = json.loads((copied / "index.json").read_text())
    assert [f["vectors"] for f in index["files"][0]["frozen"]] == [len(kept), len(added)]
    assert check(copied, "--check") == 0


def test_loading_what_there_is_not():
    with pytest.raises(ValueError, match=r"variant must be one of softmax, .*, got 'sa_softmax'"):
        load("sa_softmax", "float32")
    with pytest.raises(ValueError, match=r"dtype must be one of float16, .*, got 'float8'"):
        load("softmax", "float8")


def test_loading_a_damaged_file(copied: Path, monkeypatch: pytest.MonkeyPatch):
    damage(copied, "0x1p+0", "0x1p+1", indexed=False)
    monkeypatch.setattr("softmax_variants_spec.vectors._files.data", lambda: copied)
    with pytest.raises(ValueError, match=r"ssmax-float16\.json is not the file that index\.json"):
        load("ssmax", "float16")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0x0p+0"),
        (-0.0, "-0x0p+0"),
        (1.0, "0x1p+0"),
        (-1.5, "-0x1.8p+0"),
        (2.0**-1074, "0x1p-1074"),
        (3 * 2.0**-1074, "0x1.8p-1073"),
        (1.7976931348623157e308, "0x1.fffffffffffffp+1023"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_hexadecimal(number: float, text: str):
    assert to_hex(number) == text
    assert from_hex(text).hex() == number.hex()


@pytest.mark.parametrize(
    "text", ["1.0", "0x1.80p+0", "0x2p+0", "0x1p0", "0x1p+01", "-nan", "", 2.5]
)
def test_other_spellings_are_refused(text: object):
    with pytest.raises(ValueError, match="a hexadecimal float such as"):
        from_hex(text)


def test_counts():
    for n in (1, 2**53 + 1, -1, 0.25, math.inf):
        assert count_from_text(text_of_count(n)) == n
    assert isinstance(count_from_text("7"), int)


def test_shortening():
    assert shorten(1 + 2.0**-3, 3) == 1.0
    assert shorten(1 + 3 * 2.0**-3, 3) == 1.5
    assert shorten(5e-324, 2) == 5e-324
    assert shorten(1.7976931348623157e308, 13) == math.inf
    assert shorten(-math.inf, 13) == -math.inf


def test_the_page_shows_a_vector_as_it_is():
    page = (ROOT / "docs" / "golden-vectors.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    shown = json.loads(block)
    vectors = {v["id"]: v for v in written("softmax", "float32")["vectors"]}
    assert shown == vectors[shown["id"]]


def test_the_page_names_every_field_and_option():
    page = (ROOT / "docs" / "golden-vectors.md").read_text()
    schema = json.loads((FOLDER / "vectors.schema.json").read_text())
    fields = {*schema["$defs"]["vector"]["properties"], *schema["$defs"]["result"]["properties"]}
    fields |= set(schema["$defs"]["vector"]["properties"]["results"]["properties"])
    assert f"One JSON file a variant and format, {len(FILES)} in all" in page
    for field in fields | {"--check", "--add", "--write", "strictest"}:
        assert f"`{field}`" in page or f"vectors {field} " in page, field
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (ROOT / "docs" / link).exists(), link
