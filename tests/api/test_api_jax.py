"""The functions on JAX arrays under JAX's transformations: tracers go where their arrays go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import softmax_variants as sv
from softmax_variants_backends import jax as jax_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ties at both ends and at the appended zero.
LOGITS = np.asarray([[2.0, 2.0, -1.5, -1.5, 0.3], [0.0, 3.0, 0.0, 3.0, 1.0]], np.float32)
COTANGENTS = np.asarray([[1.0, -0.5, 0.25, 2.0, -1.0], [0.5, 1.5, -2.0, 0.1, 0.7]], np.float32)


@pytest.fixture(autouse=True)
def _with_64_bits() -> Iterator[None]:
    config: Any = jax.config
    before = config.jax_enable_x64
    config.update("jax_enable_x64", True)
    yield
    config.update("jax_enable_x64", before)


@pytest.fixture
def x() -> Any:
    return jnp.asarray(LOGITS)


@pytest.fixture
def dy() -> Any:
    return jnp.asarray(COTANGENTS)


def same_bits(got: Any, wanted: Any) -> None:
    np.testing.assert_array_equal(np.asarray(got), np.asarray(wanted), strict=True)


def test_compiled_softmax_has_the_bits_of_the_eager_one() -> None:
    logits = np.random.default_rng(51).normal(0.0, 9.0, (6, 11)).astype(np.float32)
    logits[0] = [0.0] * 4 + [-91.0] * 7  # weights that XLA's own casts flush to 0
    x = jnp.asarray(logits)
    where = jnp.asarray(np.random.default_rng(52).random((6, 11)) < 0.7)
    compiled = jax.jit(lambda x, where: sv.softmax(x, where=where))(x, where)
    same_bits(compiled, sv.softmax(x, where=where))
    same_bits(compiled, sv.softmax(np.asarray(x), where=np.asarray(where)))


def test_compiled_parameters(x: Any) -> None:
    s, n = jnp.asarray([[0.4], [-0.9]]), jnp.asarray(7)
    compiled = jax.jit(lambda x, s, n: sv.ssmax(x, s, 0.25, n=n))(x, s, n)
    same_bits(compiled, sv.ssmax(x, s, 0.25, n=n))


def test_arguments_are_checked_while_tracing(x: Any) -> None:
    with pytest.raises(ValueError, match=r"^axis must be in \[-2, 1\] for x of shape \(2, 5\), "):
        jax.jit(lambda x: sv.softmax(x, axis=2))(x)
    with pytest.raises(TypeError, match=r"^where must have dtype bool, got float32"):
        jax.jit(lambda x: sv.softmax(x, where=x))(x)
    with pytest.raises(TypeError, match=r"^out must be None where x is of JAX .* got a JAX array "):
        jax.jit(lambda x: sv.softmax(x, out=x))(x)


@pytest.mark.parametrize("detach", [False, True], ids=["through", "detached"])
@pytest.mark.parametrize("form", ["plain", "shifted", "minmax", "normalized"])
def test_gradients_at_ties_are_those_of_the_vjp(form: str, detach: bool, x: Any, dy: Any) -> None:
    options: dict[str, Any] = {"form": form, "detach_extrema": detach}
    got = jax.grad(lambda x: (sv.sa_softmax(x, **options) * dy).sum())(x)
    same_bits(got, sv.sa_softmax_vjp(x, dy, **options))
    same_bits(got, sv.sa_softmax_vjp(LOGITS, COTANGENTS, **options))


def test_gradients_within_a_compiled_program(x: Any, dy: Any) -> None:
    got = jax.jit(jax.grad(lambda x: (sv.softmax(x) * dy).sum()))(x)
    same_bits(got, sv.softmax_vjp(x, dy))


def test_gradients_by_parameters(x: Any, dy: Any) -> None:
    s, b = jnp.asarray([[0.4], [-0.9]]), jnp.asarray(0.25, jnp.float32)
    got = jax.grad(lambda *given: (sv.ssmax(*given) * dy).sum(), (0, 1, 2))(x, s, b)
    for one, other in zip(got, sv.ssmax_vjp(x, dy, s, b), strict=True):
        same_bits(one, other)


def test_second_derivatives_raise(x: Any, dy: Any) -> None:
    def total(x: Any) -> Any:
        return (sv.sa_softmax(x) * dy).sum()

    with pytest.raises(NotImplementedError, match="second derivatives"):
        jax.grad(lambda x: jax.grad(total)(x).sum())(x)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        jax.grad(lambda x: sv.sa_softmax_vjp(x, dy).sum())(x)


@pytest.mark.parametrize("backend", ["jax", jax_backend], ids=["name", "module"])
def test_backend_asked_for_while_tracing(backend: Any, x: Any) -> None:
    compiled = jax.jit(lambda x: sv.softmax(x, backend=backend))(x)
    same_bits(compiled, sv.softmax(x))
