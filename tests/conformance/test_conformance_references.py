"""References are the same from the cache as computed, and a bad cache is no worse than none."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np
import pytest

import softmax_variants_spec
from softmax_variants_spec import exact
from softmax_variants_spec.conformance import references
from softmax_variants_spec.conformance.references import References, rows_of
from softmax_variants_spec.conformance.regimes import regime
from softmax_variants_spec.conformance.variants import VARIANTS
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.variants import Variant

VARIANT = {variant.label: variant for variant in VARIANTS}
F32 = FORMATS["float32"]


@pytest.fixture(autouse=True)
def few_regimes(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [regime(name) for name in ("masked", "zeros", "scales", "tied-extrema")]
    monkeypatch.setattr(references, "REGIMES", few)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOFTMAX_VARIANTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows by every block whose reference is computed, and not read."""
    blocks: list[Any] = []

    def counted(block: Any, *rest: Any) -> Any:
        blocks.append(block)
        return original(block, *rest)

    original = references.reference_of
    monkeypatch.setattr(references, "reference_of", counted)
    return blocks


def make(variant: Variant = VARIANT["softmax"]) -> References:
    return References(variant, F32, smoke=True)


def arrays(found: References) -> dict[str, Any]:
    """Return every array of the references."""
    return {
        f"{name}/{i}/{part}/{field}": array
        for name in found.blocks
        for i, (_, reference) in enumerate(found[name])
        for part in ("weights", "gradient", "detached", "parameters")
        if getattr(reference, part) is not None
        for field, array in vars(getattr(reference, part)).items()
    }


def assert_same(a: References, b: References) -> None:
    one, other = arrays(a), arrays(b)
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype, name
        np.testing.assert_array_equal(array, other[name], strict=True)


def the_file(cache: Path) -> Path:
    (file,) = cache.rglob("*.npz")
    return file


@pytest.mark.parametrize("label", ["softmax", "ssmax", "sa_softmax.minmax"])
def test_cached_equal_computed(label: str, cache: Path, computed: list[Any]) -> None:
    first = make(VARIANT[label])
    count = len(computed)
    assert count > 0
    assert re.fullmatch(rf"{label}-float32-smoke-[0-9a-f]{{8}}\.npz", the_file(cache).name)
    second = make(VARIANT[label])
    assert len(computed) == count
    assert_same(first, second)
    parts = {name.split("/")[2] for name in arrays(second)}
    assert (
        parts
        == {"weights", "gradient"}
        | {
            "softmax": set(),
            "ssmax": {"parameters"},
            "sa_softmax.minmax": {"detached"},
        }[label]
    )


def test_progress_tells_what_is_computed(cache: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        References(VARIANT["softmax"], F32, smoke=True, progress=told.append)
    assert told == ["masked", "zeros"]


def test_references_are_exact(cache: Path) -> None:
    make()
    for block, reference in make()["masked"]:
        rows = rows_of(block, VARIANT["softmax"])
        for i, row in enumerate(rows):
            weights = exact.weights(row, F32)
            assert reference.weights.rounded[i].tolist() == [w.rounded for w in weights]
            assert reference.weights.residual[i].tolist() == [w.residual for w in weights]
            gradients = exact.gradient(row, block.dy[i].tolist(), F32)
            assert reference.gradient.high[i].tolist() == [float(g.value) for g in gradients]


def test_smoke_and_full_do_not_share(cache: Path, computed: list[Any]) -> None:
    make()
    count = len(computed)
    References(VARIANT["softmax"], F32, smoke=False)
    assert len(computed) > count
    assert {file.name.rpartition("-")[0] for file in cache.rglob("*.npz")} == {
        "softmax-float32-smoke",
        "softmax-float32-full",
    }


def damage(name: str, good: bytes) -> bytes:
    middle = len(good) // 2
    return {
        "empty": b"",
        "garbage": b"not an archive" * 100,
        "truncated": good[:middle],
        "no end": good[:-30],
        "a byte": good[:middle] + bytes([good[middle] ^ 0x5A]) + good[middle + 1 :],
        "zeros": bytes(len(good)),
    }[name]


@pytest.mark.parametrize("name", ["empty", "garbage", "truncated", "no end", "a byte", "zeros"])
def test_a_damaged_file_is_computed_again(name: str, cache: Path, computed: list[Any]) -> None:
    first = make()
    count = len(computed)
    file = the_file(cache)
    file.write_bytes(damage(name, file.read_bytes()))
    again = make()
    assert len(computed) == 2 * count
    assert_same(first, again)
    # And it is whole again.
    make()
    assert len(computed) == 2 * count


def test_no_damage_goes_unseen(cache: Path) -> None:
    """Whatever byte is damaged, what is read is right or nothing."""
    whole = arrays(make())
    file = the_file(cache)
    good = file.read_bytes()
    places = {*range(0, len(good), 97), *range(60), *range(len(good) - 150, len(good))}
    for place in sorted(places):
        file.write_bytes(good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :])
        found = references._load(file)
        if found is not None:
            assert found.keys() == whole.keys()
            for name, array in found.items():
                np.testing.assert_array_equal(array, whole[name])


