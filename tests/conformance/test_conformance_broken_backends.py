"""Every deliberately broken backend is caught by the entries that name its fault, and only there.

``caught_by.txt`` says of every entry of the suite which broken backend it catches: none is there
that catches nothing.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from broken_backends.catalogue import BROKEN, Broken
from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance.checks import entries
from softmax_variants_spec.conformance.runner import plan
from softmax_variants_spec.conformance.subject import load_subject
from softmax_variants_spec.conformance.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.context import Context
    from softmax_variants_spec.conformance.outcome import Outcome
    from softmax_variants_spec.conformance.runner import Report

FUNCTIONS = ("sa_softmax", "sa_softmax_vjp", "softmax", "softmax_vjp", "ssmax", "ssmax_vjp")

CAUGHT_BY = Path(__file__).with_name("caught_by.txt")
"""Kind and name of every entry, a broken backend that it catches, and the function at fault."""


def caught_by() -> dict[str, tuple[str, str]]:
    lines = CAUGHT_BY.read_text(encoding="utf-8").splitlines()
    return {entry: (module, function) for entry, module, function in map(str.split, lines)}


def outcomes(broken: Broken) -> dict[str, Outcome]:
    """Return the outcomes of the smoke run by kind/name."""
    subject = load_subject(f"broken_backends.{broken.module}")
    planned = plan(subject, functions=[broken.function], dtypes=[broken.dtype], smoke=True)
    (context,) = planned.contexts
    found = [planned.judge(context, entry) for entry in planned.entries(context)]
    return {outcome.id.split("/", maxsplit=2)[2]: outcome for outcome in found}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: f"{b.module}-{b.function}")
def test_fault_is_named_and_nothing_else_fails(broken: Broken) -> None:
    found = outcomes(broken)
    for name, message in broken.named.items():
        outcome = found[name]
        wanted = "error" if broken.module == "zero_size_raises" else "failed"
        assert outcome.status == wanted, name
        assert re.search(message, outcome.message), outcome.message
        assert re.search(broken.detail, outcome.detail), outcome.detail
    others = [n for n, outcome in found.items() if not outcome.holds and n not in broken.named]
    assert [name for name in others if not re.fullmatch(broken.may_fail, name)] == []
    key = (broken.module, broken.function)
    wanted_names = [name for name, by in caught_by().items() if by == key and "bulk/" not in name]
    assert [name for name in wanted_names if found[name].holds] == []


def test_no_entry_catches_nothing() -> None:
    names = {f"{e.kind}/{e.name}" for v in VARIANTS for e in entries(v, smoke=False)}
    written = caught_by()
    assert written.keys() == names
    assert {*written.values()} <= {(broken.module, broken.function) for broken in BROKEN}


@pytest.mark.parametrize("name", ["bulk/normal", "bulk/wide", "bulk/long-row"])
def test_bulk_entries_catch(name: str, context: Callable[..., Context]) -> None:
    # They are not in the smoke run.
    module, function = caught_by()[name]
    made = context(f"broken_backends.{module}", function, "float32", smoke=False)
    (entry,) = (e for e in entries(made.variant, smoke=False) if f"{e.kind}/{e.name}" == name)
    outcome = entry.run(made)
    assert outcome.status == "failed"
    assert re.search(r"error [\d.e+]+ ULP, wants .*; \d+ of \d+ entries", outcome.message)


@pytest.mark.parametrize("module", sorted({broken.module for broken in BROKEN}))
def test_one_fault_a_module(module: str) -> None:
    """The docstring says what it is, and the functions without it are those of an honest one."""
    loaded = importlib.import_module(f"broken_backends.{module}")
    assert loaded.__doc__ is not None
    assert loaded.__doc__.startswith("Fault: ")
    touched = {broken.function.partition(".")[0] for broken in BROKEN if broken.module == module}
    if module == "flushing_undeclared":
        touched = set(FUNCTIONS)
    for name in FUNCTIONS:
        if name.removesuffix("_vjp") not in touched:
            assert getattr(loaded, name) is getattr(honest, name)


def test_every_module_is_in_the_catalogue() -> None:
    folder = Path(importlib.import_module("broken_backends.catalogue").__file__ or "").parent
    files = {p.stem for p in folder.glob("[a-z]*.py")}
    # Two that are honest, and break in tests.
    assert files - {"catalogue", "plain", "flushing"} == {broken.module for broken in BROKEN}


def test_scale_before_shift_claims_nothing() -> None:
    # It fails what "bounded" asks, which is what every backend is held to.
    claims = importlib.import_module("broken_backends.scale_before_shift").CLAIMS
    assert not [key for key in claims if key[0] == "ssmax"]


def test_gradient_without_log_n_shows_the_exact_one(judge: Callable[..., Report]) -> None:
    """The lines of a failing ds hold what came out and what is right: their ratio is ln n."""
    report = judge("broken_backends.no_log_n", functions=["ssmax"])
    detail = next(o.detail for o in report.outcomes if o.id == "ssmax/float32/gradients/ds.normal")
    got = re.search(r"# got   (\S+) = ", detail)
    right = re.search(r"# exact (\S+)", detail)
    assert got is not None
    assert right is not None
    # n = 33 or 8: the blocks of the regime.
    ratio = float(right[1]) / float.fromhex(got[1])
    assert ratio == pytest.approx(3.4965075614664802, rel=1e-6) or ratio == pytest.approx(
        2.0794415416798357, rel=1e-6
    )
