"""How well a model finds needles, at lengths beyond those it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from haystack import NO_ANSWER, Haystacks, Task
from torch import Tensor

if TYPE_CHECKING:
    from transformer import Transformer

__all__ = ["DEPTHS", "Evaluation", "evaluate"]

DEPTHS = 10
"""Into how many parts what precedes a question is divided: the first are the farthest away."""

SEED = 2501
"""Evaluation draws the same sequences for every model: no training uses this seed."""


@dataclass(frozen=True)
class Evaluation:
    """What a model did on the questions of the last eighth of sequences of one length."""

    accuracy: float
    """Share of the questions that were answered rightly."""

    by_depth: list[float | None]
    """The same for needles in the first, the second ... part of what precedes the question; None
    where there were none."""

    needle_share: float
    """Mean share that the needle has in a query's attention weights (their absolute values: those
    of SA-Softmax do not sum to 1), in the layer and head where it is largest."""


@torch.no_grad()
def evaluate(model: Transformer, task: Task, length: int, *, records: int) -> Evaluation:
    """Evaluate a model on sequences of one length, the same for every model.

    Parameters
    ----------
    model : Transformer
        The model.
    task : Task
        What sequences are drawn from.
    length : int
        Their length, at least 8.
    records : int
        How many records to show the model at once: ``records // length`` sequences, at least one.
        Four such batches are drawn.

    Returns
    -------
    Evaluation
        Accuracy, also by depth, and the needle's weight.
    """
    device = model.keys.weight.device
    generator = torch.Generator(device).manual_seed(SEED + length)
    batches = [task.draw(max(1, records // length), length, generator) for _ in range(4)]
    late = torch.arange(length, device=device) >= length - length // 8
    right, depths = [], []
    for batch in batches:
        asked = late & (batch.answers != NO_ANSWER)
        answers = model(batch.keys, batch.values).argmax(-1)
        right.append((answers == batch.answers)[asked].float())
        question = torch.arange(length, device=device).expand_as(batch.needles)[asked]
        depths.append(batch.needles[asked] * DEPTHS // question)
    rights, parts = torch.cat(right), torch.cat(depths)
    counted = zip(
        parts.bincount(rights, minlength=DEPTHS).tolist(),
        parts.bincount(minlength=DEPTHS).tolist(),
        strict=True,
    )
    return Evaluation(
        accuracy=rights.mean().item(),
        by_depth=[found / needles if needles else None for found, needles in counted],
        needle_share=_needle_share(model, batches[0], length // 8),
    )


def _needle_share(model: Transformer, batch: Haystacks, queries: int) -> float:
    """Return the needle's mean share, over the last questions, in the head with the largest."""
    attentions = model.attentions()
    inputs: list[Tensor] = []
    hooks = [a.register_forward_pre_hook(lambda _, x: inputs.append(x[0])) for a in attentions]
    model(batch.keys, batch.values)
    for hook in hooks:
        hook.remove()
    asked = batch.answers[:, -queries:] != NO_ANSWER
    needles = batch.needles[:, None, -queries:, None]
    largest = 0.0
    for attention, x in zip(attentions, inputs, strict=True):
        weights = attention.weights(x, queries).abs()
        needle = weights.gather(-1, needles.expand(-1, weights.shape[1], -1, -1))
        share = (needle / weights.sum(-1, keepdim=True)).squeeze(-1)
        largest = max(largest, share.transpose(0, 1)[:, asked].mean(1).max().item())
    return largest
