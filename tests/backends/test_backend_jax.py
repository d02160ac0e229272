"""JAX: the bits of NumPy, one operation at a time and compiled, and derivatives or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import array_api_compat.numpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from backend_support.namespaces import WithoutFloat64
from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import jax as backend
from softmax_variants_backends.array_api import _elementary, _functions, _words
from softmax_variants_backends.array_api._constants import constants
from softmax_variants_backends.jax import compiled
from softmax_variants_backends.jax._namespace import (
    Guarded,
    guarded_namespace,
    namespace,
    reveal,
)
from softmax_variants_backends.numpy import _blocked as numpy_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

SOFTMAX, SSMAX = Variant("softmax"), Variant("ssmax")
NORMALIZED = Variant("sa_softmax", "normalized")


@pytest.fixture
def wide() -> Iterator[None]:
    """Enable 64 bits."""
    yield from _with_64_bits(enabled=True)


@pytest.fixture
def narrow() -> Iterator[None]:
    """Disable 64 bits."""
    yield from _with_64_bits(enabled=False)


def _with_64_bits(*, enabled: bool) -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", enabled)
    yield
    jax.config.update("jax_enable_x64", before)


def rows(dtype: str) -> tuple[Any, Any, Any]:
    """Return logits whose weights span the format's range, cotangents and a mask (NumPy's)."""
    rng = np.random.default_rng(41)
    x = rng.normal(0.0, 1.0, (4, 9)) * np.asarray([[0.5], [4.0], [30.0], [60.0]])
    x[1, 2:4] = x[1].max()
    where = rng.random(x.shape) < 0.8
    return x.astype(dtype), rng.normal(0.0, 1.0, x.shape).astype(dtype), where


def results(variant: Variant, module: Any, x: Any, dy: Any, where: Any) -> list[Any]:
    options = {"axis": 1, "where": where, "s": 0.43, "b": 0.1}
    found = [variant.weights(module, x, **options)]
    found += variant.gradients(module, x, dy, **options)
    return found


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_bits_are_those_of_numpy(variant: Variant, dtype: str) -> None:
    given = rows(dtype)
    wanted = results(variant, numpy_backend, *given)
    got = results(variant, backend, *map(jnp.asarray, given))
    for one, other in zip(got, wanted, strict=True):
        assert isinstance(one, jax.Array)
        np.testing.assert_array_equal(np.asarray(one), other, strict=True)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("variant", [SSMAX, NORMALIZED], ids=str)
def test_bits_without_64_bits_are_those_of_two_words(variant: Variant) -> None:
    x, dy, where = rows("float32")
    x = x / 4  # no weight is subnormal, which XLA would flush
    hidden = WithoutFloat64(array_api_compat.numpy)
    options = {"axis": 1, "where": where, "s": 0.43, "b": 0.1}
    with np.errstate(all="ignore"):
        wanted = [
            variant.weights(_functions, x, **options, xp=hidden),
            *variant.gradients(_functions, x, dy, **options, xp=hidden),
        ]
    got = results(variant, backend, *map(jnp.asarray, (x, dy, where)))
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(one), other, strict=True)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_subnormal_numbers_are_kept_where_there_is_a_wider_type(dtype: str) -> None:
    # The gate of plain hands on subnormal logits; a distance of 91 makes a subnormal weight.
    x = np.zeros((4, 9))
    x[0, :2] = 9 * 2.0**-130, -27 * 2.0**-133
    x[1, 1:] = -91.0
    gated = results(Variant("sa_softmax", "plain"), backend, *_as_jax(x, dtype))[0]
    wanted = np.asarray([2.0**-130, -3 * 2.0**-133]).astype(dtype).astype(np.float64)
    np.testing.assert_array_equal(np.asarray(gated).astype(np.float64)[0, :2], wanted)
    tail = results(SOFTMAX, backend, *_as_jax(x, dtype))[0]
    wanted = np.exp(np.full(8, -91.0)).astype(dtype).astype(np.float64)
    assert (wanted > 0).all()
    np.testing.assert_array_equal(np.asarray(tail).astype(np.float64)[1, 1:], wanted)


def _as_jax(x: Any, dtype: str) -> tuple[Any, Any, Any]:
    logits = jnp.asarray(x.astype(dtype))
    return logits, jnp.ones_like(logits), jnp.ones(x.shape, bool)


@pytest.mark.usefixtures("wide")
def test_casts_are_exact() -> None:
    eta = 2.0**-149
    small = np.asarray([1, -1, 2, 3, 2**23 - 1, 2**23, -(2**23) - 1]) * eta
    others = np.asarray([0.0, -0.0, 1.5, -3e38, np.inf, -np.inf, np.nan])
    numbers = np.concatenate([small, others]).astype(np.float32)
    wide = namespace.astype(jnp.asarray(numbers), jnp.float64)
    np.testing.assert_array_equal(np.asarray(wide), numbers.astype(np.float64))
    halves = np.asarray([0.5, 1.5, 2.5, 0.5 + 2**-30, -1.5, 2**23 - 0.5, 2**23 + 0.5]) * eta
    halves = np.concatenate([halves, numbers.astype(np.float64), [2.0**-160, -(2.0**-1074), 1e39]])
    with np.errstate(over="ignore"):
        wanted = halves.astype(np.float32)
    back = np.asarray(namespace.astype(jnp.asarray(halves), jnp.float32))
    np.testing.assert_array_equal(back.view(np.int32) & 0x7FFFFFFF, np.abs(wanted).view(np.int32))
    np.testing.assert_array_equal(back, wanted)


def compiled_and_not(function: Any, *arrays: Any) -> tuple[Any, Any]:
    def guarded(*given: Any) -> Any:
        return reveal(function(*map(Guarded, given)))

    return jax.jit(guarded)(*arrays), function(*arrays)


NUMBERS = np.random.default_rng(43).normal(0.0, 1.0, (4, 200))
PROGRAMS = {
    "sums with constants": lambda a, b, c, d: (a + 1.5) - 1.5,
    "products with constants": lambda a, b, c, d: (a * 3.3) * (1 / 7),
    "quotients of quotients": lambda a, b, c, d: (a / b) / c + a / (b / c),
    "fused multiply-add": lambda a, b, c, d: a * b + c * d,
}


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("name", list(PROGRAMS))
def test_guarded_arithmetic_is_done_as_written(name: str) -> None:
    got, wanted = compiled_and_not(PROGRAMS[name], *map(jnp.asarray, NUMBERS))
    np.testing.assert_array_equal(np.asarray(got), np.asarray(wanted))


@pytest.mark.usefixtures("wide")
def test_unguarded_arithmetic_is_not() -> None:
    # Why the guard is there: where this passes no more, it may be time to look again.
    function = PROGRAMS["sums with constants"]
    arrays = [jnp.asarray(a) for a in NUMBERS]
    assert (jax.jit(function)(*arrays) != function(*arrays)).any()


@pytest.mark.usefixtures("wide")
def test_guarded_operations_keep_what_is_not_finite() -> None:
    x = jnp.asarray([np.inf, -np.inf, np.nan, 1.7e308])
    got, wanted = compiled_and_not(lambda a: (a * 2.0, a + a, a / 0.5), x)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.usefixtures("wide")
def test_two_word_arithmetic_compiles_to_the_same_bits() -> None:
    k = constants(53)
    a, b, c, _ = (jnp.asarray(one) for one in NUMBERS)
    low = a * 2.0**-60

    def products(a: Any, b: Any, low: Any) -> Any:
        one = _words.multiply((a, low), (b, low), k.splitter)
        return [*one, *_words.divide((a, low), (b, low), k.splitter)]

    def exponentials(xp: Any, z: Any, low: Any) -> Any:
        value, halvings = _elementary.exponential(xp, (z, low), k, jnp.int64)
        return [*value, halvings]

    got, wanted = compiled_and_not(products, a, b, low)
    z = -jnp.abs(c) * 50
    got += compiled_and_not(lambda z, low: exponentials(guarded_namespace, z, low), z, low)[0]
    wanted += exponentials(namespace, z, low)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("variant", [SOFTMAX, SSMAX, NORMALIZED], ids=str)
def test_compiled_functions_give_the_same_bits(variant: Variant) -> None:
    given = [jnp.asarray(a) for a in rows("float32")]
    wanted = results(variant, backend, *given)
    got = results(variant, compiled, *given)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), strict=True)


@pytest.mark.parametrize(("fixture", "dtype"), [("wide", "float64"), ("narrow", "float32")])
def test_compiled_weights_in_two_words_give_the_same_bits(
    fixture: str, dtype: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(fixture)
    x = jnp.asarray(rows(dtype)[0])
    options = {"axis": 1, "where": None, "out": None}
    got, wanted = compiled.softmax(x, **options), backend.softmax(x, **options)
    np.testing.assert_array_equal(np.asarray(got), np.asarray(wanted), strict=True)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_derivatives_are_those_of_the_vjp(variant: Variant) -> None:
    x, dy, where = (jnp.asarray(a) for a in rows("float32"))
    s = jnp.asarray([[0.3], [0.5], [0.9], [-0.2]], "float64")
    n = jnp.asarray([[3], [4], [5], [6]])
    options = {"axis": 1, "where": where, "b": -0.2, "n": n}
    _, pull_back = jax.vjp(lambda x, s: variant.weights(backend, x, s=s, **options), x, s)
    dx, ds = pull_back(dy)
    wanted = variant.gradients(backend, x, dy, s=s, **options)
    np.testing.assert_array_equal(np.asarray(dx), np.asarray(wanted[0]), strict=True)
    wanted_ds = wanted[1] if variant.function == "ssmax" else jnp.zeros_like(s)
    np.testing.assert_array_equal(np.asarray(ds), np.asarray(wanted_ds), strict=True)


@pytest.mark.usefixtures("wide")
def test_python_numbers_stay_exact() -> None:
    x = jnp.asarray(rows("float64")[0])
    options = {"n": 2**53 + 1, "axis": 1, "where": None, "out": None}
    third = backend.ssmax(x, 1 / 3, 0.0, **options)
    as_array = backend.ssmax(x, jnp.asarray(1 / 3, "float64"), 0.0, **options)
    np.testing.assert_array_equal(np.asarray(third), np.asarray(as_array))


@pytest.mark.usefixtures("wide")
def test_batches_by_vmap() -> None:
    x, _, where = (jnp.asarray(a) for a in rows("float32"))
    options = {"form": "minmax", "detach_extrema": False, "out": None}
    got = jax.vmap(lambda x, w: backend.sa_softmax(x, axis=0, where=w, **options))(x, where)
    wanted = backend.sa_softmax(x, axis=1, where=where, **options)
    np.testing.assert_array_equal(np.asarray(got), np.asarray(wanted))


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("variant", [SOFTMAX, SSMAX, NORMALIZED], ids=str)
def test_derivatives_that_are_not_there_raise(variant: Variant) -> None:
    x, dy, _ = (jnp.asarray(a) for a in rows("float32"))

    def total(x: Any) -> Any:
        return (variant.weights(backend, x, axis=1) * dy).sum()

    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(total, (x,), (dy,))
    with pytest.raises(NotImplementedError, match="second derivatives"):
        jax.grad(lambda x: jax.grad(total)(x).sum())(x)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        jax.grad(lambda x: variant.gradients(backend, x, dy, axis=1)[0].sum())(x)


def test_claims_follow_the_configuration(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("wide")
    assert backend.CLAIMS["ssmax", "float64"] == compiled.CLAIMS["ssmax", "float64"] == "tight"
    jax.config.update("jax_enable_x64", False)
    assert {dtype for _, dtype in compiled.CLAIMS} == {"float16", "bfloat16", "float32"}
    assert backend.CLAIMS["ssmax", "float32"] == "tight"
    assert backend.CLAIMS["ssmax", "bfloat16"] == "faithful"
    with pytest.raises(AttributeError, match="has no attribute 'CLAIM'"):
        _ = backend.CLAIM
    with pytest.raises(AttributeError, match="has no attribute 'CLAIM'"):
        _ = compiled.CLAIM


@pytest.mark.parametrize("module", [backend, compiled], ids=["eager", "compiled"])
@pytest.mark.parametrize("variant", [SOFTMAX, SSMAX, NORMALIZED], ids=str)
def test_out_is_refused(variant: Variant, module: Any) -> None:
    x = jnp.ones((2, 3))
    with pytest.raises((ValueError, TypeError), match="out must be None"):
        variant.weights(module, x, axis=1, out=x)
