"""Train small transformers to find a needle in a haystack, and test them in larger haystacks.

Run ``python train.py`` on a machine with a GPU, or with ``--help`` for the options. Models that
differ in nothing but their softmax variant are trained at one length and evaluated at up to 16
times that length.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import platform
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from evaluation import Evaluation, evaluate
from haystack import NO_ANSWER, Task
from torch.nn import functional
from transformer import Transformer, Variant

import softmax_variants
from softmax_variants.torch import SASoftmax, Softmax, SSMax

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["VARIANTS", "Run", "Settings", "autocast", "environment", "main", "train", "with_ssmax"]


@dataclass(frozen=True)
class Settings:
    """All that the models have in common."""

    length: int = 128
    batch: int = 64
    steps: int = 1500
    evaluations: int = 6
    width: int = 128
    heads: int = 4
    layers: int = 2
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.1
    keys: int = 4096
    values: int = 64

    @property
    def task(self) -> Task:
        """The task."""
        return Task(self.keys, self.values)

    @property
    def lengths(self) -> list[int]:
        """Lengths to evaluate at: that of training to 16 times it."""
        return [self.length * 2**i for i in range(5)]


# With "mean_log_length" the learned scale s ln n starts from 1 on average over the positions of
# training: no sharper than softmax. With s = 1 it is ln n, about 4 on average at length 128.
VARIANTS: dict[str, Callable[[Settings], Variant]] = {
    "softmax": lambda _: Softmax(),
    "ssmax": lambda to: SSMax(to.heads, init="mean_log_length", length=to.length),
    "ssmax_bias": lambda to: SSMax(to.heads, init="mean_log_length", length=to.length, bias=0.0),
    "ssmax_fixed": lambda to: SSMax(to.heads, init=1.0, learned=False),
    "sa_softmax": lambda _: SASoftmax(),
    "sa_softmax_plain": lambda _: SASoftmax("plain"),
}


SMOOTH = 10
"""The losses of so many steps are averaged into one number of the record."""


@dataclass
class Run:
    """One trained model and how it did."""

    variant: str
    seed: int
    loss: list[float] = field(default_factory=list)
    """Mean training loss of every ``SMOOTH`` steps."""
    accuracy: dict[int, list[float]] = field(default_factory=dict)
    """At each length, by the number of steps trained."""
    by_depth: list[list[float | None]] = field(default_factory=list)
    """At each length for each part of the haystack, after training."""
    needle_share: list[float] = field(default_factory=list)
    """At each length, after training."""
    s: list[list[float]] = field(default_factory=list)
    """SSMax's scale of each head in each layer, after training."""
    b: list[list[float]] = field(default_factory=list)
    """SSMax's bias, the same."""

    def record(self, step: int, model: Transformer, evaluations: list[Evaluation]) -> None:
        """Write down what a model does after so many steps."""
        self.accuracy[step] = [e.accuracy for e in evaluations]
        self.by_depth = [e.by_depth for e in evaluations]
        self.needle_share = [e.needle_share for e in evaluations]
        variants = [attention.variant for attention in model.attentions()]
        scales = [(v.s, v.b) for v in variants if isinstance(v, SSMax)]
        self.s = [s.tolist() for s, _ in scales]
        self.b = [b.tolist() for _, b in scales if b is not None]


def with_ssmax(model: Transformer, length: int) -> Transformer:
    """Return a copy of a softmax model with SSMax in its place, and nothing trained.

    ``init="log_length"`` makes SSMax equal softmax for queries that see `length` keys: beyond, it
    sharpens.
    """
    changed = copy.deepcopy(model)
    for attention in changed.attentions():
        device = attention.project.weight.device
        attention.variant = SSMax(attention.heads, init="log_length", length=length, device=device)
    return changed


