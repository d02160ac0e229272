"""What a backend does wrong is reported as itself, where it happens, and the run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from softmax_variants_backends import numpy as honest

if TYPE_CHECKING:
    from collections.abc import Callable

    from softmax_variants_spec.conformance.outcome import Outcome
    from softmax_variants_spec.conformance.runner import Report

    Judge = Callable[..., Report]
    Backend = Callable[..., str]


def raises(x: Any, **options: Any) -> Any:
    msg = "no kernel for this shape\nand a second line"
    raise NotImplementedError(msg)


def raises_without_words(x: Any, **options: Any) -> Any:
    raise ZeroDivisionError


def wrong_shape(x: Any, **options: Any) -> Any:
    return honest.softmax(x, **options)[..., None]


def a_list(x: Any, **options: Any) -> Any:
    return honest.softmax(x, **options).tolist()


def a_tuple(x: Any, **options: Any) -> Any:
    return (honest.softmax(x, **options),)


def nothing(x: Any, **options: Any) -> Any:
    return None


def names_of(report: Report, status: str) -> dict[str, Outcome]:
    return {o.id.split("/", maxsplit=2)[2]: o for o in report.outcomes if o.status == status}


@pytest.mark.parametrize(
    ("softmax", "status", "message"),
    [
        (raises, "error", "raised NotImplementedError: no kernel for this shape"),
        (raises_without_words, "error", "raised ZeroDivisionError: "),
        (wrong_shape, "failed", "the result has shape (3, 5, 1), wants (3, 5)"),
        (a_list, "failed", "the result is list, wants an array of numpy"),
        (a_tuple, "failed", "the result is tuple, wants an array of numpy"),
        (nothing, "failed", "the result is NoneType, wants an array of numpy"),
        (None, "failed", "backend_of_a_test has no function softmax"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_weights(softmax: Any, status: str, message: str, judge: Judge, backend: Backend) -> None:
    report = judge(backend(softmax=softmax), functions=["softmax"])
    assert not report.holds
    found = names_of(report, status)
    assert found["result/dtype"].message == message
    assert "values/normal" in found
    # Everything was tried, and the gradients, which are sound, are found so.
    passed = names_of(report, "passed")
    assert {"gradients/dx.normal", "result/gradient-dtype", "special/nan"} - found.keys() <= {
        *passed
    }
    assert passed.keys() >= {"gradients/dx.normal", "purity/gradient-inputs-kept"}
    assert not names_of(report, "not promised")


def test_functions_that_are_there_are_judged_when_one_is_missing(
    judge: Judge, backend: Backend
) -> None:
    report = judge(backend(ssmax_vjp=None), functions=["softmax", "ssmax"])
    faults = [o for o in report.outcomes if not o.holds]
    assert {o.message for o in faults} == {"backend_of_a_test has no function ssmax_vjp"}
    assert all(o.id.startswith("ssmax/") for o in faults)
    softmax, ssmax = report.summaries
    assert softmax.holds
    assert not ssmax.holds
    assert ssmax.failed == len(faults)
    passed = {o.id for o in report.outcomes if o.status == "passed"}
    assert {"ssmax/float32/values/scales", "ssmax/float32/result/dtype"} <= passed


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        (lambda dx, ds, db: dx, "ssmax_vjp returned ndarray, wants (dx, ds, db)"),
        (
            lambda dx, ds, db: (dx, ds),
            "ssmax_vjp returned a tuple of 2, wants (dx, ds, db)",
        ),
        (lambda dx, ds, db: (dx, 0.0, db), "ds is float, wants an array of numpy"),
        (lambda dx, ds, db: (dx, ds, db[0]), "db has shape (1,), wants (3, 1)"),
        (
            lambda dx, ds, db: (dx, ds.astype(np.float64), db),
            "ds has dtype float64, wants that of x, float32",
        ),
    ],
    ids=["alone", "pair", "number", "shape", "dtype"],
)
def test_parameter_gradients(gradients: Any, message: str, judge: Judge, backend: Backend) -> None:
    def ssmax_vjp(*arguments: Any, **options: Any) -> Any:
        return gradients(*honest.ssmax_vjp(*arguments, **options))

    report = judge(backend(ssmax_vjp=ssmax_vjp), functions=["ssmax"])
    found = names_of(report, "failed")
    assert found["result/gradient-dtype"].message == message
    assert "values/scales" in names_of(report, "passed")


def test_inputs_that_change(judge: Judge, backend: Backend) -> None:
    def softmax(x: Any, **options: Any) -> Any:
        y = honest.softmax(x, **options)
        if options["out"] is None and x.size:
            x *= 2
        return y

    found = names_of(judge(backend(softmax=softmax), functions=["softmax"]), "failed")
    assert found["purity/inputs-kept"].message == "the call changed its input x"
    # Every other check makes its arguments anew.
    assert found.keys() == {"purity/inputs-kept"}


def test_cotangents_that_change(judge: Judge, backend: Backend) -> None:
    def softmax_vjp(x: Any, dy: Any, **options: Any) -> Any:
        dx = honest.softmax_vjp(x, dy, **options)
        dy += 1
        return dx

    found = names_of(judge(backend(softmax_vjp=softmax_vjp), functions=["softmax"]), "failed")
    assert found["purity/gradient-inputs-kept"].message == "the call changed its input dy"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ignores", "the call returns something other than out"),
        ("fills only", "the call returns something other than out"),
        ("returns only", "out= holds something other than the result without it"),
    ],
)
def test_out(name: str, message: str, judge: Judge, backend: Backend) -> None:
    def softmax(x: Any, *, out: Any, **options: Any) -> Any:
        y = honest.softmax(x, out=None, **options)
        if out is None or name == "ignores":
            return y
        if name == "fills only":
            out[...] = y
            return y
        return out

    found = names_of(judge(backend(softmax=softmax), functions=["softmax"]), "failed")
    assert found.keys() == {"purity/out", "purity/out-is-x"}
    assert found["purity/out"].message == message


def test_other_bits_in_another_batch(judge: Judge, backend: Backend) -> None:
    def softmax(x: Any, **options: Any) -> Any:
        y = honest.softmax(x, **options)
        if x.ndim == 2 and len(x) == 1 and x.shape[1] > 30 and not np.isnan(y).any():
            y[...] = np.nextafter(y, np.float32(1))
        return y

    found = names_of(judge(backend(softmax=softmax, CLAIMS=None), functions=["softmax"]), "failed")
    assert found.keys() == {"same-bits/batch"}
    message = found["same-bits/batch"].message
    assert (
        message
        == "weights have other bits in another batch or at another position: 37 of 37 entries"
    )


def test_other_bits_on_a_second_run(judge: Judge, backend: Backend) -> None:
    calls = 0

    def softmax_vjp(x: Any, dy: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        dx = honest.softmax_vjp(x, dy, **options)
        if x.shape == (6, 37) and calls % 2:
            dx[0, 0] = np.nextafter(dx[0, 0], np.float32(1))
        return dx

    name = backend(softmax_vjp=softmax_vjp, CLAIMS=None)
    found = names_of(judge(name, functions=["softmax"]), "failed")
    assert found["same-bits/run"].message == (
        "dx have other bits on a second run: 1 of 222 entries"
    )


def test_absent_entries_that_are_not_zero(judge: Judge, backend: Backend) -> None:
    def softmax(x: Any, **options: Any) -> Any:
        y = honest.softmax(x, **options)
        if options["where"] is not None:
            y[~np.broadcast_to(options["where"], y.shape)] = np.finfo(y.dtype).smallest_subnormal
        return y

    found = names_of(judge(backend(softmax=softmax, CLAIMS=None), functions=["softmax"]), "failed")
    message = found["absent/exactly-zero"].message
    assert message == "weights of absent entries are not 0 (row 0 of the sample)"
    assert "at an absent entry, wants bounded" in found["values/masked"].message