@pytest.mark.parametrize(
    "content",
    [
        {"other": np.zeros(3)},
        {"index": np.asarray('[["a", "<f8", [4]]]'), "data": np.zeros(3)},
        {"index": np.asarray("{"), "data": np.zeros(3)},
        {"index": np.asarray("5"), "data": np.zeros(3)},
        {"index": np.asarray('[["a", "<f8"]]'), "data": np.zeros(3)},
        {"index": np.asarray('[["a", "what", [3]]]'), "data": np.zeros(3)},
        {"index": np.asarray("[]"), "data": np.zeros(0)},
    ],
    ids=["others", "short", "no JSON", "number", "pair", "dtype", "nothing"],
)
def test_an_archive_of_something_else_is_computed_again(
    content: dict[str, Any], cache: Path, computed: list[Any]
) -> None:
    first = make()
    count = len(computed)
    np.savez(the_file(cache), **content)
    assert_same(first, make())
    assert len(computed) == 2 * count


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[Any]
) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    monkeypatch.setenv("SOFTMAX_VARIANTS_CACHE", str(file / "below"))
    first = make()
    count = len(computed)
    assert_same(first, make())
    assert len(computed) == 2 * count
    assert file.read_text() == "kept"


def test_writing_that_fails_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any, **_: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    make()
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the specification's source, which the key of the cache is now made of."""
    root = Path(softmax_variants_spec.__file__).parent
    copy = tmp_path / "softmax_variants_spec"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(softmax_variants_spec, "__file__", str(copy / "__init__.py"))
    monkeypatch.setattr(references, "__file__", str(copy / "conformance" / "references.py"))
    return copy


@pytest.mark.parametrize(
    "name",
    [
        "exact.py",
        "formats.py",
        "accuracy.py",
        "variants/ssmax.py",
        "conformance/references.py",
        "conformance/blocks.py",
        "conformance/regimes.py",
        "conformance/regimes_gates.py",
        "conformance/regimes_scales.py",
    ],
)
def test_the_key_changes_with_the_source(name: str, copied: Path) -> None:
    before = references._source_hash()
    file = copied / name
    source = file.read_text()
    file.write_text(f"{source}\n# another word\n")
    assert references._source_hash() != before
    file.write_text(source)
    assert references._source_hash() == before


def test_the_key_changes_with_files_that_come_and_go(copied: Path) -> None:
    before = references._source_hash()
    (copied / "more.py").write_text("")
    assert references._source_hash() != before
    (copied / "more.py").unlink()
    (copied / "variants" / "softmax.py").rename(copied / "variants" / "hardmax.py")
    assert references._source_hash() != before


def test_the_key_does_not_change_with_what_only_judges(copied: Path) -> None:
    before = references._source_hash()
    for name in ("judge.py", "report.py", "cli.py", "checks/values.py"):
        (copied / "conformance" / name).write_text("# something else\n")
    assert references._source_hash() == before


def test_the_key_changes_with_mpmath(monkeypatch: pytest.MonkeyPatch) -> None:
    before = references._source_hash()
    monkeypatch.setattr(mpmath, "__version__", "0.0")
    assert references._source_hash() != before


@pytest.mark.parametrize(
    ("platform", "variables", "wanted"),
    [
        ("linux", {"SOFTMAX_VARIANTS_CACHE": "chosen", "XDG_CACHE_HOME": "xdg"}, "chosen"),
        ("linux", {"XDG_CACHE_HOME": "xdg"}, "xdg/softmax_variants"),
        ("linux", {}, "~/.cache/softmax_variants"),
        ("darwin", {"SOFTMAX_VARIANTS_CACHE": ""}, "~/.cache/softmax_variants"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/softmax_variants"),
        ("win32", {}, "~/softmax_variants"),
    ],
)
def test_where_the_cache_is(
    platform: str, variables: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SOFTMAX_VARIANTS_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert references._cache_root() == Path(wanted).expanduser()
