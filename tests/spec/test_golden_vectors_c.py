"""The C program of docs/golden-vectors.md reads every file and judges functions in C."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "golden_vectors_c"
FOLDER = Path(__file__).parents[2] / "spec" / "softmax_variants_spec" / "vectors" / "data"
FILES = sorted(FOLDER.glob("*-*float*.json"))


def build(folder: Path, *flags: str) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.fail("these tests compile a C program: install a C compiler named cc")
    program = folder / "golden_vectors"
    sources = [str(SOURCES / f"{name}.c") for name in ("main", "json", "judge", "functions")]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    done = subprocess.run(
        [compiler, "-std=c11", "-O1", *warnings, *flags, "-o", str(program), *sources, "-lm"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path, accuracy: str, *files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, accuracy, *files], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("c"))


def file_of(variant: str, dtype: str = "float32") -> Path:
    return FOLDER / f"{variant}-{dtype}.json"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_functions_in_long_double_are_right(path: Path, program: Path):
    # A cancelling c = s ln n + b in long double has not the bits that binary64 weights need.
    narrow = not path.stem.endswith("float64")
    accuracy = "correct" if narrow else "bounded" if path.stem.startswith("ssmax") else "faithful"
    done = run(program, accuracy, path)
    assert done.returncode == 0, done.stdout
    total = path.read_text().count('\n "id": ')
    found = re.fullmatch(
        rf"{re.escape(path.name)}: (\d+) of (\d+) vectors meet {accuracy}; weights: largest error "
        r"([0-9.]+) ULP \(\S+\), (\d+) of (\d+) correctly rounded; "
        r"gradients: largest error ([0-9.e-]+) of the tolerance \(\S+\)\n",
        done.stdout,
    )
    assert found, done.stdout
    assert int(found[1]) == int(found[2]) == total > 100
    assert float(found[6]) < 1
    if narrow:
        # Some weights of these gates lie closer to a middle than long double tells apart.
        near_ties = path.stem.startswith(("sa_softmax.plain", "sa_softmax.shifted"))
        assert int(found[5]) - int(found[4]) <= (3 if near_ties else 0)
        assert float(found[3]) <= 0.5


@pytest.mark.parametrize(
    ("flag", "variant", "groups"),
    [
        ("NO_SHIFT", "softmax", {"range-ends", "large-centre", "special/full-range"}),
        ("FLOAT_SHIFT", "softmax", {"binade-crossing", "sign-crossing", "masked"}),
        ("COUNTS_ABSENT", "ssmax", {"masked", "special/n-counts-present"}),
        ("ABSENT_EXTREMA", "sa_softmax.minmax", {"masked", "special/absent-weight"}),
        ("FIRST_TIE", "sa_softmax.normalized", {"ties", "tied-extrema", "special/ties"}),
    ],
)
def test_a_broken_build_fails_by_name(flag: str, variant: str, groups: set[str], tmp_path: Path):
    done = run(build(tmp_path, f"-DBROKEN_{flag}"), "tight", file_of(variant))
    assert done.returncode == 1
    *faults, summary = done.stdout.splitlines()
    named = [re.match(rf"{variant}/float32/(\S+)/\d+: \w+\[\d+\] is ", line) for line in faults]
    assert all(named), done.stdout
    assert groups <= {one[1] for one in named if one}
    met, total = map(int, re.findall(r"(\d+) of (\d+) vectors meet tight", summary)[0])
    assert total - met == len({line.split(":")[0] for line in faults}) > 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"license": ', '"license" ', "softmax-float32.json: line 4: a colon wanted"),
        (
            '"softmax",',
            '"soft\\tmax",',
            "a character other than \\ and controls wanted, found '\\'",
        ),
        ('"where"', '"wher"', "softmax/float32/special/absent-weight/0: where is no array"),
        ('"0x1.8p+1"', '"0x1.8q+1"', "a number is not readable"),
        ('"function": "softmax"', '"function": "hardmax"', "function or form is unknown"),
        ('"strictest"', '"strict"', "strictest is missing or of another type"),
        ('"precision": 24', '"precision": 113', "long double is not wider than this format here"),
    ],
)
def test_a_corrupt_file_is_described(
    old: str, new: str, message: str, program: Path, tmp_path: Path
):
    text = file_of("softmax").read_text()
    assert old in text
    path = tmp_path / "softmax-float32.json"
    path.write_text(text.replace(old, new, 1))
    done = run(program, "correct", path)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("result", "steps", "met"),
    [
        ("weights", 0, ["correct", "faithful", "tight", "bounded"]),
        ("weights", 1, ["faithful", "tight", "bounded"]),
        ("weights", 2, ["tight", "bounded"]),
        ("weights", 4, ["tight", "bounded"]),
        ("weights", 5, ["bounded"]),
        ("weights", 18, ["bounded"]),
        ("weights", 19, []),
        ("dx", 0, ["correct", "faithful", "tight", "bounded"]),
        ("dx", 146, ["correct", "faithful", "tight", "bounded"]),
        ("dx", 147, ["tight", "bounded"]),
        ("dx", 584, ["tight", "bounded"]),
        ("dx", 585, ["bounded"]),
        ("dx", 1272, ["bounded"]),
        ("dx", 1273, []),
    ],
)
def test_each_class_ends_where_the_page_says(
    result: str, steps: int, met: list[str], program: Path, tmp_path: Path
):
    # The program's result is the rounded one; the file is made to want another, steps below it.
    file = json.loads(file_of("softmax").read_text())
    (vector,) = (v for v in file["vectors"] if v["id"] == "softmax/float32/lengths/2")
    wanted = vector["results"][result]
    residual = 0.25 if result == "weights" else 0.0  # its sign says where the other neighbour is
    tolerance = {"weights": {"bounded": 18.0}, "dx": {"correct": 146.0, "tight": 584.0}}[result]
    tolerance.setdefault("bounded", 1272.0)
    wanted["value"][0] = (
        float.fromhex(wanted["value"][0]) - steps * 2.0 ** wanted["unit"][0]
    ).hex()
    wanted["residual"][0] = residual.hex()
    for accuracy, allowed in tolerance.items():
        wanted["tolerance"][accuracy][0] = allowed.hex()
    path = tmp_path / "softmax-float32.json"
    path.write_text(json.dumps(file, ensure_ascii=False))
    found = [
        accuracy
        for accuracy in ("correct", "faithful", "tight", "bounded")
        if run(program, accuracy, path).returncode == 0
    ]
    assert found == met


def test_a_file_that_ends_early_is_described(program: Path, tmp_path: Path):
    path = tmp_path / "softmax-float32.json"
    path.write_bytes(file_of("softmax").read_bytes()[:5000])
    done = run(program, "correct", path)
    assert done.returncode == 2
    assert re.search(r"softmax-float32\.json: line \d+: .* wanted, found the end", done.stderr)


def test_usage(program: Path, tmp_path: Path):
    for accuracy, files in (("exact", [file_of("softmax")]), ("correct", [])):
        done = run(program, accuracy, *files)
        assert done.returncode == 2
        assert "correct|faithful|tight|bounded FILE..." in done.stderr
    done = run(program, "correct", tmp_path / "none.json")
    assert done.returncode == 2
    assert "none.json: No such file" in done.stderr
