"""The example that trains: its task, its models and its whole run, small and on the CPU."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples/needle_in_a_haystack"
MODULES = [file.stem for file in sorted(FOLDER.glob("*.py"))]
SMALL = {"length": 8, "keys": 64, "values": 8, "width": 32, "heads": 2, "batch": 32, "warmup": 10}
OPTIONS = [f"--{name}={value}" for name, value in SMALL.items()] + ["--learning-rate=1e-2"]


@pytest.fixture(scope="module", autouse=True)
def example() -> Iterator[dict[str, ModuleType]]:
    """Import the example's modules, which import each other by their plain names."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield {name: importlib.import_module(name) for name in MODULES}
        for name in MODULES:
            patch.delitem(sys.modules, name)
    torch.set_num_threads(threads)


@pytest.fixture
def settings(example: dict[str, ModuleType]) -> Any:
    return example["train"].Settings(length=16, keys=128, width=32, heads=2, batch=4)


@pytest.fixture
def model(example: dict[str, ModuleType], settings: Any, variant: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return _model(example, settings, variant)


def _model(example: dict[str, ModuleType], settings: Any, variant: str) -> Any:
    return example["transformer"].Transformer(
        settings.task,
        lambda: example["train"].VARIANTS[variant](settings),
        width=settings.width,
        heads=settings.heads,
        layers=settings.layers,
    )


# The task


def test_every_key_is_a_fact_first_and_a_question_later(example: dict[str, ModuleType]) -> None:
    task = example["haystack"].Task(keys=32, values=8)
    drawn = task.draw(50, 64, torch.Generator().manual_seed(0))
    for keys, values, answers, needles in zip(
        drawn.keys.tolist(),
        drawn.values.tolist(),
        drawn.answers.tolist(),
        drawn.needles.tolist(),
        strict=True,
    ):
        assert sorted(keys) == sorted([*range(32)] * 2)
        facts: dict[int, int] = {}
        for position, key in enumerate(keys):
            if key in facts:
                assert values[position] == task.asked
                assert answers[position] == values[facts[key]] < 8
                assert needles[position] == facts[key]
            else:
                facts[key] = position
                assert 0 <= values[position] < 8
                assert answers[position] == example["haystack"].NO_ANSWER


def test_all_arrangements_are_drawn(example: dict[str, ModuleType]) -> None:
    drawn = (
        example["haystack"].Task(keys=2, values=2).draw(6000, 4, torch.Generator().manual_seed(0))
    )
    patterns, counts = drawn.needles.where(drawn.answers >= 0, -1).unique(dim=0, return_counts=True)
    # Three ways to pair four positions, each 2000 times but for noise (standard deviation 37).
    assert patterns.shape == (3, 4)
    assert counts.min() > 1800
    assert drawn.keys.float().mean().item() == 0.5
    assert drawn.values[drawn.values < 2].float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_same_seed_same_sequences(example: dict[str, ModuleType]) -> None:
    task = example["haystack"].Task()
    one, same, other = (
        task.draw(2, 128, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(one.keys, same.keys)
    assert torch.equal(one.answers, same.answers)
    assert not torch.equal(one.keys, other.keys)


@pytest.mark.parametrize("length", [7, 130])
def test_impossible_lengths(example: dict[str, ModuleType], length: int) -> None:
    with pytest.raises(ValueError, match=rf"length must be even and at most 128, .* got {length}"):
        example["haystack"].Task(keys=64).draw(2, length, torch.Generator())


# The models


VARIANTS = ("softmax", "ssmax", "ssmax_bias", "ssmax_fixed", "sa_softmax", "sa_softmax_plain")


@pytest.mark.parametrize("variant", VARIANTS)
def test_answers_look_at_what_came_before_only(model: torch.nn.Module, settings: Any) -> None:
    batch = settings.task.draw(3, 16, torch.Generator().manual_seed(1))
    changed = batch.values.clone()
    changed[:, 11] = (changed[:, 11] + 1) % settings.values
    with torch.no_grad():
        before, after = model(batch.keys, batch.values), model(batch.keys, changed)
    assert torch.equal(before[:, :11], after[:, :11])
    assert not torch.equal(before[:, 12:], after[:, 12:])


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_are_those_of_attention(
    model: torch.nn.Module, settings: Any, variant: str
) -> None:
    attention = model.get_submodule("blocks.0.attention")
    x = torch.randn(2, 16, settings.width, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        values = attention.queries_keys_values(x)[2]
        by_weights = attention.out((attention.weights(x, 5) @ values).transpose(1, 2).flatten(2))
        # Some roundings of float32 apart, of sums of terms of the size of 1.
        torch.testing.assert_close(by_weights, attention(x)[:, -5:], rtol=0, atol=2e-6)


@pytest.mark.parametrize("variant", ["softmax"])
def test_ssmax_put_into_a_softmax_model_is_softmax_at_the_length_of_training(
    example: dict[str, ModuleType], model: torch.nn.Module, settings: Any
) -> None:
    changed = example["train"].with_ssmax(model, 16)
    attentions = [m.get_submodule("blocks.0.attention") for m in (model, changed)]
    x = 3 * torch.randn(2, 32, settings.width, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        softmax, ssmax = (attention.weights(x, 32) for attention in attentions)
    # The query at position 15 sees 16 keys.
    torch.testing.assert_close(softmax[:, :, 15], ssmax[:, :, 15])
    largest = [weights.amax(-1) for weights in (softmax, ssmax)]
    assert (largest[0][:, :, 1:15] > largest[1][:, :, 1:15]).all()
    assert (largest[0][:, :, 16:] < largest[1][:, :, 16:]).all()


# The evaluation


class _Oracle(torch.nn.Module):
    """Answers rightly where the needle lies in the half of the haystack next to the question."""

    def __init__(self, example: dict[str, ModuleType], settings: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = _model(example, settings, "softmax")
        self.keys, self.attentions = self.inner.keys, self.inner.attentions
        self.values = settings.values

    def forward(self, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        self.inner(keys, values)
        logits = torch.zeros(*keys.shape, self.values)
        for row, record in enumerate(keys.tolist()):
            facts: dict[int, int] = {}
            for position, key in enumerate(record):
                if key not in facts:
                    facts[key] = position
                    continue
                near = 2 * facts[key] >= position
                logits[row, position, values[row, facts[key]]] = 1.0 if near else -1.0
        return logits


def test_evaluation_by_depth(example: dict[str, ModuleType], settings: Any) -> None:
    evaluation = example["evaluation"].evaluate(
        _Oracle(example, settings), settings.task, 64, records=512
    )
    assert evaluation.by_depth == [0.0] * 5 + [1.0] * 5
    assert evaluation.accuracy == pytest.approx(0.5, abs=0.15)
    # An untrained model's weights are nearly uniform over some 60 records.
    assert 1 / 120 < evaluation.needle_share < 1 / 20


# The run


def test_run(example: dict[str, ModuleType], tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "needle.json"
    learns = ["--variants", "softmax", "ssmax", "--steps", "100", "--evaluations", "2"]
    example["train"].main([*OPTIONS, *learns, "--seeds", "3", "--out", str(out)])
    results = json.loads(out.read_text(encoding="utf-8"))
    assert results["lengths"] == [8, 16, 32, 64, 128]
    assert results["settings"]["steps"] == 100
    assert {"device", "torch", "softmax_variants"} <= results["environment"].keys()
    softmax, afterwards, ssmax = results["runs"]
    names = [run["variant"] for run in results["runs"]]
    assert names == ["softmax", "softmax_then_ssmax", "ssmax"]
    for run in results["runs"]:
        assert run["seed"] == 3
        assert [*run["accuracy"]] == ["50", "100"]
        assert run["accuracy"]["100"][0] > 0.9
        assert len(run["by_depth"]) == len(run["needle_share"]) == 5
    for run in (softmax, ssmax):
        assert len(run["loss"]) == 10
        assert run["loss"][0] > 0.8 * math.log(8)
        assert run["loss"][-1] < 0.2
    assert (softmax["s"], softmax["b"]) == ([], [])
    assert afterwards["s"] == [[round(1 / math.log(8), 5)] * 2] * 2
    assert all(s != 8 / math.lgamma(9) for head in ssmax["s"] for s in head)

    table = example["summary"].table(results)
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [
        "softmax",
        "softmax, then SSMax",
        "SSMax, s learned",
    ]
    assert f"| {100 * ssmax['accuracy']['100'][4]:.1f} |" in table.splitlines()[-1]
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("variant", ["ssmax_bias", "ssmax_fixed", "sa_softmax", "sa_softmax_plain"])
def test_every_variant_trains(example: dict[str, ModuleType], tmp_path: Path, variant: str) -> None:
    out = tmp_path / "needle.json"
    shortly = ["--variants", variant, "--steps", "25", "--evaluations", "2"]
    example["train"].main([*OPTIONS, *shortly, "--seeds", "0", "--out", str(out)])
    (run,) = json.loads(out.read_text(encoding="utf-8"))["runs"]
    assert [*run["accuracy"]] == ["12", "25"]
    assert run["loss"][-1] < run["loss"][0] - 0.1
    if variant == "ssmax_fixed":
        assert run["s"] == [[1.0, 1.0]] * 2
    if variant == "ssmax_bias":
        assert all(b != 0.0 for head in run["b"] for b in head)


# The page


def test_page_names_what_there_is(example: dict[str, ModuleType]) -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in example["summary"].NAMES.values():
        assert f"| {name} |" in page
    assert {*example["train"].VARIANTS} == {*VARIANTS}
    assert {*example["summary"].NAMES} == {*VARIANTS, "softmax_then_ssmax"}


# The committed run


def test_page_has_the_committed_results(example: dict[str, ModuleType]) -> None:
    results = json.loads((ROOT / "docs/results/needle.json").read_text(encoding="utf-8"))
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert example["summary"].table(results).strip() in page
    assert results["environment"]["device"].startswith("NVIDIA H100")
