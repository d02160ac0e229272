"""A small decoder-only transformer whose attention takes any softmax variant."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from softmax_variants.torch import SASoftmax, Softmax, SSMax, attention

if TYPE_CHECKING:
    from collections.abc import Callable

    from haystack import Task

__all__ = ["Attention", "Transformer", "Variant"]

Variant = Softmax | SSMax | SASoftmax


class Attention(nn.Module):
    """Causal self-attention, with the softmax variant as one of its modules.

    So the parameters of the variant, such as SSMax's scale of each head, are parameters of the
    model: trained, saved and moved with it. Queries and keys are not normalized: the logits may
    grow, which is softmax's own way of staying sharp among many keys.
    """

    def __init__(self, width: int, heads: int, variant: Variant) -> None:
        super().__init__()
        self.heads = heads
        self.variant = variant
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what each position attends to, of the shape of x: (batch, length, width)."""
        q, k, v = self.queries_keys_values(x)
        y = attention(q, k, v, variant=self.variant, causal=True)
        return cast("Tensor", self.out(y.transpose(1, 2).flatten(2)))

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values: each (batch, heads, length, width / heads)."""
        q, k, v = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def weights(self, x: Tensor, queries: int) -> Tensor:
        """Return the weights that `attention` never writes, for the last queries only.

        Parameters
        ----------
        x : Tensor
            What `forward` takes.
        queries : int
            Of how many queries at the end.

        Returns
        -------
        Tensor
            float32, of shape (batch, heads, queries, length).
        """
        q, k, _ = self.queries_keys_values(x)
        length = k.shape[2]
        # Autocast would round the scores to bfloat16: those near 16 by up to 3 % of their weight.
        with torch.autocast(x.device.type, enabled=False):
            scores = q[:, :, -queries:].float() @ k.float().mT / math.sqrt(k.shape[3])
            seen = torch.ones(queries, length, dtype=torch.bool, device=x.device)
            return cast("Tensor", self.variant(scores, where=seen.tril(length - queries)))


class Block(nn.Module):
    """Attention and a feed-forward network, each on a normalized copy of the residual stream."""

    def __init__(self, width: int, heads: int, variant: Variant) -> None:
        super().__init__()
        self.attention = Attention(width, heads, variant)
        self.attention_norm = nn.RMSNorm(width)
        self.feed_forward = nn.Sequential(
            nn.RMSNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the residual stream after the block."""
        x = x + self.attention(self.attention_norm(x))
        return x + cast("Tensor", self.feed_forward(x))


class Transformer(nn.Module):
    """A transformer that answers the questions of a task.

    It has no positional encoding: whatever fails at unseen lengths is then the work of attention's
    normalization, not of positions that were never trained.

    Parameters
    ----------
    task : Task
        Says how many keys and values there are.
    variant : callable
        Called once for each layer with no arguments, returns its softmax variant.
    width, heads, layers : int
        Size of the model.
    """

    def __init__(
        self, task: Task, variant: Callable[[], Variant], *, width: int, heads: int, layers: int
    ) -> None:
        super().__init__()
        self.keys = nn.Embedding(task.keys, width)
        self.values = nn.Embedding(task.values + 1, width)
        self.blocks = nn.Sequential(*(Block(width, heads, variant()) for _ in range(layers)))
        self.answers = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, task.values, bias=False))

    def forward(self, keys: Tensor, values: Tensor) -> Tensor:
        """Return logits of the answer at each position, of shape (batch, length, values)."""
        x = self.keys(keys) + self.values(values)
        return cast("Tensor", self.answers(self.blocks(x)))

    def attentions(self) -> list[Attention]:
        """Return the attention of every layer."""
        return [module for module in self.modules() if isinstance(module, Attention)]
