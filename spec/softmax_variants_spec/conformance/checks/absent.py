"""What absent entries hold never reaches another entry, and they come out as exactly 0."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from softmax_variants_spec.conformance.context import Context, Entry, Fault
from softmax_variants_spec.conformance.repro import call_lines

from .samples import masked_sample, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.variants import Variant
    from softmax_variants_spec.formats import Format

__all__ = ["entries"]

_CONTENTS: dict[str, Callable[[Format], float]] = {
    "nan": lambda _: np.nan,
    "inf": lambda _: np.inf,
    "-inf": lambda _: -np.inf,
    "largest": lambda fmt: fmt.max,
    "lowest": lambda fmt: -fmt.max,
    "zero": lambda _: 0.0,
}


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return an entry a content of absent entries, for weights and gradients."""
    del smoke, variant
    leaks = [Entry("absent", f"holds-{name}", _Leak(name, vjp=False)) for name in _CONTENTS]
    leaks += [
        Entry("absent", f"gradient-holds-{name}", _Leak(name, vjp=True)) for name in _CONTENTS
    ]
    return [Entry("absent", "exactly-zero", _zero), *leaks]


class _Leak:
    def __init__(self, content: str, *, vjp: bool) -> None:
        self.content, self.vjp = content, vjp

    def __call__(self, context: Context) -> None:
        block = masked_sample(context)
        filled = _CONTENTS[self.content](context.fmt)
        assert block.where is not None
        x = np.where(block.where, block.x, filled)
        dy = np.where(block.where, block.dy, filled)
        other = replace(block, x=x, dy=dy)
        names: tuple[str, ...] = ("weights",)
        if self.vjp:
            names = ("dx", "ds", "db")
            wanted = context.regime_gradients("absent", block, detach_extrema=False)
            got = context.gradients(other)
        else:
            wanted, got = [context.weights(block)], [context.weights(other)]
        for name, before, after in zip(names, wanted, got, strict=False):
            if not same(before, after):
                again = context.gradients(block) if self.vjp else [context.weights(block)]
                if not all(map(same, wanted, again)):
                    msg = f"{name} have other bits on a second run"
                    raise Fault(msg)
                rows = np.argwhere(~((before == after) | (np.isnan(before) & np.isnan(after))))
                row = int(rows[0][0]) if rows.ndim == 2 and rows.shape[1] else 0
                msg = (
                    f"{name} of present entries change where absent entries hold "
                    f"{self.content} (row {row} of the sample)"
                )
                lines = call_lines(context, other, "", row, vjp=self.vjp)
                raise Fault(msg, "\n".join(lines))


def _zero(context: Context) -> None:
    block = masked_sample(context)
    assert block.where is not None
    for name, result in (
        ("weights", context.weights(block)),
        ("dx", context.regime_gradients("absent", block, detach_extrema=False)[0]),
    ):
        if (result[~block.where] != 0).any():
            whole = replace(block, where=None)
            vjp = name == "dx"
            if same(result, context.gradients(whole)[0] if vjp else context.weights(whole)):
                msg = f"where is ignored: {name} are those without it"
                raise Fault(msg, "\n".join(call_lines(context, block, "", 0, vjp=vjp)))
            row = int(np.argwhere((result != 0) & ~block.where)[0][0])
            msg = f"{name} of absent entries are not 0 (row {row} of the sample)"
            raise Fault(msg, "\n".join(call_lines(context, block, "", row, vjp=vjp)))
