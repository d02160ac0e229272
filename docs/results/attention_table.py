"""Print the tables of attention's speed on the page about PyTorch from the committed results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "attention-h100.json"
SA_PEERS = {
    "normalized over compiled formula": "the formula, `torch.compile`",
    "normalized over softmax, default": "softmax, `scaled_dot_product_attention`",
    "normalized over normalized detached": "`detach_extrema=True`",
    "normalized over plain": 'form="plain"',
}
SSMAX_PEERS = {"default": "default (cuDNN)", "flash": "flash"}
PASSES = ("forward", "backward", "both")


def cell(measured: dict[str, Any]) -> str:
    """Return a ratio, and both medians in ms."""
    return f"{measured['ratio']:.2f} ({measured['ms']:.2f} / {measured['other_ms']:.2f})"


def lines(times: list[dict[str, Any]], peers: dict[str, str]) -> list[str]:
    """Return the rows of a table: a shape and what it is compared with, and the ratios."""
    found = []
    for row in times:
        for name, title in peers.items():
            if row["name"] == name:
                shape = "x".join(map(str, row["shape"]))
                cells = (cell(row[each]) for each in PASSES)
                found.append(f"| {shape} | {title} | {' | '.join(cells)} |")
    return found


def table(first: str, peers: dict[str, str], times: list[dict[str, Any]]) -> str:
    """Return a Markdown table of a function beside its peers."""
    head = f"| {first} | beside | forward | backward | both |"
    return "\n".join([head, "|---|---|---|---|---|", *lines(times, peers)])


def tables(results: dict[str, Any]) -> str:
    """Return both tables."""
    times = results["time"]
    sa_peers = {f"sa_softmax {name}": title for name, title in SA_PEERS.items()}
    ssmax_peers = {f"ssmax over softmax, {name}": title for name, title in SSMAX_PEERS.items()}
    return "\n\n".join([table("SA-Softmax", sa_peers, times), table("SSMax", ssmax_peers, times)])


if __name__ == "__main__":
    print(tables(json.loads(RESULTS.read_text(encoding="utf-8"))))