def train(variant: str, seed: int, settings: Settings, device: torch.device) -> list[Run]:
    """Train one model and evaluate it on the way.

    Parameters
    ----------
    variant : str
        A key of ``VARIANTS``.
    seed : int
        Of the initial parameters and the sequences.
    settings : Settings
        Everything else.
    device : torch.device
        Where to train.

    Returns
    -------
    list of Run
        The model's; for softmax also that of the same model ``with_ssmax``.
    """
    torch.manual_seed(seed)
    generator = torch.Generator(device).manual_seed(seed)
    model = Transformer(
        settings.task,
        lambda: VARIANTS[variant](settings),
        width=settings.width,
        heads=settings.heads,
        layers=settings.layers,
    ).to(device)
    optimizer = _optimizer(model, settings)
    runs = [Run(variant, seed)]
    if variant == "softmax":
        runs.append(Run("softmax_then_ssmax", seed))

    evaluated = {
        settings.steps * i // settings.evaluations for i in range(settings.evaluations + 1)
    }
    losses: list[torch.Tensor] = []
    for step in range(1, settings.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step, settings)
        batch = settings.task.draw(settings.batch, settings.length, generator)
        with autocast(device):
            logits = model(batch.keys, batch.values)
        loss = functional.cross_entropy(
            logits.flatten(0, 1).float(), batch.answers.flatten(), ignore_index=NO_ANSWER
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
        if step in evaluated:
            for run in runs:
                trained = model if run.variant == variant else with_ssmax(model, settings.length)
                run.record(step, trained, _evaluate(trained, settings, device))
    each = torch.stack(losses).tolist()
    runs[0].loss = [fmean(each[i : i + SMOOTH]) for i in range(0, len(each), SMOOTH)]
    return runs


def _optimizer(model: Transformer, settings: Settings) -> torch.optim.Optimizer:
    """Return AdamW, with weight decay for matrices only: not for norms, biases, and s and b."""
    parameters = [*model.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)


def _learning_rate(step: int, settings: Settings) -> float:
    """Return the learning rate of a step: linear warmup, times half a cosine down to 0."""
    cosine = (1 + math.cos(math.pi * step / settings.steps)) / 2
    return settings.learning_rate * min(1.0, step / settings.warmup) * cosine


def _evaluate(model: Transformer, settings: Settings, device: torch.device) -> list[Evaluation]:
    """Evaluate at every length."""
    records = 4 * settings.batch * settings.length
    with autocast(device):
        return [evaluate(model, settings.task, n, records=records) for n in settings.lengths]


def autocast(device: torch.device) -> torch.autocast:
    """Return the context of forward passes: bfloat16 on a GPU, float32 on a CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def environment(device: torch.device) -> dict[str, str]:
    """Return what the results were made with."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else f"CPU, {platform.machine()}",
        "python": platform.python_version(),
        "softmax_variants": softmax_variants.__version__,
        "torch": torch.__version__,
    }


def main(arguments: list[str] | None = None) -> None:
    """Train every variant with every seed and write what came out of it as JSON."""
    options = _parser().parse_args(arguments)
    device = torch.device(options.device)
    settings = Settings(**{f.name: getattr(options, f.name) for f in fields(Settings)})
    head: dict[str, object] = {
        "settings": asdict(settings),
        "lengths": settings.lengths,
        "environment": environment(device),
    }
    runs: list[Run] = []
    start = time.perf_counter()
    for seed in options.seeds:
        for variant in options.variants:
            trained = train(variant, seed, settings, device)
            runs += trained
            head["seconds"] = round(time.perf_counter() - start, 1)
            # After every model: a run that is cut off leaves what it has.
            options.out.write_text(_as_json(head, runs), encoding="utf-8")
            for run in trained:
                accuracy = "  ".join(f"{a:7.2%}" for a in run.accuracy[max(run.accuracy)])
                print(
                    f"{run.variant:18}  seed {seed}  {accuracy}  {head['seconds']:6} s", flush=True
                )


def _as_json(head: dict[str, object], runs: list[Run]) -> str:
    """Return the results with one model a line."""
    lines = ",\n".join(json.dumps(_rounded(asdict(run))) for run in runs)
    return f'{json.dumps(head, indent=1)[:-2]},\n "runs": [\n{lines}\n ]\n}}\n'


def _rounded(value: object) -> object:
    """Return what JSON is to hold, with no more digits than mean anything."""
    if isinstance(value, dict):
        return {key: _rounded(content) for key, content in value.items()}
    if isinstance(value, list):
        return [_rounded(content) for content in value]
    return round(value, 5) if isinstance(value, float) else value


def _parser() -> argparse.ArgumentParser:
    """Return the command line: what to train, and an option for each of the settings."""
    parser = argparse.ArgumentParser(
        description=str(__doc__).splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=[*VARIANTS], metavar="V")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default="needle.json", help="file to write")
    for setting in fields(Settings):
        option = f"--{setting.name.replace('_', '-')}"
        parser.add_argument(option, type=type(setting.default), default=setting.default)
    return parser


if __name__ == "__main__":
    main()
