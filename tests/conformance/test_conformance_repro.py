"""The lines that a failure prints, pasted, show the failure again."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from softmax_variants_backends import numpy as honest
from softmax_variants_spec.conformance import references, rows
from softmax_variants_spec.conformance.checks import entries
from softmax_variants_spec.conformance.regimes import regime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from softmax_variants_spec.conformance.context import Context
    from softmax_variants_spec.conformance.outcome import Outcome

    Contexts = Callable[..., Context]
    Backend = Callable[..., str]


def off(y: Any, longer_than: int = 0) -> Any:
    """Return results of long rows off by up to 2**-5, as their place in the row has it.

    A row alone is then as wrong as among others, which repro lines may leave out.
    """
    if y.ndim and y.shape[-1] <= longer_than:
        return y
    place = np.arange(y.shape[-1]) if y.ndim else 0
    return np.asarray(y * (1 + 2.0**-5 * np.cos(place)), dtype=y.dtype)


def outcome(context: Context, kind: str, name: str) -> Outcome:
    """Return the outcome of one entry."""
    found = entries(context.variant, smoke=context.smoke)
    return next(e for e in found if (e.kind, e.name) == (kind, name)).run(context)


def pasted(detail: str) -> tuple[float, float, float]:
    """Run the lines of a detail: what the last line gives, what it says that came out, the exact.

    The last line is an expression with a comment, as a user at a prompt would see it.
    """
    tree = ast.parse(detail)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    names: dict[str, Any] = {}
    exec(compile(tree, "<repro>", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "<repro>", "eval"), names)
    got = re.search(r"# got +(\S+) = (\S+)", detail)
    exact = re.search(r"# exact +(\S+)", detail)
    assert got is not None
    assert exact is not None
    assert float.fromhex(got[1]) == float(got[2]) or got[2] == "nan"
    digits = re.sub(r"e.*|[-.]", "", exact[1]).lstrip("0")
    assert len(digits) <= 40
    assert set(digits) <= set("0123456789")
    return float(value), float.fromhex(got[1]), float(exact[1])


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Return a function that leaves some regimes only, so that few references are computed."""

    def only(*names: str) -> None:
        monkeypatch.setattr(references, "REGIMES", [regime(name) for name in names])
        # The session's references are those of all regimes.
        monkeypatch.setenv("SOFTMAX_VARIANTS_CACHE", str(tmp_path))

    return only


@pytest.fixture
def wrong(backend: Backend) -> Callable[..., str]:
    """Return a function that makes a backend whose results are off in rows longer than some."""

    def wrong(longer_than: int = 0) -> str:
        def result(name: str) -> Any:
            return lambda *args, **options: off(
                getattr(honest, name)(*args, **options), longer_than
            )

        def ssmax_vjp(*args: Any, **options: Any) -> Any:
            dx, ds, db = honest.ssmax_vjp(*args, **options)
            return off(dx, longer_than), off(ds), off(db)

        names = set(honest.__all__) - {"CLAIMS", "ssmax_vjp"}
        return backend(**{name: result(name) for name in names}, ssmax_vjp=ssmax_vjp)

    return wrong


CASES = [
    ("softmax", "float32", "values", "normal", "short"),
    ("softmax", "float64", "values", "masked", "short"),
    ("softmax", "float16", "values", "lengths", "long"),
    ("softmax", "float64", "gradients", "dx.normal", "short"),
    ("softmax", "float32", "gradients", "dx.lengths", "long"),
    ("softmax", "float32", "gradients", "dx.masked", "short"),
    ("ssmax", "float32", "values", "scales", "short"),
    ("ssmax", "float64", "values", "given-n", "short"),
    ("ssmax", "float32", "values", "lengths", "long"),
    ("ssmax", "float16", "gradients", "dx.scales", "short"),
    ("ssmax", "float32", "gradients", "ds.normal", "all rows"),
    ("ssmax", "float64", "gradients", "db.masked", "all rows"),
    ("ssmax", "float32", "gradients", "ds.scales", "short"),
    ("ssmax", "float32", "gradients", "ds.given-n", "short"),
    ("ssmax", "float64", "gradients", "db.given-n", "all rows"),
    ("sa_softmax.plain", "float32", "values", "dominated", "short"),
    ("sa_softmax.minmax", "float64", "gradients", "dx.tied-extrema", "short"),
    ("sa_softmax.normalized", "float32", "gradients", "dx-detached.normal", "short"),
    ("sa_softmax.normalized", "float16", "gradients", "dx-detached.lengths", "long"),
]


