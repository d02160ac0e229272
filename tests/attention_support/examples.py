"""Arguments of attention: by hypothesis, and tensors of given shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

WINDOWS = [1, 2, 5, 20, (2, 0), (None, 0), (0, 0)]
TWO_SIDED = [(1, 1), (None, 2), (3, None), (2, 5), (None, None)]


@dataclass(frozen=True)
class Example:
    """Shapes, and what hides keys from queries."""

    batch: int
    heads: int
    kv_heads: int
    queries: int
    keys: int
    arguments: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.heads, self.queries, self.keys

    def tensors(self, seed: int, dim: int = 6, dim_v: int = 3) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k and v in float64, which require gradients."""
        rows = (self.heads, self.queries, dim), (self.kv_heads, self.keys, dim)
        shapes = [(self.batch, *shape) for shape in (*rows, (self.kv_heads, self.keys, dim_v))]
        q, k, v = leaves(seed, *shapes)
        return q, k, v


def leaves(seed: int, *shapes: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Return normal numbers that require gradients."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in shapes
    ]


@st.composite
def examples(draw: Any) -> Example:
    """Combine every kind of argument with every other that it goes with."""
    batch, kv_heads, group = (draw(st.integers(1, 2)) for _ in range(3))
    queries, keys = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    arguments: dict[str, Any] = {"causal": draw(st.booleans())}
    windows = WINDOWS if arguments["causal"] else WINDOWS + TWO_SIDED
    arguments["window"] = draw(st.sampled_from([None, *windows]))
    kind = draw(st.sampled_from(["last", "offset", "positions", "documents"]))
    if kind == "offset":
        arguments["offset"] = draw(st.integers(-3, keys + 3))
    elif kind == "positions":
        rows = draw(st.sampled_from([1, batch]))
        positions = st.lists(st.integers(-2, keys + 3), min_size=queries, max_size=queries)
        position = torch.tensor([draw(positions) for _ in range(rows)])
        arguments["cache_position"] = position[0] if rows == 1 else position
    elif kind == "documents":
        keys = queries
        cuts = draw(st.lists(st.integers(0, keys), max_size=3))
        arguments["cu_seqlens"] = torch.tensor([0, *sorted(cuts), keys])
    if draw(st.booleans()):
        lengths = st.lists(st.integers(0, keys), min_size=batch, max_size=batch)
        arguments["key_lengths"] = torch.tensor(draw(lengths))
    heads = kv_heads * group
    rows = 1 if arguments["causal"] else draw(st.sampled_from([1, queries]))
    shape = (draw(st.sampled_from([1, batch])), draw(st.sampled_from([1, heads])), rows, keys)
    arguments["mask"] = draw_mask(draw, shape)
    return Example(batch, heads, kv_heads, queries, keys, arguments)


def draw_mask(draw: Any, shape: tuple[int, ...]) -> Tensor | None:
    """Return no mask, a boolean or an additive one."""
    kind = draw(st.sampled_from(["none", "bool", "infinite", "smallest"]))
    if kind == "none":
        return None
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    shown = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.2, 0.8]))
    if kind == "bool":
        return shown
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    low = -math.inf if kind == "infinite" else torch.finfo(torch.float64).min
    return values.masked_fill(~shown, low)
