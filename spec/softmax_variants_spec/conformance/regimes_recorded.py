"""Regimes of attention logits recorded from a pretrained transformer reading English prose.

The rows are data: ``recorded/attention_logits.json``, which says where each comes from, by which
rule it was picked and what characterizes it; ``docs/recorded_logits/record.py`` records them. They
are binary32 numbers, as such models compute with, so that in binary64 every shift is exact.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from .blocks import Block, Generator, Regime, to_format

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["RECORDED_REGIMES", "RecordedRows", "recorded_rows"]

_DATA = files(__package__) / "recorded" / "attention_logits.json"


@dataclass(frozen=True)
class RecordedRows:
    """Rows recorded from one batch of passages, each array of shape (rows, keys).

    Attributes
    ----------
    logits
        q · k / √d of one query with every key, binary32 values as float64; also at padding.
    dy
        The gradient, by the weights, of the loss that the model was trained with.
    present
        False at padding.
    """

    logits: Floats
    dy: Floats
    present: Bools

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many keys of each row are present, (rows, 1)."""
        return np.count_nonzero(self.present, axis=1, keepdims=True)


@cache
def recorded_rows() -> dict[str, RecordedRows]:
    """Return the recorded rows by the name of their batch; the arrays are read-only.

    Returns
    -------
    dict of str to RecordedRows
        ``"sentences"``, at most 34 keys, and ``"paragraphs"``, at most 76.

    Examples
    --------
    >>> rows = recorded_rows()["sentences"]
    >>> rows.logits.shape
    (10, 34)
    >>> rows.counts[:, 0].tolist()
    [15, 34, 30, 24, 14, 34, 15, 28, 24, 8]
    """
    return {
        batch["name"]: _rows(batch) for batch in json.loads(_DATA.read_text("utf-8"))["batches"]
    }


def _rows(batch: dict[str, list[dict[str, str]]]) -> RecordedRows:
    def table(name: str) -> Floats:
        return np.asarray([list(map(float.fromhex, row[name].split())) for row in batch["rows"]])

    logits = table("logits")
    counts = np.asarray([[row["present"]] for row in batch["rows"]])
    rows = RecordedRows(logits, table("dy"), np.arange(logits.shape[1]) < counts)
    for array in (rows.logits, rows.dy, rows.present):
        array.flags.writeable = False  # they are shared by all that ask
    return rows


def _scales(g: Generator, rows: RecordedRows, published: list[float]) -> Floats:
    """Return a column s: where ``published`` has 0, the s that leaves the row as it was (c ≈ 1)."""
    s = np.resize(published, (len(rows.logits), 1))
    return to_format(np.where(s == 0.0, 1.0 / np.log(rows.counts), s), g.fmt)


def _recorded(g: Generator) -> list[Block]:
    # 0.43 is the s of the SSMax paper's figure 1, 0.168 the one for which the mean scale over
    # 1024 positions is 1, 1.0 is SSMax without the parameter.
    short, long = recorded_rows()["sentences"], recorded_rows()["paragraphs"]
    s, t = _scales(g, short, [0.0, 0.43]), _scales(g, long, [0.43, 0.168, 0.0, 1.0])
    return [
        g.block(short.logits, dy=short.dy, where=short.present, s=s),
        g.block(long.logits, dy=long.dy, where=long.present, s=t),
    ]


def _additive_mask(g: Generator) -> list[Block]:
    # As models mask. The lowest finite number is an ordinary logit: it is the row's minimum, and a
    # difference from it rounds to the end of the range.
    rows = recorded_rows()["sentences"]
    added = np.where(np.arange(len(rows.logits))[:, None] % 2, -np.inf, -g.fmt.max)
    x = rows.logits + np.where(rows.present, 0.0, added)
    return [g.block(x, dy=rows.dy, s=_scales(g, rows, [0.0, 0.43]), n=rows.counts)]


RECORDED_REGIMES = (
    Regime(
        "recorded",
        "Attention logits of a pretrained transformer, padding absent by where.",
        _recorded,
    ),
    Regime(
        "recorded-additive-mask",
        "The same, padding masked by adding -inf or the lowest finite number.",
        _additive_mask,
    ),
)
