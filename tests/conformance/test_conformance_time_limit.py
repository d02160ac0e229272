"""A backend that does not return is reported as that, entry by entry, and the run goes on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance.cli import main
from softmax_variants_spec.conformance.regimes import regime
from softmax_variants_spec.conformance.time_limit import TimedOut, TimeLimit
from softmax_variants_spec.conformance.variants import VARIANTS
from softmax_variants_spec.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.runner import Report

    Judge = Callable[..., Report]
    Backend = Callable[..., str]


def hangs() -> None:
    while True:  # interpreted code, which can be interrupted
        time.sleep(0.001)


def timed_out(report: Report) -> dict[str, str]:
    return {o.id: o.message for o in report.outcomes if o.status == "timed out"}


def of_regime(name: str) -> Any:
    (block,) = regime(name).blocks(VARIANTS[0], FORMATS["float32"], smoke=True)
    return block.x


def test_one_regime_that_hangs(judge: Judge, backend: Backend) -> None:
    hard = of_regime("range-ends")

    def softmax(x: Any, **options: Any) -> Any:
        if np.array_equal(x, hard):
            hangs()
        return honest.softmax(x, **options)

    report = judge(backend(softmax=softmax), functions=["softmax"], time_limit=0.3)
    assert timed_out(report) == {
        "softmax/float32/values/range-ends": "softmax did not return within 0.3 s, the time limit "
        "of an entry"
    }
    assert [o.id for o in report.outcomes if o.status != "passed"] == [*timed_out(report)]
    assert not report.holds


def test_gradients_that_hang_on_one_regime(judge: Judge, backend: Backend) -> None:
    hard = of_regime("ties")

    def softmax_vjp(x: Any, dy: Any, **options: Any) -> Any:
        if np.array_equal(x, hard):
            hangs()
        return honest.softmax_vjp(x, dy, **options)

    report = judge(backend(softmax_vjp=softmax_vjp), functions=["softmax"], time_limit=0.3)
    assert [*timed_out(report)] == ["softmax/float32/gradients/dx.ties"]


def test_what_always_hangs_is_given_up(judge: Judge, backend: Backend) -> None:
    calls = []

    def softmax(x: Any, **options: Any) -> Any:
        calls.append(x.shape)
        hangs()

    report = judge(backend(softmax=softmax), functions=["softmax"], time_limit=0.5)
    assert len(calls) == 3
    messages = list(timed_out(report).values())
    assert "softmax did not return within 0.5 s" in messages[0]
    given_up = (
        "softmax is not called any more: 3 entries on end took too long, the time limit of an entry"
    )
    assert messages[3:] == [given_up] * (len(messages) - 3)
    # The gradients, which return, are judged.
    assert "softmax/float32/gradients/dx.normal" in {
        o.id for o in report.outcomes if o.status == "passed"
    }


def test_command(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    hard = of_regime("sterbenz")

    def softmax(x: Any, **options: Any) -> Any:
        if np.array_equal(x, hard):
            hangs()
        return honest.softmax(x, **options)

    options = ["--smoke", "--function", "softmax", "--dtype", "float32", "--time-limit", "0.3"]
    assert main([backend(softmax=softmax), *options]) == 1
    out = capsys.readouterr().out
    assert "FAIL softmax/float32/values/sterbenz\n  softmax did not return within 0.3 s" in out
    assert "backend_of_a_test: 1 entry fails; " in out


@pytest.mark.parametrize("text", ["-1", "soon", "nan", "inf"])
def test_limits_that_are_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["numpy", f"--time-limit={text}"])
    assert f"argument --time-limit: is '{text}', wants seconds, at least 0" in (
        capsys.readouterr().err
    )


def test_a_limit_of_zero_is_none(judge: Judge) -> None:
    options = ["--smoke", "--function", "softmax", "--dtype", "float32", "--time-limit", "0"]
    assert main(["numpy", *options]) == 0


# ------------------------------------------------------------------------------- the limit itself


def test_results_and_errors_come_back() -> None:
    limit = TimeLimit(5)
    assert limit.run(lambda: limit.call(lambda: 7, "a function")) == 7
    with pytest.raises(ZeroDivisionError):
        limit.run(lambda: limit.call(lambda: 1 / 0, "a function"))
    # What the call raises is its own, also where it is a time-out.
    with pytest.raises(TimeoutError, match="of the backend"):
        limit.run(lambda: limit.call(raises_timeout, "a function"))
    limit.close()


def raises_timeout() -> None:
    msg = "of the backend"
    raise TimeoutError(msg)


def test_without_a_limit_entries_run_where_they_are_asked_for() -> None:
    assert TimeLimit(None).run(threading.current_thread) is threading.current_thread()
    limit = TimeLimit(5)
    assert limit.run(threading.current_thread) is not threading.current_thread()
    limit.close()


def test_only_calls_are_limited() -> None:
    limit = TimeLimit(0.2)

    def entry() -> str:
        time.sleep(0.4)  # what the suite computes
        limit.call(lambda: time.sleep(0.01), "a function")
        time.sleep(0.4)
        return "done"

    assert limit.run(entry) == "done"
    limit.close()


def test_calls_of_an_entry_add_up() -> None:
    limit = TimeLimit(0.3)

    def entry(calls: int) -> None:
        for _ in range(calls):
            limit.call(lambda: time.sleep(0.2), "a function")

    with pytest.raises(TimedOut, match=r"within 0\.3 s") as raised:
        limit.run(lambda: entry(2))
    assert raised.value.what == "a function"
    limit.run(lambda: entry(1))
    limit.run(lambda: entry(1))
    limit.close()


@pytest.mark.parametrize("function", [hangs, lambda: time.sleep(0.5)])
def test_an_entry_left_behind_ends(function: Callable[[], None]) -> None:
    before, went_on = {*threading.enumerate()}, []
    limit = TimeLimit(0.05)

    def entry() -> None:
        limit.call(function, "a function")
        went_on.append(True)

    with pytest.raises(TimedOut):
        limit.run(entry)
    for _ in range(500):
        if {*threading.enumerate()} <= before:
            break
        time.sleep(0.02)
    assert {*threading.enumerate()} <= before
    assert not went_on


def test_settings_of_the_caller_hold_in_the_entry() -> None:
    limit = TimeLimit(5)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        limit.run(lambda: np.float64(1) / np.float64(0))
    limit.close()
