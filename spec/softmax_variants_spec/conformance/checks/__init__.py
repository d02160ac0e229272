"""The checks, one file a kind; ``ENTRIES`` lists every entry of the suite in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    absent,
    bulk,
    extrema,
    gradients,
    invariance,
    probe,
    purity,
    results,
    same_bits,
    scale,
    shape,
    special,
    values,
)

if TYPE_CHECKING:
    from softmax_variants_spec.conformance.context import Entry
    from softmax_variants_spec.conformance.variants import Variant

__all__ = ["entries"]

_KINDS = (
    results,
    special,
    # Those that recognize mistakes come before those that measure errors: reports show the first
    # failures in full.
    scale,
    extrema,
    shape,
    probe,
    values,
    gradients,
    absent,
    invariance,
    purity,
    same_bits,
    bulk,
)


def entries(variant: Variant, *, smoke: bool) -> list[Entry]:
    """Return the entries for a variant; each module of this package gives its own."""
    return [entry for kind in _KINDS for entry in kind.entries(variant, smoke=smoke)]