@pytest.mark.parametrize("case", CASES, ids="/".join)
def test_lines_show_the_failure_again(
    case: tuple[str, ...], wrong: Callable[..., str], context: Contexts, only: Callable[..., None]
) -> None:
    label, dtype, kind, name, how = case
    only(name.rpartition(".")[2])
    made = context(wrong(40 if how == "long" else 0), label, dtype, smoke=False)
    failed = outcome(made, kind, name)
    assert failed.status == "failed", failed
    assert ("from softmax_variants_spec.conformance import rows" in failed.detail) == (
        how != "short"
    )
    value, got, exact = pasted(failed.detail)
    assert value == got
    # It is the fault that is shown, and beside it what is right.
    assert 2.0**-9 < abs(got / exact - 1) < 2.0**-4


def test_lines_of_a_nan(context: Contexts, backend: Backend, only: Callable[..., None]) -> None:
    def softmax(x: Any, **options: Any) -> Any:
        return honest.softmax(x, **options) * np.nan

    only("normal")
    made = context(backend(softmax=softmax), "softmax", "float32")
    failed = outcome(made, "values", "normal")
    assert "NaN, wants 0.500004 ULP; 66 of 66 entries" in failed.message
    value, got, exact = pasted(failed.detail)
    assert np.isnan(value)
    assert np.isnan(got)
    assert 0 < exact < 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("special", "absent-weight"),
        ("special", "plus-infinity"),
        ("absent", "holds-nan"),
        ("absent", "gradient-holds-inf"),
        ("absent", "exactly-zero"),
        ("invariance", "permutation"),
        ("invariance", "padding"),
    ],
)
def test_lines_of_properties_run(kind: str, name: str, context: Contexts, backend: Backend) -> None:
    """Lines of the other checks are a call that can be pasted, with NaN and infinities in it."""

    def softmax(x: Any, **options: Any) -> Any:
        return honest.softmax(x, **options) + (~np.isfinite(x)).sum(dtype=x.dtype) + x.dtype.type(1)

    def softmax_vjp(x: Any, dy: Any, **options: Any) -> Any:
        return honest.softmax_vjp(x, dy, **options) + (~np.isfinite(x)).sum(dtype=x.dtype)

    made = context(backend(softmax=softmax, softmax_vjp=softmax_vjp), "softmax", "float32")
    failed = outcome(made, kind, name)
    assert failed.status == "failed", failed
    names: dict[str, Any] = {}
    exec(failed.detail, names)
    assert names["result"].shape == names["x"].shape
    assert names["result"].dtype == np.float32


def test_lines_are_in_hexadecimal(
    wrong: Callable[..., str], context: Contexts, only: Callable[..., None]
) -> None:
    only("normal")
    detail = outcome(context(wrong(), "softmax", "float64"), "values", "normal").detail
    lines = detail.splitlines()
    assert lines[:2] == [
        "import numpy as xp, backend_of_a_test as backend",
        "h = float.fromhex",
    ]
    logits = [float.fromhex(v) for v in re.findall(r'h\("([^"]+)"\)', lines[2])]
    assert logits in rows("softmax", "float64", "normal", 0, 0, 12).x.tolist()


def test_rows_are_those_of_the_regime(context: Contexts, wrong: Callable[..., str]) -> None:
    made = context(wrong(), "ssmax", "float32")
    block = regime("scales").blocks(made.variant, made.fmt)[1]
    one = rows("ssmax", "float32", "scales", 1, 3)
    assert one.x.shape == (1, 21)
    for name in ("x", "dy", "where", "s", "b"):
        assert np.array_equal(getattr(one, name), getattr(block, name)[3:4])
    some = rows("ssmax", "float32", "scales", 1, 2, 5)
    assert np.array_equal(some.x, block.x[2:5])


def test_parameters_that_are_not_finite_are_arrays(context: Contexts, backend: Backend) -> None:
    # Backends get them in arrays only: the API refuses such Python numbers.
    name = backend(ssmax=lambda x, *_, **__: np.zeros_like(x))
    detail = outcome(
        context(name, "ssmax", "float32"), "special", "non-finite-parameter"
    ).detail.replace("backend_of_a_test", "softmax_variants_backends.numpy")
    names: dict[str, Any] = {}
    exec(detail, names)
    assert np.isnan(names["result"]).any()
