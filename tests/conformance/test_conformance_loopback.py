"""The exact reference, rounded and called as a backend, is correct in everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.runner import Report


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("function", ["softmax", "ssmax", "sa_softmax"])
def test_loopback_is_correct(function: str, dtype: str, judge: Callable[..., Report]) -> None:
    report = judge("loopback", functions=[function], dtypes=[dtype])
    assert [f"{o.id}: {o.message}" for o in report.outcomes if o.status != "passed"] == []
    assert report.holds
    for summary in report.summaries:
        assert (summary.claim, summary.class_met) == ("correct", "correct")
        assert summary.max_error is not None
        assert summary.max_error <= 0.5
        assert summary.correct_share == 1.0
        assert summary.gradient_ratio is not None
        assert summary.gradient_ratio <= 0.5
