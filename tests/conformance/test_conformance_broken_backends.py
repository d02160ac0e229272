"""Every deliberately broken backend is caught by the check that names its fault, and only there."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.runner import Report

    Judge = Callable[..., Report]


@dataclass(frozen=True)
class Broken:
    """A broken backend, and what the suite is to say of it."""

    module: str
    function: str
    """The function, or the label of its variant, that has the fault."""
    named: tuple[str, ...]
    """Kind and name of the entries that name the fault."""
    message: str
    """Regular expression that the messages of those entries contain."""
    may_fail: str
    """Regular expression of all entries, by kind and name, that the fault touches."""
    detail: str = ""
    """Regular expression that the details of those entries contain."""


BROKEN = (
    Broken(
        "no_shift",
        "softmax",
        ("invariance/shift", "special/lone-entry", "special/full-range"),
        r"logits shifted by 1024: NaN"
        r"|however large its logit\. weights\[0\] is nan, must be 1\.0"
        r"|difference overflows are as good as any.*weights\[0\] is nan, must be 1\.0",
        r"invariance/shift|special/(lone-entry|full-range|plus-infinity)"
        r"|values/(range-ends|any-finite)",
        r"result = backend\.softmax\(x, axis=0, where=None, out=None\)",
    ),
    Broken(
        "scale_before_shift",
        "ssmax",
        ("values/scaled-large-centre", "invariance/shift"),
        r"scale before shift loses everything\. error [\d.e+]+ ULP, wants bounded"
        r"|logits shifted by 1024: error [\d.e+]+ ULP, wants bounded",
        r"values/(scaled-)?large-centre|values/(thresholds|range-ends|extreme-scale|subnormal-logits)"
        r"|invariance/shift",
        r"n=(4096|None)",
    ),
    Broken(
        "absent_counted",
        "ssmax",
        ("special/n-counts-present",),
        r"number of present entries: absent ones do not count\. weights\[0\] is 0\.0, must be 1\.0",
        r"special/n-counts-present|(values|gradients)/(d.\.)?(masked|scales)|invariance/padding",
        r"backend\.ssmax\(x, .* n=None",
    ),
    Broken(
        "nan_leak",
        "softmax",
        ("absent/holds-nan", "special/absent-weight"),
        r"weights of present entries change where absent entries hold nan"
        r"|what it holds reaches no other entry.*weights\[0\] is nan, must be 0\.0",
        r"absent/holds-(nan|inf)|special/(absent-weight|empty-row)",
        r'h\("nan"\)',
    ),
    Broken(
        "empty_row_nan",
        "softmax",
        ("special/empty-row",),
        r"A row without present entries has weights 0\. weights\[0\] is nan, must be 0\.0",
        r"special/empty-row|values/masked",
    ),
    *(
        Broken(
            "epsilon",
            f"sa_softmax.{form}",
            ("values/narrow",),
            r"tiny denominators, in which an epsilon shows\. error [\d.e+]+ ULP",
            r"values/(narrow|small-gates|entropy|zeros|subnormal-logits)|special/lone-entry",
            r"# exact +\d",
        )
        for form in ("minmax", "normalized")
    ),
    Broken(
        "no_log_n",
        "ssmax",
        ("special/n-one", "gradients/ds.normal", "gradients/ds.given-n"),
        r"Where n is 1, c is b and the gradient by s is 0\. ds\[0\] is -0\.5, must be 0\.0"
        r"|ds is off by [\d.e+]+ times",
        r"special/n-one|gradients/ds\..*|invariance/broadcast-parameters",
        r"backend\.ssmax_vjp\(",
    ),
    Broken(
        "wrong_dtype",
        "softmax",
        ("result/dtype",),
        r"the result has dtype float64, wants that of x, float32",
        r"result/(dtype|zero-size)|(special|values|absent|invariance|purity|same-bits)/.*",
    ),
)


def of_function(broken: Broken, report: Report) -> dict[str, tuple[str, str, str]]:
    """Return status, message and detail by kind/name, of the function at fault."""
    return {
        outcome.id.split("/", maxsplit=2)[2]: (outcome.status, outcome.message, outcome.detail)
        for outcome in report.outcomes
    }


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: f"{b.module}-{b.function}")
def test_fault_is_named(broken: Broken, judge: Judge) -> None:
    found = of_function(
        broken, judge(f"broken_backends.{broken.module}", functions=[broken.function])
    )
    for name in broken.named:
        status, message, detail = found[name]
        assert status == "failed", name
        assert re.search(broken.message, message), message
        assert re.search(broken.detail, detail), detail


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: f"{b.module}-{b.function}")
def test_nothing_else_fails(broken: Broken, judge: Judge) -> None:
    module = f"broken_backends.{broken.module}"
    found = of_function(broken, judge(module, functions=[broken.function]))
    failed = [name for name, (status, _, _) in found.items() if status != "passed"]
    assert [name for name in failed if not re.fullmatch(broken.may_fail, name)] == []
    # The gradients are sound where the fault is in the weights, and the other way round.
    touches = {name.partition("/")[0] for name in failed}
    assert ("values" in touches) != ("gradients" in touches) or broken.module in {
        "absent_counted",  # n is in both
        "nan_leak",  # no row of the regimes hides a NaN
    }


@pytest.mark.parametrize("module", sorted({broken.module for broken in BROKEN}))
def test_functions_without_the_fault_pass(module: str, judge: Judge) -> None:
    touched = {broken.function for broken in BROKEN if broken.module == module}
    others = {"softmax", "ssmax", "sa_softmax.shifted"} - touched
    report = judge(f"broken_backends.{module}", functions=sorted(others))
    assert [o.id for o in report.outcomes if not o.holds] == []
    assert {o.id.partition("/")[0] for o in report.outcomes} == others


def test_eight_faults_and_one_a_module() -> None:
    modules = {broken.module for broken in BROKEN}
    assert len(modules) == 8
    for module in modules:
        text = importlib.import_module(f"broken_backends.{module}").__doc__
        assert text is not None
        assert text.startswith("Fault: ")


def test_scale_before_shift_claims_nothing() -> None:
    # It fails what "bounded" asks, which is what every backend is held to.
    claims = importlib.import_module("broken_backends.scale_before_shift").CLAIMS
    assert not [key for key in claims if key[0] == "ssmax"]


def test_gradient_without_log_n_shows_the_exact_one(judge: Judge) -> None:
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
