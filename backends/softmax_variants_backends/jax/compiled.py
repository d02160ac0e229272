"""The JAX backend with every function compiled by ``jax.jit``.

Compiled anew for every shape, dtype, axis and Python number: s, b and n that vary from call to
call are better passed as arrays. A program through binary64 compiles in seconds; one in two words
(float64, or anything without 64 bits) has thousands of operations and may take a minute.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax

from softmax_variants_backends import jax as eager

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CLAIMS",  # noqa: F822  (of __getattr__)
    "FLUSHES_SUBNORMALS",  # noqa: F822
    "NAMESPACE",
    "sa_softmax",
    "sa_softmax_vjp",
    "softmax",
    "softmax_vjp",
    "ssmax",
    "ssmax_vjp",
]

NAMESPACE = eager.NAMESPACE


def __getattr__(name: str) -> Any:
    if name in ("CLAIMS", "FLUSHES_SUBNORMALS"):
        return getattr(eager, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


@partial(jax.jit, static_argnames=("name", "names", "rest"))
def _program(
    name: str, names: tuple[str, ...], rest: tuple[Any, ...], arrays: dict[str, Any]
) -> Any:
    """Run a function of the eager backend; ``names`` are its positional arguments."""
    given = dict(rest) | arrays
    positional = [given.pop(argument) for argument in names]
    return getattr(eager, name)(*positional, **given)


def _compiled(name: str, names: tuple[str, ...]) -> Callable[..., Any]:
    def function(*arguments: Any, **options: Any) -> Any:
        given = dict(zip(names, arguments, strict=True)) | options
        arrays = {key: value for key, value in given.items() if isinstance(value, jax.Array)}
        rest = tuple((key, value) for key, value in given.items() if key not in arrays)
        return _program(name, names, rest, arrays)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Return what ``softmax_variants_backends.jax.{name}`` returns, compiled."
    return function


softmax = _compiled("softmax", ("x",))
ssmax = _compiled("ssmax", ("x", "s", "b"))
sa_softmax = _compiled("sa_softmax", ("x",))
softmax_vjp = _compiled("softmax_vjp", ("x", "dy"))
ssmax_vjp = _compiled("ssmax_vjp", ("x", "dy", "s", "b"))
sa_softmax_vjp = _compiled("sa_softmax_vjp", ("x", "dy"))
